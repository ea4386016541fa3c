"""The code's own rules: ruff, short functions, imports that run downward only."""

import ast
import re
import statistics
import subprocess
import sys

import pytest

from unet_lib import workspace

MODULES = sorted((workspace.PROJECT / "unet_lib").glob("*.py"))
MAY_IMPORT = {  # inside unet_lib
    "__init__": set(), "phantom": set(), "model": set(), "metrics": set(),
    "dataset": {"workspace", "phantom"}, "images": {"workspace", "dataset"}, "plotting": set(),
    "training": {"workspace", "bootstrap", "model", "metrics", "images"}, "series": {"workspace"}, "workspace": set(), "bootstrap": {"workspace"},
    "experiments": {"dataset", "images", "metrics", "model", "training"},
    "__main__": {"series"},
}


def test_ruff():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "."],
        cwd=workspace.PROJECT, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imported(path):
    """Return the names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_imports_run_downward_only(path):
    names = imported(path)
    own = {name.split(".")[1] for name in names if name.startswith("unet_lib.")}
    assert own <= MAY_IMPORT[path.stem]
    tensorflow = any(name.split(".")[0] == "tensorflow" for name in names)
    assert not tensorflow or path.stem == "images"  # Keras alone elsewhere: other backends work


def test_functions_are_short():
    lengths = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_source_segment(path.read_text(), node).replace(
                    ast.get_docstring(node, clean=False) or "", "")
                lengths[f"{path.stem}.{node.name}"] = len(
                    [line for line in text.splitlines() if re.search(r"\w", line)])
    assert {name: n for name, n in lengths.items() if n > 40} == {}
    assert statistics.median(lengths.values()) <= 10


def test_import_is_light_and_silent():
    code = (
        "import sys, unet_lib\nfrom unet_lib import dataset, workspace, phantom, series\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=workspace.PROJECT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
