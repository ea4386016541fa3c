"""What a room notes stands in the table of faults, and nothing else does."""

import ast
from functools import cache

import pytest

from unet_lib import workspace
from unet_lib.intake.faults import FAULTS

ROOMS = [p for p in (workspace.PROJECT / "unet_lib/intake").glob("*.py") if p.stem != "faults"]


def texts(node, constants):
    """Return the texts that an expression may be: a constant, a name of one, one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.Name | ast.Attribute):
        return constants.get(getattr(node, "id", getattr(node, "attr", "")), set())
    if isinstance(node, ast.IfExp):
        return texts(node.body, constants) | texts(node.orelse, constants)
    return set()


def is_notes(node):
    return getattr(node, "id", getattr(node, "attr", "")).strip("_") == "notes"


def noted(path, constants):
    """Return the faults that a room notes, by `note(…)`, `notes[…] =` and tuples in `notes`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "note" and node.args:
            found |= texts(node.args[0], constants)
        if isinstance(node, ast.Subscript) and is_notes(node.value):
            found |= texts(node.slice, constants)
        target = getattr(node, "target", None) or getattr(node, "func", None)
        if isinstance(node, ast.AugAssign) and is_notes(target) or (
            isinstance(node, ast.Call) and is_notes(getattr(target, "value", None))
        ):
            for part in ast.walk(node):
                if isinstance(part, ast.Tuple) and part.elts:
                    found |= texts(part.elts[0], constants)
    return found


@cache
def constants():
    found = {}
    for path in ROOMS:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, set()).update(texts(node.value, {}))
    return found


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_what_a_room_notes_is_in_the_table(path):
    assert noted(path, constants()) - set(FAULTS) == set()


def test_the_search_finds_what_is_noted():
    found = set().union(*(noted(path, constants()) for path in ROOMS))
    assert len(found) > 30


def test_no_fault_is_unused():
    said = set()
    for path in ROOMS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    assert set(FAULTS) - said == set()


def test_every_fault_says_what_is_done_and_what_can_be_done():
    for fault, (decision, remedy) in FAULTS.items():
        assert decision and remedy and not remedy.endswith("."), fault
