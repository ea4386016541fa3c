"""The code's own rules: ruff, short functions, imports that run downward only."""

import ast
import re
import statistics
import subprocess
import sys

import pytest

from unet_lib import workspace

PACKAGE = workspace.PROJECT / "unet_lib"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
LOW = {"workspace"}
MAY_IMPORT = {  # inside unet_lib; arrows run downward only
    "workspace": set(), "console": set(), "bootstrap": LOW, "rules": LOW, "parameters": {"rules"},
    "phantom.frame": set(), "phantom.anatomy": {"phantom.frame"}, "phantom.film": set(),
    "phantom.archive": set(),
    "phantom.wide": {"phantom.frame", "phantom.anatomy", "phantom.film", "phantom.archive"},
    "intake.raster": set(), "intake.signatures": {"intake.raster"},
    "intake.decoders": {"intake.raster"}, "intake.dicom_display": {"intake.raster"},
    "intake.dicom_view": set(),
    "intake.dicom": {"intake.raster", "intake.dicom_display", "intake.dicom_view"},
    "intake.formats": LOW | {"intake.raster", "intake.signatures", "intake.decoders",
                             "intake.dicom", "intake.palettes"},
    "intake.palettes": {"intake.raster"},
    "intake.intensity": set(), "intake.outlines": set(),
    "intake.annotations": LOW | {"intake.outlines"},
    "intake.edges": set(), "intake.values": {"intake.edges", "intake.formats"},
    "intake.asking": {"intake.values"},
    "intake.masks": {"intake.asking", "intake.values"},
    "intake.faults": set(), "intake.walk": set(), "intake.layouts": {"intake.walk"},
    "intake.pairs": {"intake.layouts"}, "intake.identifiers": {"intake.layouts"},
    "intake.sidecars": LOW | {"intake.annotations", "intake.layouts"},
    "intake.lists": LOW | {"intake.layouts", "intake.pairs", "intake.walk"},
    "intake.advice": LOW | {"intake.layouts", "intake.lists", "intake.walk"},
    "intake.choice": {"intake.advice", "intake.identifiers", "intake.layouts", "intake.pairs",
                      "intake.walk"},
    "intake.tree": LOW | {"intake.advice", "intake.choice", "intake.faults", "intake.identifiers",
                          "intake.layouts", "intake.lists", "intake.pairs", "intake.sidecars",
                          "intake.walk"},
    "intake.reading": {"intake.annotations", "intake.formats", "intake.intensity",
                       "intake.masks", "intake.values"},
    "intake.looks": LOW | {"intake.formats", "intake.intensity", "intake.masks", "intake.reading",
                           "intake.tree", "intake.values"},
    "intake.partners": LOW | {"intake.layouts", "intake.pairs", "intake.sidecars",
                              "intake.walk"},
    "intake.splits": set(),
    "intake.audit": {"intake.intensity", "intake.layouts", "intake.looks", "intake.masks",
                     "intake.splits", "intake.tree"},
    "intake.manifest": LOW | {"intake.audit", "intake.faults", "intake.splits", "intake.tree"},
    "intake.safekeeping": LOW,
    "intake.sources": {"phantom", "workspace", "intake.lists", "intake.safekeeping",
                       "intake.tree"},
    "intake.writing": {"datasets", "intake.audit", "intake.looks", "intake.reading",
                       "intake.tree"},
    "intake.prepare": LOW | {"datasets", "intake.audit", "intake.looks", "intake.manifest",
                             "intake.safekeeping", "intake.sources", "intake.splits",
                             "intake.tree", "intake.writing"},
    "datasets": LOW, "pixels": set(), "batches": LOW | {"datasets", "pixels", "augmentation"},
    "augmentation": set(), "architecture": {"parameters"}, "losses": set(), "metrics": set(),
    "calibration": set(), "runs": {"workspace", "bootstrap"},
    "training": {"workspace", "runs"},
    "model_files": LOW, "prediction": {"workspace", "model_files", "pixels"},
    "plotting": set(), "exercises.teacher": set(),
    "exercises.preparing": {"exercises.teacher"}, "exercises.learning": {"exercises.teacher"},
    "experiments": {"architecture", "augmentation", "batches", "losses", "metrics", "prediction",
                    "training"},
    "tables": {"plotting", "workspace"},
    "trials": {"batches", "calibration", "datasets", "experiments", "pixels", "prediction", "runs",
               "training"},
    "parallel": LOW | {"batches", "datasets", "experiments", "runs", "training"},
    "series.plan": {"workspace", "parameters", "runs", "series.yaml_text"},
    "series.yaml_text": set(),
    "series.execute": {"console", "datasets", "workspace", "intake.safekeeping", "series.plan",
                       "series.kernels", "series.progress", "series.report"},
    "series.kernels": {"bootstrap"}, "series.progress": set(), "series.report": {"workspace"},
    "series.sweep": {"datasets", "parameters", "workspace", "series.plan"},
    "series.points": {"datasets", "runs", "workspace", "series.execute", "series.plan",
                      "series.report"},
    "series.study": {"metrics", "plotting", "runs", "series.points"},
    "series.pages": {"series.report", "series.study"},
    "series.collect": {"metrics", "workspace", "series.pages", "series.plan", "series.points",
                       "series.report", "series.sweep"},
    "series.drive": {"bootstrap", "console", "datasets", "workspace", "series.collect",
                     "series.plan", "series.points", "series.probe", "series.report",
                     "series.sweep"},
    "series.probe": {"architecture", "experiments", "losses"},
    "commands.check": LOW | {"bootstrap", "console", "datasets", "parameters", "plotting",
                             "series.probe", "commands.outputs", "intake.audit", "intake.manifest",
                             "intake.masks", "intake.prepare", "intake.sources", "intake.tree",
                             "intake.writing"},
    "commands.labelme": LOW | {"intake.outlines"},
    "commands.truth": LOW | {"metrics", "commands.truth_files", "intake.looks", "intake.masks",
                             "intake.partners", "intake.reading", "intake.values"},
    "commands.truth_files": LOW | {"intake.formats", "intake.masks", "intake.reading",
                                   "intake.values"},
    "commands.pictures": {"intake.layouts", "intake.walk"},
    "commands.outputs": LOW | {"intake.raster"}, "commands.table": LOW,
    "commands.usual": LOW | {"datasets", "runs"}, "commands.doubt": {"commands.usual"},
    "commands.runtimes": LOW | {"bootstrap"},
    "commands.pieces": {"pixels"},
    "commands.models": LOW | {"bootstrap", "model_files", "prediction", "runs", "commands.kept",
                              "commands.pieces", "commands.runtimes", "commands.usual"},
    "commands.kept": LOW | {"commands.convert", "commands.parity", "commands.runtimes"},
    "commands.parity": {"metrics", "phantom", "pixels", "prediction"},
    "commands.convert": LOW | {"bootstrap", "commands.parity", "commands.runtimes",
                               "commands.usual"},
    "commands.card": LOW | {"datasets", "runs", "commands.models", "commands.runtimes"},
    "commands.publish": LOW | {"bootstrap", "phantom", "pixels", "prediction", "commands.card",
                               "commands.convert", "commands.models", "commands.outputs",
                               "commands.parity", "commands.runtimes"},
    "commands.export": LOW | {"commands.convert", "commands.models", "commands.parity",
                              "commands.publish", "commands.runtimes"},
    "commands.job": {"commands.doubt", "commands.labelme", "commands.models", "commands.outputs",
                     "commands.pictures", "intake.dicom_view", "intake.intensity", "intake.raster",
                     "intake.reading"},
    "commands.earlier": {"commands.job", "commands.outputs", "commands.pictures",
                         "commands.table"},
    "commands.summary": {"commands.job", "commands.table", "commands.truth"},
    "commands.predict": LOW | {"console", "commands.earlier", "commands.job", "commands.kept",
                               "commands.labelme", "commands.models", "commands.outputs",
                               "commands.pictures", "commands.summary", "commands.table",
                               "commands.truth", "intake.intensity"},
    "commands.demo": {"bootstrap", "commands.job", "commands.models", "commands.pictures"},
    "__main__": LOW | {"bootstrap", "console", "commands.check", "commands.demo",
                       "commands.export", "commands.job", "commands.predict",
                       "commands.runtimes", "series.plan", "series.drive", "series.execute",
                       "series.report"},
}
TENSORFLOW = {"batches", "augmentation"}  # Keras alone elsewhere: other backends work
WINGS = {"exercises", "phantom"}  # one test file each: what they give lies in their __init__
NOT_MIRRORED = {  # rooms without a test file in their place, and why
    "__main__": "all commands go through it: commands/test_check.py, test_packaging.py",
    "parallel": "it needs several processes and minutes: slow/test_parallel.py",
}


def room(path):
    """Return a room's name, such as "intake.tree"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


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


def own_imports(path):
    """Return the rooms that a file imports."""
    known = {room(p) for p in MODULES}
    parts = [name.split(".")[1:] for name in imported(path) if name.startswith("unet_lib.")]
    return {".".join(p[:n]) for p in parts for n in (1, 2) if ".".join(p[:n]) in known}


@pytest.mark.parametrize("path", MODULES, ids=room)
def test_imports_run_downward_only(path):
    assert own_imports(path) <= MAY_IMPORT[room(path)]
    tensorflow = any(name.split(".")[0] == "tensorflow" for name in imported(path))
    assert not tensorflow or room(path) in TENSORFLOW


def test_no_circle():
    """A room can be imported before all that may import it."""
    left = {name: set(below) for name, below in MAY_IMPORT.items()}
    while ready := {name for name, below in left.items() if not below & set(left)}:
        left = {name: below for name, below in left.items() if name not in ready}
    assert left == {}


def code_lines(path):
    """Count the lines of code of a file: no blank line, comment or docstring."""
    text, told = path.read_text("utf-8"), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(node) is not None:
                told |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    rows = enumerate(text.splitlines(), 1)
    return len([n for n, line in rows if n not in told and line.strip(" #") and
                not line.lstrip().startswith("#")])


def test_rooms_are_small():
    sizes = {room(path): code_lines(path) for path in MODULES}
    assert {name: n for name, n in sizes.items() if n > 200} == {}


def test_every_room_has_its_test_file_in_the_same_place():
    def tested_in(path):
        place = path.relative_to(PACKAGE)
        own = place.with_name(f"test_{place.name}")
        return tests / (f"test_{place.parts[0]}.py" if place.parts[0] in WINGS else own)

    tests = workspace.PROJECT / "tests"
    assert {room(p) for p in MODULES if not tested_in(p).is_file()} == set(NOT_MIRRORED)


def test_no_room_bears_the_name_of_a_learners_variable():
    taken = {"image", "images", "mask", "model", "dataset", "data", "prediction_", "masks_"}
    assert not taken & {room(path) for path in MODULES}


def test_functions_are_short():
    lengths = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_source_segment(path.read_text(), node).replace(
                    ast.get_docstring(node, clean=False) or "", "")
                lengths[f"{room(path)}.{node.name}"] = len(
                    [line for line in text.splitlines() if re.search(r"\w", line)])
    assert {name: n for name, n in lengths.items() if n > 40} == {}
    assert statistics.median(lengths.values()) <= 8


def test_import_is_light_and_silent():
    code = (
        "import sys, unet_lib\nfrom unet_lib import datasets, phantom, workspace\n"
        "from unet_lib.intake import prepare\nfrom unet_lib.series import plan\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=workspace.PROJECT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
