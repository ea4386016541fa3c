"""The record of a run: what opens it, what is refused, and who has it. Nothing is trained here."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from unet_lib import runs, workspace

SETTINGS = {
    "batch_size": 4, "epochs": 3, "learning_rate": 0.001, "loss": "bce",
    "schedule": "constant", "precision": "float32",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_stays_claimed():
    """Each test's runs are this process' only while it lasts."""
    before = set(workspace._claimed)
    yield
    for path in set(workspace._claimed) - before:
        os.close(workspace._claimed.pop(path))


def open_run(folder, *, data="d" * 64, **changed):
    return runs.open_run(folder, parameters={**SETTINGS, **changed}, data_sha256=data)


def history(*val_losses):
    row = dict.fromkeys(runs.COLUMNS, 0.5) | {"seconds": 2.25}
    rows = [row | {"epoch": k, "val_loss": v} for k, v in enumerate(val_losses, 1)]
    return {name: [row[name] for row in rows] for name in runs.COLUMNS}


def fake_epochs(folder, *val_losses):
    """Leave what a training of so many epochs leaves, with nothing in the models."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "best.keras").write_bytes(b"best")
    runs.write_history(folder, history(*val_losses))
    for epoch in range(max(1, len(val_losses) - 1), len(val_losses) + 1):
        (folder / "checkpoints" / f"epoch-{epoch:05d}.keras").write_bytes(b"%d" % epoch)


def visible(folder):
    return {p.name for p in folder.iterdir() if not p.name.startswith(".")}


# ------------------------------------------------------------------------------------ what opens


def test_a_new_run_has_a_record_and_no_finished_epoch(tmp_path):
    run = tmp_path / "runs" / "new"
    assert open_run(run) == 0
    record = runs.read_record(run)
    assert record["status"] == "running" and record["parameters"] == SETTINGS
    assert record["data_sha256"] == "d" * 64 and record["hardware"]["cores"] == os.cpu_count()
    assert record["versions"]["keras"] and record["versions"]["python"] in sys.version
    assert open_run(run) == 0  # again, in the same process, is no harm
    with pytest.raises(FileNotFoundError, match=r"'new' has not finished \(0 of 3 epochs\)"):
        runs.load_run(run)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux names its processor there")
def test_the_record_names_the_processor_as_the_system_does():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    assert not named or runs.environment()["hardware"]["cpu"] == named[0]


def test_what_the_series_and_the_system_leave_is_no_obstacle(tmp_path):
    run = tmp_path / "run"
    (run / "notebooks").mkdir(parents=True)
    others = ["report.html", "close_the_gap.csv", ".DS_Store", "Thumbs.db", "notebooks/04.ipynb"]
    for name in others:
        (run / name).write_text("mine")
    assert open_run(run) == 0 and runs.read_record(run)["status"] == "running"
    assert all((run / name).read_text() == "mine" for name in others)


@pytest.mark.parametrize("name", ["best.keras", "last.keras", "history.csv", "metrics.json"])
def test_models_or_numbers_without_a_record_are_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=rf"holds {name} but no readable run.json.*run_name") as e:
        open_run(tmp_path)
    assert workspace.shown(tmp_path) in str(e.value)
    assert visible(tmp_path) == {name} and (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("folder", ["predictions", "checkpoints"])
def test_folders_of_a_run_without_a_record_are_refused_too(tmp_path, folder):
    (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=f"holds {folder} but no readable run.json"):
        open_run(tmp_path)


BROKEN = ["", '{"status": "run', "[]", "null", "7", '{"status": "running"}', "\0" * 20, b"\xff\xfe"]
BROKEN += ['{"status": "finished", "parameters": null, "data_sha256": "0"}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_record_alone_is_made_anew_with_a_word(tmp_path, capsys, content):
    path = tmp_path / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert open_run(tmp_path) == 0
    word = f"{workspace.shown(path)} was empty or damaged; it is made anew\n"
    assert capsys.readouterr().out == word
    assert runs.read_record(tmp_path)["parameters"] == SETTINGS


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_record_beside_models_is_refused_and_left(tmp_path, content):
    content = content if isinstance(content, bytes) else content.encode()
    fake_epochs(tmp_path, 0.5)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match="best.keras, history.csv, checkpoints but no read") as e:
        open_run(tmp_path)
    assert workspace.shown(tmp_path) in str(e.value)
    assert (tmp_path / "run.json").read_bytes() == content


# ------------------------------------------------------------------------------- changed settings


def test_other_parameters_or_data_under_the_same_name_are_refused(tmp_path):
    run = tmp_path / "whole"
    open_run(run)
    with pytest.raises(
        ValueError, match=r"'whole' was started differently: learning_rate was 0.001, now 0.002"
    ):
        open_run(run, learning_rate=0.002)
    with pytest.raises(
        ValueError, match=r"data_sha256 was 'ddd.*Choose another run_name, or delete"
    ):
        open_run(run, data="e" * 64)
    with pytest.raises(ValueError, match="head was None, now 'direct'"):
        open_run(run, head="direct")
    assert runs.read_record(run)["parameters"] == SETTINGS


def test_a_run_is_checked_without_a_trace(tmp_path):
    run = tmp_path / "later"
    settings = {"parameters": SETTINGS, "data_sha256": "d" * 64}
    assert runs.check_run(run, **settings) is None and not run.exists()
    open_run(run)
    before = (run / "run.json").read_bytes()
    assert runs.check_run(run, **settings)["parameters"] == SETTINGS
    with pytest.raises(ValueError, match="data_sha256 was 'ddd"):
        runs.check_run(run, **settings | {"data_sha256": "e" * 64})
    with pytest.raises(ValueError, match="'later' was started differently: loss was"):
        runs.check_run(run, **settings | {"parameters": {**SETTINGS, "loss": "dice"}})
    assert (run / "run.json").read_bytes() == before and visible(run) == {"run.json"}


def test_more_epochs_at_a_constant_rate_go_on_where_the_run_ended(tmp_path):
    open_run(tmp_path)
    fake_epochs(tmp_path, 0.5, 0.4, 0.6)
    os.replace(tmp_path / "checkpoints" / "epoch-00003.keras", tmp_path / "last.keras")
    (tmp_path / "checkpoints" / "epoch-00002.keras").unlink()
    (tmp_path / "checkpoints").rmdir()
    runs.close_run(tmp_path)
    assert open_run(tmp_path, epochs=5) == 3
    assert not (tmp_path / "last.keras").exists()
    assert (tmp_path / "checkpoints" / "epoch-00003.keras").read_bytes() == b"3"
    record = runs.read_record(tmp_path)
    assert record["status"] == "running" and record["parameters"]["epochs"] == 5
    with pytest.raises(FileNotFoundError, match=r"has not finished \(3 of 5 epochs\)"):
        runs.load_run(tmp_path)


def test_more_epochs_on_a_cosine_are_refused_with_the_reason(tmp_path):
    open_run(tmp_path, schedule="cosine")
    with pytest.raises(ValueError, match="epochs was 3, now 5.* only where schedule is") as caught:
        open_run(tmp_path, schedule="cosine", epochs=5)
    assert "under 'cosine' the rate of each step follows from their number" in str(caught.value)
    assert runs.read_record(tmp_path)["parameters"]["epochs"] == 3


def test_fewer_epochs_or_more_beside_another_change_are_refused(tmp_path):
    open_run(tmp_path)
    with pytest.raises(ValueError, match="epochs was 3, now 2. Choose another run_name"):
        open_run(tmp_path, epochs=2)
    with pytest.raises(ValueError, match="epochs was 3, now 5; loss was 'bce', now 'dice'. Choose"):
        open_run(tmp_path, epochs=5, loss="dice")
    assert runs.read_record(tmp_path)["parameters"] == SETTINGS


# ------------------------------------------------------------------------------------ who has it

HOLDER = """
import sys
from pathlib import Path
from unet_lib import runs
done = runs.open_run(Path(sys.argv[1]), parameters={"epochs": 3}, data_sha256="d" * 64)
print(done, flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_has_the_run(tmp_path):
    run = tmp_path / "shared"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], cwd=workspace.PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with other:
        assert other.stdout.readline() == "0\n"
        for _ in range(2):  # asking does not spoil the answer
            with pytest.raises(BlockingIOError, match=rf"in use by process {other.pid} on ") as e:
                runs.open_run(run, parameters={"epochs": 3}, data_sha256="d" * 64)
            assert workspace.shown(run) in str(e.value) and "run_name" in str(e.value)
        other.stdin.close()
        other.wait(20)
    assert runs.open_run(run, parameters={"epochs": 3}, data_sha256="d" * 64) == 0


# -------------------------------------------------------------------------- history, best, the end


def test_not_a_number_is_never_the_best_epoch():
    nan, inf = float("nan"), float("inf")
    assert runs.best_epoch(history(0.5, 0.4, 0.6)) == 2
    assert runs.best_epoch(history(0.4, 0.4)) == 1  # the first of equals
    assert runs.best_epoch(history(nan, 0.7, nan)) == 2
    assert runs.best_epoch(history(0.7, nan, 0.6)) == 3
    assert runs.best_epoch(history(-inf, 0.6)) == 2
    assert runs.best_epoch(history(nan, nan)) == 1


def test_checkpoints_come_newest_first_and_the_best_model_is_one(tmp_path):
    assert runs.checkpoints(tmp_path) == [] and runs.finished_epochs(tmp_path) == 0
    fake_epochs(tmp_path, 0.5, 0.4, 0.6, 0.7)
    found = [(epoch, path.name) for epoch, path in runs.checkpoints(tmp_path)]
    assert found == [(4, "epoch-00004.keras"), (3, "epoch-00003.keras"), (2, "best.keras")]
    runs.write_history(tmp_path, history(0.5, 0.4, 0.6, 0.3))
    found = [(epoch, path.name) for epoch, path in runs.checkpoints(tmp_path)]
    assert found[:2] == [(4, "epoch-00004.keras"), (4, "best.keras")]  # the training state first
    assert runs.finished_epochs(tmp_path) == 4


def test_a_row_without_its_models_makes_no_other_model_the_best(tmp_path):
    fake_epochs(tmp_path, 0.5, 0.4)
    runs.write_history(tmp_path, history(0.5, 0.4, 0.3))  # and killed before epoch 3 was saved
    found = [(epoch, path.name) for epoch, path in runs.checkpoints(tmp_path)]
    assert found == [(2, "epoch-00002.keras"), (2, "best.keras"), (1, "epoch-00001.keras")]
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    assert runs.checkpoints(tmp_path) == [(3, tmp_path / "best.keras")]
    (tmp_path / "best.keras").unlink()
    assert runs.checkpoints(tmp_path) == []
    (tmp_path / "best.keras").write_bytes(b"of unknown epoch")
    (tmp_path / "history.csv").unlink()
    assert runs.checkpoints(tmp_path) == []


def test_a_model_whose_row_is_lost_is_nothing_to_go_on_from(tmp_path):
    """Else an earlier epoch is called the best, and best.keras is the model of no known one."""
    fake_epochs(tmp_path, 0.5, 0.4, 0.3)
    runs.write_history(tmp_path, history(0.5, 0.4))
    found = [(epoch, path.name) for epoch, path in runs.checkpoints(tmp_path)]
    assert found == [(2, "epoch-00002.keras")]  # best.keras is that of epoch 3
    runs.write_history(tmp_path, history(0.5))
    with pytest.raises(ValueError, match=(
            r"history.csv has lost rows: it holds the first 1 epochs, and epoch-00002.keras is the"
            r" model after 2; put the whole file back, choose another run_name, or delete ")):
        runs.checkpoints(tmp_path)
    (tmp_path / "history.csv").unlink()
    with pytest.raises(ValueError, match="holds the first 0 epochs"):
        runs.finished_epochs(tmp_path)


@pytest.mark.parametrize("damage", [
    lambda text: text.splitlines()[0], lambda text: text.replace(",", ";"),
    lambda text: "\n".join(text.splitlines()[:2]), lambda text: text.replace("\n2,", "\n3,"),
])
@pytest.mark.parametrize("epochs", [3, 5])
def test_a_finished_run_that_lost_rows_is_refused_as_it_is(tmp_path, damage, epochs):
    open_run(tmp_path)
    fake_epochs(tmp_path, 0.5, 0.4, 0.3)
    (tmp_path / "checkpoints/epoch-00003.keras").rename(tmp_path / "last.keras")
    (tmp_path / "checkpoints/epoch-00002.keras").unlink()
    runs.close_run(tmp_path)
    path = tmp_path / "history.csv"
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    with pytest.raises(ValueError, match="history.csv has lost rows.* last.keras is .* after 3;"):
        open_run(tmp_path, epochs=epochs)
    assert (tmp_path / "last.keras").read_bytes() == b"3"
    assert runs.read_record(tmp_path)["status"] == "finished"
    path.write_text(whole)
    assert open_run(tmp_path, epochs=epochs) == 3


def archive(path, content):
    """Write a ZIP archive, as a .keras file is one."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model", content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip(path):
    path.write_bytes(path.read_bytes().replace(b"best best", b"best bent"))


def clear(path):
    path.write_bytes(b"")


@pytest.fixture
def three_done(tmp_path):
    """Three finished epochs, the last one the best, in files that can be damaged."""
    open_run(tmp_path)
    fake_epochs(tmp_path, 0.6, 0.5, 0.4)
    for path in tmp_path.glob("**/*.keras"):
        archive(path, f"{path.stem} best best")
    return tmp_path


@pytest.mark.parametrize("damage", [cut, flip, clear])
@pytest.mark.parametrize("newest", ["checkpoints/epoch-00003.keras", "last.keras"])
def test_a_damaged_best_model_is_mended_from_a_file_of_its_epoch(
    three_done, capsys, damage, newest
):
    best, newest = three_done / "best.keras", three_done / newest
    (three_done / "checkpoints/epoch-00003.keras").rename(newest)
    runs.mend_best(three_done)
    assert capsys.readouterr().out == "" and best.read_bytes() != newest.read_bytes()
    damage(best)
    runs.mend_best(three_done)
    word = f"{workspace.shown(best)} was damaged; it is made anew from {newest.name}\n"
    assert capsys.readouterr().out == word and best.read_bytes() == newest.read_bytes()


@pytest.mark.parametrize("damage", [cut, flip, clear])
def test_a_damaged_best_model_of_an_epoch_without_another_file_is_refused(three_done, damage):
    def refused(epoch):
        damage(best)
        before = best.read_bytes()
        folder = re.escape(workspace.shown(three_done))
        with pytest.raises(ValueError, match=rf"best.keras is damaged, .* epoch {epoch}; delete "
                           rf"{folder} and run notebooks/04_train.ipynb again .* another run_name"):
            runs.mend_best(three_done)
        assert best.read_bytes() == before

    best = three_done / "best.keras"
    damage(three_done / "checkpoints" / "epoch-00003.keras")
    refused(3)
    archive(best, "best best")
    runs.write_history(three_done, history(0.1, 0.5, 0.4))
    refused(1)


def test_without_a_best_model_there_is_nothing_to_mend(three_done):
    (three_done / "best.keras").unlink()
    runs.mend_best(three_done)
    assert not (three_done / "best.keras").exists()


def test_closing_adds_up_the_seconds_and_names_the_best_epoch(tmp_path):
    run = tmp_path / "done"
    open_run(run)
    fake_epochs(run, 0.5, float("nan"), 0.4)
    record = runs.close_run(run, model_parameters=7)
    assert record["status"] == "finished" and record["epochs"] == 3 and record["best_epoch"] == 3
    assert record["seconds"] == 6.8 and record["model_parameters"] == 7
    assert runs.load_run(run) == record
    path = run.resolve() / ".training.lock"
    assert path not in workspace._claimed  # another process may have it now


def test_history_is_written_and_read(tmp_path):
    assert runs.read_history(tmp_path) == {name: [] for name in runs.COLUMNS}
    runs.write_history(tmp_path, history(0.5, float("nan"), 0.4))
    found = runs.read_history(tmp_path)
    assert found["epoch"] == [1, 2, 3] and found["val_loss"][::2] == [0.5, 0.4]
    assert found["val_loss"][1] != found["val_loss"][1]  # NaN


@pytest.mark.parametrize(
    ("torn", "left"),
    [
        (lambda text: text[:-20], [1, 2]),
        (lambda text: text.rstrip()[:-4], [1, 2]),  # right behind the last comma
        (lambda text: text.replace("2,0.5", "2", 1), [1]),  # in the middle: the rest is unsure too
        (lambda text: text.replace("2,0.5", "2,?", 1), [1]),
        (lambda text: text + "4,0.5,0.5\n", [1, 2, 3]),
        (lambda text: text.replace("\n2,", "\n3,"), [1]),  # a row is lost, or counted otherwise
        (lambda text: text[:9], []),
        (lambda text: "", []),
    ],
)
def test_history_is_read_up_to_the_first_damaged_row(tmp_path, torn, left):
    runs.write_history(tmp_path, history(0.5, 0.3, 0.4))
    path = tmp_path / "history.csv"
    text = path.read_text()
    path.write_text(torn(text))
    assert path.read_text() != text
    found = runs.read_history(tmp_path)
    assert found["epoch"] == left and {len(column) for column in found.values()} == {len(left)}


def test_measures_that_are_gone_or_damaged_name_the_notebook_that_makes_them(tmp_path):
    path = tmp_path / "metrics.json"
    with pytest.raises(FileNotFoundError, match="metrics.json is not there: .*05_evaluate"):
        runs.read_metrics(tmp_path)
    path.write_text('{"threshold": {"value": 0.5')
    with pytest.raises(ValueError, match="metrics.json is damaged; notebooks/05_evaluate.ipynb"):
        runs.read_metrics(tmp_path)
    path.write_text('{"threshold": {"value": 0.5}}')
    assert runs.read_metrics(tmp_path) == {"threshold": {"value": 0.5}}


def test_results_of_other_data_are_not_evaluated(tmp_path):
    open_run(tmp_path)
    record = runs.read_record(tmp_path)
    runs.require_same_data(record, "d" * 64)
    record["parameters"]["dataset"] = "phantom"
    with pytest.raises(ValueError, match="'phantom' has changed since .* train again under a new"):
        runs.require_same_data(record, "e" * 64)


def test_a_missing_run_names_the_notebook_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"^runs/none/run.json .* notebooks/04_train.ipynb"):
        runs.load_run(workspace.run_dir("none"))


def test_more_epochs_leave_best_where_it_is(tmp_path):
    """Only last.keras becomes a checkpoint, though best.keras may be the newest that is left."""
    run = tmp_path / "run"
    few = {"epochs": 1, "schedule": "constant"}
    runs.open_run(run, parameters=few, data_sha256="d")
    assert not (run / runs.CHECKPOINTS).exists()  # a kill here leaves nothing to stumble over
    runs.write_history(run, {name: [1.0] for name in runs.COLUMNS})
    (run / "best.keras").write_bytes(b"best")
    assert runs.open_run(run, parameters=few | {"epochs": 2}, data_sha256="d") == 1
    assert (run / "best.keras").read_bytes() == b"best"
    assert runs.read_record(run)["parameters"]["epochs"] == 2
