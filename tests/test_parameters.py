"""Every parameter: both sides of each bound, the refusal, and what notebooks declare."""

import ast
import math
import subprocess
import sys

import nbformat
import pytest

from unet_lib import parameters, workspace
from unet_lib.series import plan

NOTEBOOKS = plan.select(plan.NOTEBOOKS, every=True)
MOST = 2**31 - 1
BOUNDS = [  # name, what is allowed, what is not, right beside it
    ("phantoms", [1, 9000], [0, 9001]),
    ("phantom_masks", ["both", "sides"], ["", "left"]),
    ("val_fraction", [1e-9, 1 - 1e-9], [0, 0.0, 1, 1.0, -0.1]),
    ("split_seed", [0, MOST], [-1, MOST + 1]),
    ("seed", [0, MOST], [-1, MOST + 1]),
    ("split", ["stratified", "2/5"], ["", "6/5"]),
    ("group_by", ["", r"^(\d+)_"], ["("]),
    ("mask_values", ["auto", "1", "1,2", "1-9", "#ff0000", "lung", "right lung=1, left lung=2"],
     ["", "1,,2", "=1", "lung="]),
    ("intensity", ["auto", "0,4095"], ["", "2,1"]),
    ("invert", ["no", "auto", "yes"], ["", "No"]),
    ("empty_masks", ["exclude", "keep"], ["", "Keep"]),
    ("follow_links", [True, False], [0, 1, "yes"]),
    ("image_size", [16, 32, 4096], [0, 15, 17, 24, 4112, -16]),
    ("batch_size", [1, 10**6], [0, -1]),
    ("learning_rate", [1e-9, 1 - 1e-9], [0, 1, -0.1, 1.1]),
    ("epochs", [1, 10**6], [0, -1]),
    ("width", [1, 64], [0, -1]),
    ("head", ["original", "direct"], ["", "seed"]),
    ("normalization", ["none", "batch"], ["", "layer"]),
    ("dropout", [0, 0.0, 1 - 1e-9], [-1e-9, 1, 1.0]),
    ("loss", ["bce", "bce_dice", "dice", "focal"], ["", "BCE"]),
    ("schedule", ["constant", "cosine"], ["", "step"]),
    ("augmentation_strength", [1e-9, 4 - 1e-9], [0, 4, 4.0, -1]),
    ("precision", ["float32", "mixed_bfloat16", "mixed_float16"], ["", "float16"]),
    ("training_pairs", [0, 10**6], [-1]),
    ("judged_epoch", ["best", "last"], ["", "first"]),
    ("required_dice", [0, 1, 0.85], [-1e-9, 1 + 1e-9]),
    ("parts", [1, 10**6], [0, -1]),
    ("tolerance_width", [0, 1 - 1e-9], [-1e-9, 1]),
    ("draws", [2, 10**6], [1, 0]),
    ("experiment_size", [16, 32, 4096], [0, 15, 17, 4112]),
    ("experiment_epochs", [1], [0]),
    ("experiment_seeds", [1], [0]),
    ("experiment_pairs", [0, 10**6], [-1]),
    ("labelled_pairs", [1, 10**6], [0]),
    ("tuning_updates", [1, 10**6], [0]),
    ("sweep_file", ["", "notebooks/params/smoke.yaml"], ["README.md", "no/such.yaml"]),
    ("sweep_epochs", [1, 10**6], [0]),
    ("sweep_seeds", [1, 10**6], [0]),
    ("scale_epochs", [1, 10**6], [0]),
    ("sweep_cores", [0, 10**6], [-1]),
    ("experiment_minutes", [0, 0.5, 1e9], [-1e-9]),
    ("widths", ["4", "4, 8", "4,8,16"], ["", "0", "4, ", "4, x", "-4", "4.0"]),
    ("sizes", ["16", "128, 256"], ["", "0", "128,", "x", "100", "128, 250"]),
    ("repeats", [1, 10**6], [0, -1]),
    ("suspects", ["all", "dropout", "dropout, loss"], ["", "a,,b", "loss, x", "all,loss"]),
    ("situations", ["all", "ours", "few,few+"], ["", "ours,", "theirs"]),
    ("dataset", ["a", "A9._-"], ["", "..", "a/b", ".a", "a b"]),
    ("run_name", ["a", "A9._-", "a/b"], ["", "..", "a/../b", "a/b/c", "a/", "/a", ".a", "a b"]),
    ("external_dataset", ["", "a"], ["..", "a/b", " "]),
    ("other_run", ["", "a", "a/b"], ["..", "a/b/c", " "]),
    ("standardize", [True, False], [0, 1, "yes"]),
    ("augment", [True, False], [0, 1, "yes"]),
    ("flip", [True, False], [0, 1, "yes"]),
    ("own_table", [True, False], [0, 1, "yes"]),
    ("retrain", [True, False], [0, 1, "yes"]),
    ("tensorboard", [True, False], [0, 1, "yes"]),
    ("source", ["phantom", "kaggle", "notebooks"], ["", "no/such/folder"]),
]


@pytest.mark.parametrize(("name", "good", "bad"), BOUNDS, ids=[name for name, *_ in BOUNDS])
def test_both_sides_of_every_bound(name, good, bad):
    for value in good:
        parameters.check(**{name: value})
    for value in bad:
        with pytest.raises(ValueError, match=f"^{name} must be ") as caught:
            parameters.check(**{name: value})
        assert f", got {value!r}; " in str(caught.value)


def test_every_parameter_has_its_bounds_tested():
    assert {name for name, *_ in BOUNDS} == set(parameters.TABLE)


@pytest.mark.parametrize("name", parameters.TABLE)
def test_what_is_of_another_type_is_refused(name):
    kind = parameters.TABLE[name].kind
    wrong = [None, math.nan, math.inf, -math.inf, [], {}, b"x"]
    wrong += [] if kind is str else ["1", ""]
    wrong += [] if kind is bool else [True, False]
    wrong += [2.0, 16.0, 0.5] if kind in (int, str) else []
    for value in wrong:
        with pytest.raises(ValueError, match=f"^{name} must be "):
            parameters.check(**{name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_size": 100}, "image_size must be a multiple of 16 (four poolings halve it), "
                              "16 or more, got 100; use 96 or 112"),
        ({"draws": 1}, "draws must be a whole number (one has no deviation), 2 or more, got 1; "
                       "use 2"),
        # what papermill and YAML 1.1 hand on as text
        ({"learning_rate": "1e-4"}, "got '1e-4'; use 0.0001"),
        ({"run_name": "a/b/c"}, "got 'a/b/c'; use for example run_name='a_b_c'"),
        ({"strength": 2}, "the series has no parameter 'strength'; "
                          "did you mean 'augmentation_strength'?"),
        ({"foreign": "x"}, "did you mean 'external_dataset'?"),
        ({"epoch": 1}, "did you mean 'epochs'?"),
        ({"zzz": 1}, "there are: augment, augmentation_strength"),
    ],
)
def test_the_refusal_tells_what_would_do(given, message):
    with pytest.raises(ValueError) as caught:
        parameters.check(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", parameters.TABLE)
def test_the_remedy_is_itself_allowed(name):
    """Where a message says "use X", X must pass."""
    rule = parameters.TABLE[name]
    for value in (None, 7, -3, 0, 0.3, "x y", 10**12):
        text = rule.remedy(value).split("use ", 1)[-1].removeprefix("for example ")
        text = text.split("=", 1)[-1] if text.startswith(f"{name}=") else text
        word = text.split(" or ")[0].split(", the")[0].split(" for ")[0].split(";")[0]
        if word.startswith("did you mean "):
            word = word.removeprefix("did you mean ").rstrip("?")
        if not word.startswith(("looked", "write")):
            parameters.check(**{name: ast.literal_eval(word)})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_declare_only_what_the_table_knows_and_allows(path):
    cells = nbformat.read(path, 4).cells
    source = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
    declared = {node.target.id: ast.literal_eval(node.value) for node in lines}
    assert declared
    parameters.check(**declared)
    kinds = {node.target.id: node.annotation.id for node in lines}
    assert kinds == {name: parameters.TABLE[name].kind.__name__ for name in declared}


def test_every_parameter_of_the_table_is_declared_somewhere():
    text = "".join(path.read_text("utf-8") for path in NOTEBOOKS)
    assert [name for name in parameters.TABLE if f'"{name}: ' not in text] == []


def test_nothing_heavy_is_imported():
    code = (
        "import sys, unet_lib.parameters\n"
        "heavy = {'numpy', 'cv2', 'yaml', 'keras', 'tensorflow', 'papermill'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=workspace.PROJECT)


def test_all_parameters_among_other_names_are_checked():
    parameters.check_all({"epochs": 3, "np": math, "_": None})
    with pytest.raises(ValueError, match="epochs must be a whole number, 1 or more, got 0"):
        parameters.check_all({"np": math, "epochs": 0})


def test_names_that_papermill_set_and_nobody_knows_are_refused():
    sets = '# Parameters\nepochs = 7\nsource = "a\\nb = 1"\nsettings = 3\n'
    with pytest.raises(ValueError, match="no parameter 'settings'"):
        parameters.check_all({"In": ["settings = {}", "epochs: int = 2", sets], "settings": 3})
    names = {"In": ["", "# my Parameters\nepoch = 7", sets.replace("settings", "seed")]}
    parameters.check_all(names | {"epoch": 7, "size": 3})  # nobody but papermill asked for it


@pytest.mark.parametrize("cells", [
    ["", "epochs: int = 2\nfolds: int = 5", "# Parameters\nfolds = 3"],  # its own defaults name it
    ["", "", "# Parameters\nepoch = 7", "check_all", "# Parameters\nepochs = 7"],  # corrected
    ["", "", "# Parameters\nepochs = 7"], [],
])  # fmt: skip
def test_names_of_a_notebook_of_ones_own_and_corrected_ones_pass(cells):
    parameters.check_all({"In": cells, "epochs": 7, "epoch": 7, "folds": 3})
