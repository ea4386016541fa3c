"""The shipped sweep files ask for what notebooks 07 and 08 compute, and for best.yaml in folds."""

import nbformat
import pytest

from unet_lib import experiments, parameters, trials, workspace
from unet_lib.series import plan, sweep

FOLDER = workspace.PROJECT / "workflow" / "sweeps"
SEEDS = (0, 1, 2)


def asked(name):
    """Return what each point trains: recipe, epochs, pairs and seed, as a set of texts."""
    found = []
    for point in sweep.read(FOLDER / f"{name}.yaml").points:
        train, evaluate = (plan.defaults(n) | v for n, v in point.run.parameters.items())
        assert evaluate["judged_epoch"] == "last" and train["precision"] == "float32"
        assert not train["flip"] and train["required_dice"] == 0
        recipe = {name: train[name] for name in experiments.ORIGINAL}
        recipe["augment"] = "both" if train["augment"] else "none"
        found.append((recipe, train["epochs"], train["training_pairs"], train["seed"]))
    return {repr((sorted(recipe.items()), *rest)) for recipe, *rest in found}


def wanted(recipes):
    """The same of (recipe, epochs, pairs)."""
    return {repr((sorted((experiments.ORIGINAL | recipe).items()), epochs, pairs, seed))
            for recipe, epochs, pairs in recipes for seed in SEEDS}


def run_cell(notebook, cell_id, **known):
    (path,) = (p for p in plan.select(plan.NOTEBOOKS, every=True) if p.name[:2] == notebook)
    space = {"experiments": experiments, **known}
    (cell,) = (cell for cell in nbformat.read(path, 4).cells if cell.id == cell_id)
    exec(cell.source, space)
    return space


def test_suspects_are_the_trials_of_notebook_07_that_parameters_can_say():
    given = plan.read_parameters(str(plan.NOTEBOOKS / "params" / "close_the_gap.yaml"))
    size, epochs = given["experiment_size"], given["experiment_epochs"]
    assert (given["experiment_seeds"], given["experiment_pairs"]) == (len(SEEDS), 0)
    known = run_cell("07", "ladder", experiment_size=size)["ladder"] | {
        name: recipe for (suspect, name), recipe in trials.variants(size).items()
        if suspect != "death"}
    said = {"epochs", *experiments.ORIGINAL}
    left = {name for name, recipe in known.items()
            if set(recipe) - said or recipe["augment"] in ("geometry", "intensity")}
    assert left == {"50% mispaired", "75% mispaired", "100% mispaired", "grey masks",
                    "the original's, mispaired", "then images × 4", "geometry only",
                    "intensity only"}
    recipes = [({k: v for k, v in recipe.items() if k != "epochs"}, recipe.get("epochs", epochs), 0)
               for name, recipe in known.items() if name not in left]
    assert len(recipes) == 20 and asked("suspects") == wanted(recipes)


def test_widths_are_those_of_notebook_08():
    given = plan.read_parameters(str(plan.NOTEBOOKS / "params" / "how_wide.yaml"))
    epochs, size = given["experiment_epochs"], given["experiment_size"]
    recipes = run_cell("08", "situations", experiment_size=size)["recipes"]
    parameters.check(situations=",".join(recipes))
    pairs = 425
    assert asked("widths") == wanted([
        (recipe | {"width": int(width)}, epochs * (4 if few else 1), pairs // 10 if few else pairs)
        for name, recipe in recipes.items() for few in [name.startswith("few")]
        for width in given["widths"].split(",")])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_sweep_runs_anywhere_and_says_how(path):
    text = path.read_text("utf-8")
    assert f"make sweep SWEEP=workflow/sweeps/{path.name}" in text
    found = sweep.read(path)
    assert {run.data["source"] for run in found.makers.values()} == {"kaggle"}
    assert len(found.makers) == len({point.varied.get("split") for point in found.points})


def test_cross_validation_is_best_yaml_with_nothing_chosen_on_the_fold_that_scores():
    found = sweep.read(FOLDER / "cross_validation.yaml")
    assert [point.varied for point in found.points] == [{"split": f"{k}/5"} for k in range(1, 6)]
    best = plan.read_parameters(str(plan.NOTEBOOKS / "params" / "best.yaml"))
    for point in found.points:
        train, evaluate = (plan.defaults(n) | v for n, v in point.run.parameters.items())
        assert evaluate["judged_epoch"] == "last" and train["required_dice"] == 0
        differ = {name for name, value in best.items() if train.get(name, value) != value}
        assert differ == {"run_name", "dataset", "required_dice"}
