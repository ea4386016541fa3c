"""The functions that a reader writes in the notebooks, lifted out and checked with many inputs."""

import ast
import json
import re
import warnings
import weakref
from types import SimpleNamespace

import cv2
import keras
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from scipy import signal

from unet_lib import (
    datasets,
    metrics,
    parameters,
    phantom,
    pixels,
    plotting,
    prediction,
    runs,
    training,
    workspace,
)  # fmt: skip
from unet_lib.intake import prepare
from unet_lib.series import plan, study

NOTEBOOKS = plan.select(plan.NOTEBOOKS, every=True)


def lift(notebook: str, *names: str, **known) -> dict:
    """Return functions and classes of a notebook by name; `known` is what else they use."""
    (path,) = (p for p in NOTEBOOKS if p.name[:2] == notebook)
    space = {"np": np, "cv2": cv2, "keras": keras, "metrics": metrics, "pixels": pixels, **known}
    wanted = set(names)
    for cell in nbformat.read(path, 4).cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in wanted:
                exec(compile(ast.Module([node], []), path.name, "exec"), space)
                wanted.discard(node.name)
    assert not wanted, f"{path.name} defines no {wanted}"
    return space


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def masks(count=50):
    """Pairs of masks, (9, 11) of 0 and 1, some of them empty or full."""
    rng = np.random.default_rng(0)
    shares = rng.choice([0, 0.02, 0.3, 0.7, 1], (count, 2))
    return [[(rng.random((9, 11)) < share).astype(int) for share in both] for both in shares]


def test_dice_of_notebook_02_is_the_librarys():
    dice = lift("02", "dice")["dice"]
    for truth, guess in masks():
        assert dice(truth, guess) == pytest.approx(metrics.dice(truth, guess))


def test_mean_dice_of_notebook_02_is_the_mean_of_each():
    mean_dice = lift("02", "mean_dice")["mean_dice"]
    pairs = [(truth, guess) for truth, guess in masks() if truth.any()]
    truths, guesses = (np.array(part) for part in zip(*pairs, strict=True))
    expected = np.mean([metrics.dice(*pair) for pair in pairs])
    assert mean_dice(truths, guesses) == pytest.approx(expected)


def test_load_pairs_of_notebook_02_reads_what_the_library_reads(tmp_path):
    phantom.write_primary_tree(tmp_path / "source", train=4, test=0, seed=2)
    split = prepare.restructure(tmp_path / "source", tmp_path / "data", val_fraction=0.5)["split"]
    found = lift("02", "read_pair", "load_pairs", datasets=datasets)["load_pairs"]
    images, truths = found(tmp_path / "data", split["train"], 32)
    pairs = datasets.read_pairs(tmp_path / "data", split["train"])
    for image, truth, (large, mask) in zip(images, truths, pairs, strict=True):
        assert np.array_equal(image, pixels.resize_image(large, 32))
        assert np.array_equal(truth, pixels.resize_mask(mask, 32))


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_convolution_of_notebook_03_is_scipys_correlation(side):
    convolve = lift("03", "convolve_by_hand")["convolve_by_hand"]
    rng = np.random.default_rng(side)
    image, kernel = rng.normal(size=(7, 10)), rng.normal(size=(side, side))
    full = signal.correlate2d(image, kernel, mode="full")
    start = side // 2  # Keras puts the odd zero of an even kernel at the right and the bottom
    expected = full[start : start + 7, start : start + 10]
    assert np.allclose(convolve(image, kernel), expected)


def test_pooling_of_notebook_03_is_keras():
    pool = lift("03", "pool")["pool"]
    image = np.random.default_rng(0).random((8, 12), dtype=np.float32)
    by_keras = keras.layers.MaxPooling2D()(image[None, ..., None])[0, ..., 0]
    assert np.array_equal(pool(image), by_keras)


@pytest.mark.parametrize(
    ("low", "high", "active", "val_dice", "word"),
    [(0.5, 0.549, 1.0, 0.5, "is grey"), (0.5, 0.551, 0.5, 0.5, ""), (0.1, 0.9, 0.0, 0.5, "is grey"),
     (0.1, 0.4, 0.5, 0.009, "finds nothing"), (0.1, 0.9, 0.5, 0.01, "")],
)
def test_the_alarm_of_notebook_04_warns_in_three_epochs_only(low, high, active, val_dice, word):
    """Of probabilities that lie within 0.05, a dead last layer, or a Dice that stays at 0."""
    looked = []

    def probe(unet, stack):
        looked.append((unet, stack.shape))
        return {"min": low, "max": high, "layer": "conv2d_22", "active": active}

    known = {"training": SimpleNamespace(probe=probe), "warnings": warnings}
    known |= {"val_images": np.zeros((6, 8, 8), np.uint8)}
    callback = lift("04", "GreyWarning", **known)["GreyWarning"]()
    callback.set_model("the model")
    for epoch in range(3):
        with warnings.catch_warnings(record=True, action="always") as caught:
            callback.on_epoch_end(epoch, {"val_dice": val_dice})
        texts = [str(warning.message) for warning in caught]
        share = f"{low:.3f} and {high:.3f}, Dice is {val_dice:.3f}, and {active:.0%} of the filters"
        assert len(texts) == bool(word) and all(share in text for text in texts)
        assert all(f"my prediction {word}: " in text for text in texts)
        assert all(f"after epoch {epoch + 1} " in text for text in texts)
    callback.on_epoch_end(3, {"val_dice": val_dice})  # pytest turns a warning into an error
    assert looked == [("the model", (4, 8, 8, 1))] * 3


def test_slope_and_descent_of_notebook_04_go_to_the_lowest_point():
    space = lift("04", "loss_at", "slope_at", feature=np.array([2.0, 1.0, 0.5, -1.0]),
                 truth=np.array([1, 1, 0, 0]))
    weights = np.linspace(-3, 5, 81)
    losses = np.array([space["loss_at"](weight) for weight in weights])
    slopes = np.array([space["slope_at"](weight) for weight in weights])
    assert np.allclose(slopes[1:-1], np.gradient(losses, weights)[1:-1], atol=2e-3)
    assert slopes[weights < 1.7].max() < 0 < slopes[weights > 1.8].min()


class Pupil:
    """Stands for a model that has made some steps."""

    def __init__(self, steps):
        self.optimizer = SimpleNamespace(iterations=steps)


def test_strip_of_notebook_04_keeps_five_epochs_and_no_start_that_was_resumed(tmp_path):
    seen = []

    def predict_squares(model, squares):
        seen.append(squares.shape)
        return np.full((1, 8, 8), 0.4, np.float32)

    known = {"prediction": SimpleNamespace(
        predict_squares=predict_squares, foreground=lambda model: model), "run": tmp_path}
    known |= {"val_images": np.zeros((6, 8, 8), np.uint8)}
    strip = lift("04", "Strip", **known)["Strip"]()
    strip.set_model(Pupil(steps=26))
    strip.on_train_begin()
    assert not (tmp_path / "strip").exists()
    strip.set_model(Pupil(steps=0))
    strip.on_train_begin()
    for epoch in range(12):
        strip.on_epoch_end(epoch)
    kept = sorted(path.name for path in (tmp_path / "strip").iterdir())
    assert kept == [f"epoch-{epoch:02}.png" for epoch in (0, 1, 2, 5, 10)]
    assert seen == [(1, 8, 8)] * 5
    assert (datasets.read_image(tmp_path / "strip" / kept[0]) == 102).all()


def prepared_run(cells=("derive", "resume"), **values) -> dict:
    """Run what notebook 04 does before a training, with other values; return what it defined."""
    (path,) = (p for p in NOTEBOOKS if p.stem == "04_train")
    source = {cell.id: cell.source for cell in nbformat.read(path, 4).cells}
    known = (datasets, keras, parameters, runs, training, workspace)
    space = {module.__name__.rpartition(".")[2]: module for module in known}
    space |= {"Strip": keras.callbacks.Callback, "GreyWarning": keras.callbacks.Callback}
    exec(source["parameters"], space)
    space |= values
    for cell in cells:
        exec(source[cell], space)
    return space


def test_tensorboard_of_notebook_04_writes_where_asked_and_is_no_other_run(tmp_path, monkeypatch):
    """A run that was begun, or has finished, is taken up with it and without."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    phantom.write_primary_tree(tmp_path / "source", train=4, test=0)
    values = {"source": str(tmp_path / "source"), "val_fraction": 0.5, "epochs": 2}
    manifest = prepare.restructure(tmp_path / "source", workspace.data_dir("phantom"),
                                   val_fraction=0.5)
    assert manifest["written"]
    unet = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    unet.compile(loss="mse")
    stack, files = np.ones((4, 3)), []
    for epoch, asked in enumerate((False, True)):
        space = prepared_run(tensorboard=asked, **values)
        watch = [c for c in space["callbacks"] if isinstance(c, keras.callbacks.TensorBoard)]
        unet.fit(stack, np.ones((4, 1)), validation_data=(stack, np.ones((4, 1))), verbose=0,
                 initial_epoch=epoch, epochs=epoch + 1, callbacks=watch)
        files.append(sorted(f.parent.name for f in space["run"].rglob("events.*")))
    assert files == [[], ["train", "validation"]]
    record = runs.read_record(space["run"])
    workspace.write_json(space["run"] / "run.json", record | {"status": "finished"})
    prepared_run(tensorboard=False, **values)
    assert runs.read_record(space["run"])["status"] == "finished"  # opened, not begun anew
    prepared_run(["derive"], **values)  # the same again: no word
    with pytest.raises(ValueError, match="started differently: learning_rate was"):
        prepared_run(["derive"], **values, learning_rate=0.5)  # before any work


@pytest.mark.parametrize("notebook, cell, known", [
    ("04", "close", {"history": {f"val_{m}": [0.5] for m in ("loss", "accuracy", "dice")},
                     "run": None, "parts": 2, "epochs": 1,
                     "unet": keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
                     "best_epoch": 1}),
    ("05", "set-table", {"summarize_all": lambda rows: {"dice": dict.fromkeys(
        ("mean", "median", "low", "high"), 0.5)}, "rows": [], "validation_ids": []}),
])  # fmt: skip
def test_a_dice_below_the_required_one_says_what_to_do(monkeypatch, notebook, cell, known):
    monkeypatch.setattr(runs, "close_run", lambda *_, **__: {"best_epoch": 1, "seconds": 1})
    told = "Dice 0.5000 is below required_dice 0.85: .*more epochs.*lower required_dice"
    with pytest.raises(AssertionError, match=told):
        run_cell(notebook, cell, runs=runs, required_dice=0.85, **known)
    run_cell(notebook, cell, runs=runs, required_dice=0.5, **known)


def run_cell(notebook: str, cell_id: str, **known) -> dict:
    """Run one cell of a notebook with what it needs from the cells before; return all names."""
    (path,) = (workspace.PROJECT / "notebooks").glob(f"{notebook}_*.ipynb")
    (source,) = (cell.source for cell in nbformat.read(path, 4).cells if cell.id == cell_id)
    space = {"np": np, "metrics": metrics, **known}
    exec(compile(source, f"{path.name}, {cell_id}", "exec"), space)
    return space


def test_notebook_05_scores_each_class_against_all_others_and_takes_the_mean():
    mask = np.array([[1, 1, 2, 0], [1, 1, 2, 0]])
    guess = np.array([[1, 1, 1, 0], [1, 1, 2, 0]])
    known = {"unet": None, "folder": None, "validation_ids": ["a"], "classes": ["one", "two"]}
    known["datasets"] = SimpleNamespace(read_pairs=lambda *_: [(None, mask)])
    known["prediction"] = SimpleNamespace(
        predict=lambda *_: np.eye(3)[guess], to_mask=lambda p: p.argmax(axis=2))
    found = run_cell("05", "set-loop", **known)
    ((one, two),) = found["by_class"]
    assert (one["dice"], two["dice"], two["recall"]) == (8 / 9, 2 / 3, 1 / 2)
    assert found["scores"]["dice"] == pytest.approx([(8 / 9 + 2 / 3) / 2])
    assert np.all(np.array(found["curves"]) == 1)  # of both classes together


@pytest.mark.parametrize("classes, threshold, said", [
    ([], 0.2, "b\nDice 0.30 at 0.50\nDice 0.60 at 0.20"),
    ([], 0.5, "b\nDice 0.30 at 0.50"),
    (["left", "right"], 0.2, "b\nDice 0.30 at 0.50")])
def test_notebook_05_gives_the_worst_cases_their_dice_at_both_thresholds(classes, threshold, said):
    """At the one where the two are the same, or where of several classes none is chosen."""
    shown, best = [], 0 if threshold == 0.2 else 1
    run_cell("05", "worst", classes=classes, threshold=threshold, best=best, plt=plt,
             scores={"dice": [0.9, 0.3]}, curves=[[0.8, 0.9], [0.6, 0.3]],
             validation_ids=["a", "b"], gallery=lambda *given: shown.append(given))
    ((names, titles, levels),) = shown
    assert names == ["b", "a"] and titles[0] == said
    assert levels == tuple(dict.fromkeys([0.5] if classes else [0.5, threshold]))


def test_distances_of_notebook_06_are_the_librarys():
    distances = lift("06", "distances")["distances"]
    for truth, guess in masks():
        if truth.any() and guess.any():
            there, back = metrics.surface_distances(truth, guess)
            assert np.allclose(sorted(distances(truth, guess)), sorted(there))
            assert np.allclose(sorted(distances(guess, truth)), sorted(back))


def test_dices_of_notebook_09_hold_a_pair_at_a_time(threshold_model):
    """They are the reader's own pictures, and may be many and large."""
    living, most = weakref.WeakSet(), []

    class Picture(np.ndarray):  # a plain array cannot be a key
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    def read_pairs(folder, names):
        for name in names:
            image, mask, _ = phantom.draw(name, size=64)
            picture = image.view(Picture)
            living.add(picture)
            most.append(len(living))
            yield picture, mask > 0
            del picture

    known = {"datasets": SimpleNamespace(read_pairs=read_pairs), "prediction": prediction,
             "target": None}
    found = lift("09", "dices", **known)["dices"](threshold_model, range(5))
    drawn = [phantom.draw(name, size=64) for name in range(5)]
    assert found == pytest.approx([
        metrics.dice(mask > 0, prediction.predict(threshold_model, image) >= 0.5)
        for image, mask, _ in drawn])
    assert len(most) == 5 and max(most) <= 2


def test_reliability_curves_of_notebook_06_differ_in_marker_and_line():
    draw = lift("06", "reliability_curves", plt=plt, plotting=plotting)["reliability_curves"]
    curve = {"said": [0.1, 0.9], "found": [0.2, 0.8], "error": 0.1}
    draw({"a": curve, "b": curve})
    (ax,) = plt.gcf().axes
    assert ax.get_legend_handles_labels()[1] == ["calibrated", "a, ECE 0.100", "b, ECE 0.100"]
    assert ax.lines[1].get_xydata().tolist() == [[0.1, 0.2], [0.9, 0.8]]
    assert [line.get_marker() for line in ax.lines[1:]] == ["o", "s"]
    assert [line.get_linestyle() for line in ax.lines[1:]] == ["-", "--"]


def test_dice_of_an_accuracy_in_notebook_07():
    """Where as many pixels are missed as invented, the formula is exact."""
    dice_of = lift("07", "dice_of")["dice_of"]
    for shift in range(1, 4):
        truth = np.zeros((10, 20), int)
        truth[2:8, 4:12] = 1
        guess = np.roll(truth, shift, axis=1)
        found = dice_of(metrics.score(truth, guess)["accuracy"], truth.mean())
        assert found == pytest.approx(metrics.dice(truth, guess))
    assert dice_of(0.95, 0.01) == 0


@pytest.mark.parametrize("classes, held, said", [
    ([], {0, 255}, "made with the threshold 0.20"),
    (["right", "left"], {0, 2}, "each pixel of the most probable class")])
def test_notebook_05_says_how_it_made_the_masks_of_test_images(
        tmp_path, capsys, classes, held, said):
    """A threshold has no part in it where there are several classes."""
    from unet_lib import prediction

    (tmp_path / "test").mkdir()
    grey = np.tile(np.uint8([0, 255]), (4, 2))
    cv2.imwrite(str(tmp_path / "test" / "a.png"), grey)
    chance = np.eye(3)[grey // 255 * 2] if classes else grey / 255 * 0.3
    space = {"np": np, "cv2": cv2, "datasets": datasets, "workspace": workspace, "unet": None,
             "folder": tmp_path, "run": tmp_path, "manifest": {"test": ["a"]}, "classes": classes,
             "threshold": 0.2, "prediction": SimpleNamespace(
                 predict=lambda *_: chance, to_mask=prediction.to_mask)}
    (path,) = (workspace.PROJECT / "notebooks").glob("05_*.ipynb")
    cells = {cell.id: cell.source for cell in nbformat.read(path, 4).cells}
    exec(cells["test"], space)
    assert said in capsys.readouterr().out
    written = cv2.imread(str(tmp_path / "predictions" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(written)) == held
    assert '"threshold": None if classes else threshold' in cells["metrics"]


@pytest.mark.parametrize("known, retrain", [(True, True), (False, True), (True, False)])
def test_the_test_score_of_notebook_07_stands_beside_that_of_validation(tmp_path, known, retrain):
    """Where the truth is known; and what notebook 05 has written of the run stays."""
    truth = np.zeros((2, 8, 8), np.uint8)
    truth[:, 2:6, 2:6] = 255
    guess = truth.copy()
    guess[1, 2:6, 4:6] = 0  # Dice 2/3
    for kind, pictures in {"test": guess, **({"test_truth": truth} if known else {})}.items():
        (tmp_path / kind).mkdir()
        for name, picture in zip("ab", pictures, strict=True):
            cv2.imwrite(str(tmp_path / kind / f"{name}.png"), picture)
    earlier = {"validation": {"dice": {"mean": 0.5}}, "threshold": {"value": 0.2}}
    workspace.write_json(tmp_path / "metrics.json", earlier)
    space = {"np": np, "json": json, "metrics": metrics, "datasets": datasets, "folder": tmp_path,
             "workspace": workspace, "second": tmp_path, "unets": {"second": None},
             "manifest": {"test": ["a", "b"], "classes": ["left", "right"]},
             "judged": {"second": {"dice": np.array([0.9])}},
             "prediction": SimpleNamespace(predict=lambda _, image: image / 255, load=str),
             "retrain": retrain, "run_name": "first", "runs": runs, "paired": {"mean": 0.1},
             "card": SimpleNamespace(write=lambda path, *more: cards.append((path.name, *more)))}
    cards = []
    (path,) = (workspace.PROJECT / "notebooks").glob("07_*.ipynb")
    exec(next(c.source for c in nbformat.read(path, 4).cells if c.id == "test"), space)
    found = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert found["compared_with"] == {"run": "first", "dice_gain": {"mean": 0.1}}
    assert found["validation"]["dice"]["mean"] == pytest.approx(0.9 if retrain else 0.5)
    assert ("threshold" in found) is not retrain and ("test" in found) is known
    assert cards == [("best.keras", str(tmp_path / "best.keras"), ["left", "right"])]
    if known:
        assert found["test"]["dice"]["mean"] == pytest.approx(5 / 6)
        assert found["test"]["dice"]["n"] == 2


def printed(notebook, cell_id):
    (path,) = (p for p in NOTEBOOKS if p.name[:2] == notebook)
    (cell,) = (cell for cell in nbformat.read(path, 4).cells if cell.id == cell_id)
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_recipe_that_notebook_07_finds_helps_on_validation_and_on_test_images():
    """In the committed outputs: Dice at least 0.02 above the first run, and a test score beside."""
    means = re.findall(r"'dice': ([\d.]+)", printed("07", "compare"))
    first, second = map(float, means)
    assert second >= first + 0.02
    found = dict(re.findall(r"^(\w+) +Dice ([\d.]+)", printed("07", "test"), re.M))
    assert set(found) == {"validation", "test"} and float(found["test"]) >= first + 0.02


@pytest.mark.parametrize(("count", "deviation"), [(1, 0.1), (3, 0.02), (40, 2.0)])
def test_the_luck_of_notebook_10_is_that_on_the_page_of_a_sweep(count, deviation):
    expected_maximum = lift("10", "expected_maximum")["expected_maximum"]
    for seed in (0, 7):
        expected = study.expected_maximum(count, deviation, seed=seed)
        assert expected_maximum(count, deviation, seed=seed) == pytest.approx(expected)


def test_macs_of_notebook_08_agree_with_the_published_13_74_gmac():
    from unet_lib import architecture

    macs = lift("08", "macs")["macs"]
    assert macs(architecture.build_unet(512)) / 1e9 == pytest.approx(13.74, abs=0.01)
