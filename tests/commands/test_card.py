"""The card of a model: what was measured stands in it, and nothing else does."""

import shutil
from types import SimpleNamespace

import pytest

from unet_lib import datasets, workspace
from unet_lib.commands import card, models

SHA = "ab" * 32
MANIFEST = {"data_sha256": SHA, "source": "phantom (120 pairs)", "split_rule": "stratified",
            "split_seed": 3, "groups": {"a": "1"}, "split": {"train": ["a"] * 102,
                                                             "validation": ["b"] * 18}}
ROW = {"mean": 0.93766, "median": 0.94, "low": 0.93047, "high": 0.94404, "n": 18}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run, on a data set of which `source` says where it comes from."""
    folder = workspace.run_dir("mine")
    folder.mkdir(parents=True)
    for name in ("best", "last"):
        (folder / f"{name}.keras").write_text(name)
    asked = {"dataset": "chests", "seed": 5, "loss": "bce", "learning_rate": 0.0003,
             "schedule": "constant", "batch_size": 4, "augment": True, "epochs": 10}
    workspace.write_json(folder / "run.json", {
        "status": "finished", "parameters": asked, "data_sha256": SHA, "epochs": 10,
        "best_epoch": 7, "versions": {"keras": "3.15.1"}, "commit": "c0ffee"})
    score(folder)

    def made(source=MANIFEST["source"], **changed):
        told = MANIFEST | {"source": source} | changed
        monkeypatch.setattr(datasets, "load_manifest", lambda _: told)
        return folder

    return made


def score(folder, **more):
    workspace.write_json(folder / "metrics.json", {"validation": {"dice": ROW}, **more})


def of(path, *classes):
    unet = SimpleNamespace(input_shape=(None, 32, 32, 1), count_params=lambda: 1234)
    return card.of(path, unet, classes, name="mine")


def test_the_shipped_model_has_the_card_and_the_number_that_stand_beside_it(tmp_path):
    shutil.copy(models.SHIPPED, tmp_path / "other.keras")
    for path in (models.SHIPPED, tmp_path / "other.keras"):
        found = card.of(path, None, name="lungs")
        assert found.text == (models.SHIPPED.parent / "README.md").read_text("utf-8")
        (one,) = found.scores
        assert f"| the others | {one.number} | {one.dice:.3f} |" in found.text
        assert (found.licence, found.ours, one.interval) == ("MIT", True, None)


def test_a_run_tells_its_data_seeds_and_scores(run):
    folder = run()
    score(folder, test={"dice": ROW | {"n": 12}}, external={"dataset": "far", "dice": ROW})
    found = of(folder / "best.keras")
    for line in (
        "A U-Net of 1,234 parameters", "a grey picture of 32 × 32 px",
        "| training pairs, validation pairs | 102, 18 |",
        "| split | stratified, random seed 3, groups stay together |",
        "| random seed of the training | 5 |", f"| SHA-256 of the data | {SHA} |",
        "| epochs | 10; the lowest validation loss in 7 |", "| commit | c0ffee |",
        "| loss, learning rate | bce, 0.0003 (constant) |", "| augmentation | yes |",
        "| validation | 18 | 0.938 | 0.930 to 0.944 |", "| test | 12 | 0.938 | 0.930 to 0.944 |",
        "| external | 18 | 0.938 | 0.930 to 0.944 |", "**Not for clinical use.**",
    ):
        assert line in found.text, line
    assert found.licence == "MIT" and not found.ours
    assert "'far'" in found.scores[2].dataset and "phantoms" in found.scores[0].dataset


@pytest.mark.parametrize("source, told", [
    ("/home/me/clinic", "a data set called 'chests'"),
    ("kaggle:owner/name", "kaggle:owner/name"),
    ("kaggle", "`source: kaggle`"),
])
def test_of_xrays_the_licence_is_the_users_question_and_no_path_is_told(run, source, told):
    found = of(run(source) / "best.keras")
    assert found.licence is None and "**Not settled.**" in found.text
    assert told in found.text and "/home/me" not in found.text


def test_of_data_that_have_changed_nothing_is_told(run):
    found = of(run(data_sha256="other") / "best.keras")
    assert found.licence is None and "not known: the data set is not there" in found.text
    assert "102" not in found.text


@pytest.mark.parametrize("judged, known", [("best", ["best"]), ("last", ["last"])])
def test_a_score_is_told_of_the_file_alone_that_was_judged(run, judged, known):
    folder = run()
    score(folder, judged_epoch=judged)
    told = [name for name in ("best", "last") if of(folder / f"{name}.keras").scores]
    assert told == known


@pytest.mark.parametrize("content", [None, "{", "[]", '{"validation": {}}', '{"validation": 1}'])
def test_without_scores_there_is_no_number(run, content):
    folder = run()
    (folder / "metrics.json").unlink()
    if content:
        (folder / "metrics.json").write_text(content)
    found = of(folder / "best.keras")
    assert found.scores == () and "It was not scored" in found.text


def test_a_file_without_a_run_says_that_nothing_is_known(tmp_path):
    (tmp_path / "best.keras").write_text("model")
    found = of(tmp_path / "best.keras", "right lung", "left lung")
    assert "nothing is known of its training" in found.text and found.licence is None
    assert "background, right lung, left lung; the most probable" in found.text


def test_it_is_written_beside_the_model_whole(run):
    folder = run()
    (folder / card.FILE).write_text("older")
    card.write(folder / "best.keras", SimpleNamespace(input_shape=(None, 32, 32, 1),
                                                      count_params=lambda: 1234))
    text = (folder / "model_card.md").read_text("utf-8")
    assert text.startswith("# mine, best.keras: a model card") and "1,234 parameters" in text
    assert "0.938" in text and not list(folder.glob(".partial*"))
