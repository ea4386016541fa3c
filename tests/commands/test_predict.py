"""`predict`: one mask a picture, whatever lies beside it; what is done is done and said.

The model of these tests calls dark pixels foreground: what comes out is known without it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import foreign
import keras
import numpy as np
import pytest
from made_files import png
from made_sets import LEFT, LUNGS, RIGHT, SIDE, WHITE, chest, dicom, encode, put
from made_trees import state
from PIL import Image
from predicting import HELD, SIDES, TWO_GREYS, called, films, mask, rows

from unet_lib import __main__, phantom, workspace
from unet_lib.commands import job, models, outputs, predict
from unet_lib.commands import table as tables
from unet_lib.intake import raster

WIDE = np.arange(SIDE)  # columns
pytestmark = pytest.mark.usefixtures("dark")


def test_a_folder(tmp_path, capsys):
    films(tmp_path / "in", "x.png", "a/y.png")
    put(tmp_path / "in/notes.txt", "hello")
    before = state(tmp_path / "in")
    code, table, said = called("in", "--out", "out", capsys=capsys)
    assert code == 0 and state(tmp_path / "in") == before
    assert sorted(p.relative_to(tmp_path / "out").as_posix()
                  for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name[0] != ".") == [
        "masks/a/y.png", "masks/x.png", "overlays/a/y.png", "overlays/x.png", "predictions.csv",
        "predictions_README.txt",
    ]
    assert np.array_equal(mask("out/masks/a/y.png"), WHITE)
    assert mask("out/overlays/x.png").shape == (SIDE, SIDE, 3)
    row = table["a/y.png"]
    assert (row["status"], row["width"], row["height"], row["area_px"], row["parts"]) == (
        "ok", "64", "64", str(LUNGS.sum()), "2")
    assert float(row["area_share"]) == pytest.approx(LUNGS.mean(), abs=1e-4)
    assert float(row["confidence_inside"]) == pytest.approx(1 - 50 / 255, abs=1e-3)
    assert row["area_mm2"] == ""
    assert "2 masks in out/masks\n1 file skipped, no picture: notes.txt\n" in said
    assert "Not for clinical use" in said


def test_a_threshold(tmp_path, capsys):
    films(tmp_path, "x.png")
    _, table, _ = called("x.png", "--out", "o", "--threshold", "0.9", capsys=capsys)
    assert table["x.png"]["area_px"] == "0"
    with pytest.raises(SystemExit) as refused:
        called("x.png", "--out", "o", "--threshold", "1.5", capsys=capsys)
    assert refused.value.code == 2
    assert "must lie between 0 and 1, got 1.5; use for example 0.5" in capsys.readouterr().err


def test_without_a_model_the_shipped_one_predicts(tmp_path, capsys):
    image, truth, _ = phantom.draw((93, 1), size=(300, 260))
    put(tmp_path / "in/x.png", image.astype(np.uint16) * 16)
    put(tmp_path / "in/hand.png", foreign.hand(np.random.default_rng(1)))
    put(tmp_path / "truth/x.png", truth * np.uint8(255))
    assert __main__.main(["predict", "in", "--out", "o", "--truth", "truth"]) == 0
    table = rows("o")
    assert float(table["x.png"]["dice"]) > 0.93 and table["x.png"]["parts"] == "2"
    assert (table["x.png"]["check"], table["hand.png"]["check"]) == ("no", "yes")
    assert mask("o/masks/x.png").shape == (300, 260)
    assert "1 mask to look at first" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [
    ["predict", "", "--out", "o"], ["predict", "x.png", "--out", ""],
    ["predict", "x.png", "--out", "o", "--model", ""],
    ["predict", "x.png", "--out", "o", "--truth", " "], ["check", ""],
    ["check", "phantom", "--out", ""], ["run", "--run", ""], ["run", "--params", ""],
    ["sweep", ""], ["export", "--out", ""], ["demo", "--model", ""],
])  # fmt: skip
def test_a_variable_that_is_not_set_is_no_name(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        __main__.main(arguments)
    assert refused.value.code == 2
    assert "is empty, as of a variable that is not set" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        __main__.main(["predict", "x.png", "--out", "o", "--threshold", "0,5"])
    assert "must lie between 0 and 1, got 0,5; use for example 0.5" in capsys.readouterr().err


def test_what_predict_drew_is_no_true_mask(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    assert called("in", "--out", "in/out", capsys=capsys)[0] == 0
    for folder in ("in", "in/out/masks"):
        code, _, said = called("in", "--out", "in/out", "--truth", folder, capsys=capsys)
        assert code == 2 and "in/out/masks/x.png is no true mask: predict drew it" in said
    code, table, _ = called("in", "--out", "other", "--truth", "in/out/masks", capsys=capsys)
    assert code == 0 and table["x.png"]["dice"] == "1.0000"  # two models may be compared
    put(tmp_path / "in/out/masks/x.png", WHITE)  # corrected by hand, and saved over it
    arguments = ["in/x.png", "--out", "in/out", "--truth", "in/out/masks", "--no-overlays"]
    assert "is no true mask" not in called(*arguments, capsys=capsys)[2]


def test_a_bad_file_costs_no_good_one(tmp_path, capsys):
    films(tmp_path / "in", "good.png", "zz.png")
    put(tmp_path / "in/cut.png", encode(chest(1))[:900])
    put(tmp_path / "in/empty.png", b"")
    code, table, said = called("in", "--out", "out", capsys=capsys)
    assert code == 1
    assert [table[f]["status"] for f in sorted(table)] == ["failed", "failed", "ok", "ok"]
    assert "truncated PNG file" in table["cut.png"]["reason"]
    assert "failed: cut.png: truncated PNG file; copy it again from its origin\n" in said
    assert "2 masks in out/masks, 2 pictures failed" in said
    assert not os.path.exists("out/masks/cut.png")


GREY16 = HELD.astype(np.uint16) * 16
FAILED = {  # name -> content, and what the reason says
    "empty.png": (b"", "empty file of 0 bytes"),
    "zeros.dcm": (bytes(5000), "all zero"),
    "cut.png": (encode(chest(1))[:900], "truncated PNG file"),
    "cut.jpg": (encode(chest(1), "jpeg")[:1500], "truncated JPEG file"),
    "cut.tif": (encode(chest(1), "tiff")[:900], "TIFF file"),
    "changed.png": (encode(chest(1)).replace(b"IDAT", b"IDAT\0", 1), "PNG file"),
    "cut.dcm": (dicom(GREY16)[:-999], "truncated DICOM file"),
    "frames.dcm": (dicom(GREY16, NumberOfFrames=2, PixelData=2 * GREY16.tobytes()), "2 frames"),
    "slice.dcm": (dicom(GREY16, Modality="CT"), "modality CT"),
    "claims.dcm": (dicom(GREY16, Rows=30_000, Columns=30_000), "claims 30000 x 30000"),
    "claims.png": (png(HELD, 0, size=(40_000, 40_000)), "claims 40000 x 40000"),
    "claims_less.png": (png(HELD, 0, size=(20_000, 20_000)), "claims 20000 x 20000"),
    "pages.tif": (encode(HELD, "tiff", save_all=True, append_images=[Image.fromarray(HELD)]),
                  "TIFF file of 2"),
    "moves.gif": (encode(HELD, "gif", save_all=True, append_images=[Image.fromarray(WHITE)]),
                  "GIF file of 2"),
    "new.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000 picture: not read"),
    "volume.nii": ((348).to_bytes(4, "little") + bytes(400), "NIfTI or Analyze volume"),
    "array.npy": (b"\x93NUMPY\1\0" + bytes(99), "NumPy array: not read"),
    "bare.img": (GREY16.tobytes(), "bare pixels without a header"),
}
SKIPPED = {
    "notes.txt": b"a note", "page.png": b"<html>404</html>", "table.csv": b"id,age\n1,50\n",
    "about.json": b'{"a": 1}', "pictures.zip": b"PK\3\4" + bytes(99), "report.pdf": b"%PDF-1.7\n",
    "DICOMDIR": dicom(GREY16, PixelData=b""),
}


def test_a_hundred_good_files_among_all_kinds_of_bad_ones(tmp_path, capsys):
    """Each bad file costs itself alone, and its row says why."""
    good = [f"{number:03}.png" for number in range(100)]
    films(tmp_path / "in", *good)
    for name, content in {**{n: c for n, (c, _) in FAILED.items()}, **SKIPPED}.items():
        put(tmp_path / "in" / name, content)
    assert len(FAILED) + len(SKIPPED) >= 20
    code, table, said = called("in", "--out", "o", "--no-overlays", capsys=capsys)
    assert code == 1 and set(table) == {*good, *FAILED}
    assert {table[name]["status"] for name in good} == {"ok"}
    for name, (_, words) in FAILED.items():
        assert table[name]["status"] == "failed" and words in table[name]["reason"], table[name]
        assert f"failed: {name}: " in said
    assert f"100 masks in o/masks, {len(FAILED)} pictures failed" in said
    assert f"{len(SKIPPED)} files skipped, no picture: " in said
    masks = [path.stem for path in (tmp_path / "o/masks").glob("[!.]*.png")]
    assert sorted(masks) == [name[:-4] for name in good]


def test_on_a_terminal_a_bar_tells_how_quick_it_is(tmp_path, capsys, monkeypatch):
    films(tmp_path / "in", "x.png", "y.png")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what follows for a terminal
    said = called("in", "--out", "o", capsys=capsys)[2]
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    assert re.search(r"predicting.*2/2.*\d+\.\d pictures/s", plain)
    monkeypatch.delenv("FORCE_COLOR")
    assert "pictures/s" not in called("in", "--out", "p", capsys=capsys)[2]


def test_no_picture_at_all(tmp_path, capsys):
    put(tmp_path / "in/notes.txt", "hello")
    code, table, said = called("in", "--out", "out", capsys=capsys)
    assert (code, table) == (1, {})
    assert "no picture was found (none that predict has drawn counts): PNG, JPEG, TIFF" in said


@pytest.mark.parametrize("arguments, words", [
    (["gone", "--out", "o"], "'gone' is not there; expected a picture, or a folder of pictures"),
    (["in", "--out", "o", "--intensity", "9,1"], "intensity must be"),
    (["in", "--out", "o", "--truth", "gone"], "gone"),
    (["in", "--out", "in/x.png"], "in/x.png"),
])
def test_what_cannot_work_is_refused_before_anything(tmp_path, capsys, arguments, words):
    films(tmp_path / "in", "x.png")
    before = state(tmp_path)
    code, _, said = called(*arguments, capsys=capsys)
    assert code == 2 and said.startswith("Refused, nothing was written: ") and words in said
    assert state(tmp_path) == before


def test_corrected_outlines_are_a_set_of_their_own(tmp_path, capsys, sides):
    for number in range(8):
        put(tmp_path / f"in/{number}.png", TWO_GREYS + np.uint8(number))
    called("in", "--out", "o", "--labelme", capsys=capsys, model="sides")
    names = "right lung=right lung,left lung=left lung"
    assert __main__.main(["check", "o/labelme", "-p", "mask_values", names]) == 0
    assert "pairs: 8" in capsys.readouterr().out
    code, table, said = called("in", "--out", "p", "--truth", "o/labelme", capsys=capsys,
                               model="sides")
    assert "8 true masks drawn by predict" in said  # nobody has corrected them
    assert code == 0 and all(float(row["dice"]) > 0.99 for row in table.values())


def test_true_masks_score(tmp_path, capsys):
    films(tmp_path / "in", "x.png", "y.png", "z.png")
    put(tmp_path / "truth/x.png", WHITE)
    half = WHITE.copy()
    half[:, 32:] = 0
    put(tmp_path / "truth/y_mask.png", half)
    code, table, said = called("in", "--out", "o", "--truth", "truth", capsys=capsys)
    assert code == 0
    assert float(table["x.png"]["dice"]) == 1 and float(table["x.png"]["hd95_px"]) == 0
    assert float(table["y.png"]["dice"]) == pytest.approx(2 / 3, abs=0.02)
    assert table["z.png"]["dice"] == ""
    assert re.search(r"Dice 0\.8[234]\d on average \(95 % interval 0\.\d+ to 1\.000\)", said)


def test_a_true_mask_that_was_turned_is_told_of_its_picture_alone(tmp_path, capsys):
    films(tmp_path / "in", "x.png", "y.png")
    put(tmp_path / "truth/x.png", WHITE)
    put(tmp_path / "truth/y.png", np.rot90(WHITE))
    _, table, said = called("in", "--out", "o", "--truth", "truth", capsys=capsys)
    assert "its true mask fits far better on its side" in table["y.png"]["notes"]
    assert "turned" not in table["x.png"]["notes"]
    assert "1 true mask(s) fit far better when they are turned" in said
    assert called("in", "--out", "o", "--truth", "truth", capsys=capsys)[1] == table


def test_scores_in_millimetres_are_the_same_a_second_time(tmp_path, capsys):
    put(tmp_path / "in/x.dcm", dicom(HELD.astype(np.uint16) * 16, ImagerPixelSpacing=[0.5, 0.5]))
    put(tmp_path / "truth/x.png", np.roll(WHITE, 2, axis=0))
    _, first, _ = called("in", "--out", "o", "--truth", "truth", capsys=capsys)
    row = first["x.dcm"]
    assert float(row["hd95_mm"]) == pytest.approx(0.5 * float(row["hd95_px"])) != 0
    assert called("in", "--out", "o", "--truth", "truth", capsys=capsys)[1] == first


def test_what_true_masks_mean_is_asked_and_told(tmp_path, capsys):
    films(tmp_path / "in", "x.png", "y.png")
    for name in ("x.png", "y.png"):
        put(tmp_path / f"truth/{name}", np.uint8(1) * LUNGS + np.uint8(1) * (LUNGS & (WIDE < 30)))
    code, _, said = called("in", "--out", "o", "--truth", "truth", capsys=capsys)
    assert code == 2 and "--mask-values" in said and not os.path.exists("o")
    arguments = ["in", "--out", "o", "--truth", "truth", "--mask-values", "1,2"]
    code, table, _ = called(*arguments, capsys=capsys)
    assert code == 0 and float(table["x.png"]["dice"]) == 1


def test_a_mask_that_predict_drew_elsewhere_is_told(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    called("in", "--out", "first", capsys=capsys)
    said = called("in", "--out", "o", "--truth", "first/masks", capsys=capsys)[2]
    assert "1 true mask drawn by predict, such as" in said and "compares two predictions" in said


def test_mask_values_mean_nothing_without_true_masks(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    code, _, said = called("in", "--out", "o", "--mask-values", "1,2", capsys=capsys)
    assert code == 2 and "none without --truth" in said and not os.path.exists("o")


def test_tiles_of_a_tiny_model_are_refused(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    inputs = keras.Input((16, 16, 1))
    keras.Model(inputs, keras.layers.Rescaling(-1.0, 1.0)(inputs)).save(tmp_path / "tiny.keras")
    code, _, said = called("in", "--out", "o", "--tiles", capsys=capsys, model="tiny.keras")
    assert code == 2 and "--tiles needs models of 32 px or more, got 16 px" in said


# ------------------------------------------------------------- where one may not read or write


@pytest.fixture
def locked(monkeypatch):
    """Give a function that takes away the leave to read or write a place, from root as well."""
    def lock(place):
        for name in ("scandir", "listdir"):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, lambda path, real=real: refuse(path) or real(path))
        real_access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: not same(path) and real_access(
            path, mode))

        def same(path):
            return os.path.realpath(path) == os.path.realpath(place)

        def refuse(path):
            if same(path):
                raise PermissionError(13, "Permission denied", os.fspath(path))

    return lock


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path, capsys, locked):
    films(tmp_path / "in", "x.png", "secret/y.png")
    locked(tmp_path / "in/secret")
    code, table, said = called("in", "--out", "o", capsys=capsys)
    assert code == 1 and table["x.png"]["status"] == "ok"
    assert "Permission denied" in table["secret"]["reason"] and "failed: secret" in said
    locked(tmp_path / "in")
    code, _, said = called("in", "--out", "p", capsys=capsys)
    assert code == 2 and "'in' cannot be looked into" in said


@pytest.mark.parametrize("place", ["", "o", "o/masks", "o/labelme"])
def test_a_place_that_may_not_be_written_to_is_refused_before_any_work(
    tmp_path, capsys, counted, locked, place
):
    films(tmp_path / "in", "x.png")
    (tmp_path / place).mkdir(exist_ok=True, parents=True)
    locked(tmp_path / place)
    code, _, said = called("in", "--out", "o", "--labelme", capsys=capsys)
    assert code == 2 and "may not be written to; name another, or get leave" in said
    assert not counted


def test_a_table_that_cannot_be_written_is_told_and_the_masks_stay(tmp_path, capsys, monkeypatch):
    films(tmp_path / "in", "x.png")
    with monkeypatch.context() as full:
        full.setattr(tables, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        code, _, said = called("in", "--out", "o", capsys=capsys)
    assert code == 1 and "The table cannot be written: [Errno 28] No space" in said
    assert np.array_equal(mask("o/masks/x.png"), WHITE)
    assert called("in", "--out", "o", capsys=capsys)[0] == 0  # and the folder was given back


def test_a_file_that_goes_while_others_are_predicted(tmp_path, capsys, monkeypatch):
    films(tmp_path / "in", "x.png", "y.png")
    real = job.read

    def read(picture, *more, **options):
        (tmp_path / "in/y.png").unlink(missing_ok=True)
        return real(picture, *more, **options)

    monkeypatch.setattr(job, "read", read)
    code, rows, _ = called("in", "--out", "o", capsys=capsys)
    assert code == 1 and rows["y.png"]["reason"] == "it has gone since this call began"


# ----------------------------------------------------------------- a second time


def test_a_lost_table_is_written_again(tmp_path, capsys, counted):
    films(tmp_path / "in", "x.png")
    _, first, _ = called("in", "--out", "o", capsys=capsys)
    (tmp_path / "o/predictions.csv").unlink()
    assert called("in", "--out", "o", capsys=capsys)[1] == first and len(counted) == 1


def test_rows_of_other_pictures_stay(tmp_path, capsys):
    films(tmp_path, "x.png", "y.png")
    called("x.png", "--out", "o", capsys=capsys)
    assert set(called("y.png", "--out", "o", capsys=capsys)[1]) == {"x.png", "y.png"}


# ----------------------------------------------------------------- out into in


@pytest.mark.parametrize("out", ["in", "in/out"])
def test_out_inside_in_twice(tmp_path, capsys, counted, out):
    films(tmp_path / "in", "x.png", "a/y.png")
    for _ in range(3):
        code, table, _ = called("in", "--out", out, "--labelme", capsys=capsys)
        assert code == 0 and set(table) == {"x.png", "a/y.png"} and len(counted) == 2


def test_a_link_to_the_input_as_out(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for _ in range(2):
        assert set(called("in", "--out", "link", capsys=capsys)[1]) == {"x.png"}


def test_a_table_of_the_users_own_is_left_alone(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    put(tmp_path / "o/predictions.csv", "id,score\n")
    code, _, said = called("in", "--out", "o", capsys=capsys)
    assert code == 2 and "was not written by predict" in said
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["predictions.csv"]


@pytest.mark.parametrize("name", ["снимок é[1]", "a,b", 'q"uote', "new\nline", "-leading", "*"])
def test_any_name(tmp_path, capsys, name):
    films(tmp_path / "in", f"{name}.png")
    code, table, _ = called("in", "--out", "o", "--labelme", capsys=capsys)
    assert code == 0 and list(table) == [f"{name}.png"]
    assert np.array_equal(outputs.read_mask(tmp_path / f"o/masks/{name}.png"), LUNGS)
    assert (tmp_path / f"o/overlays/{name}.png").exists()


# ----------------------------------------------------------------- it ends


def test_a_killed_call_goes_on(tmp_path):
    films(tmp_path / "in", *(f"{n:03}.png" for n in range(400)))
    command = [sys.executable, "-m", "unet_lib", "predict", "in", "--out", "o", "--model",
               "dark.keras"]
    environment = {**os.environ, "PYTHONPATH": str(workspace.PROJECT)}
    started = subprocess.Popen(command, env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not len(list(tmp_path.glob("o/masks/[0-9]*.png"))) > 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    made = {p: p.stat().st_mtime_ns for p in tmp_path.glob("o/masks/0*.png")
            if outputs.read_record(p, whole=True)}
    assert 5 <= len(made) < 400 and not (tmp_path / "o/predictions.csv").exists()
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "400 masks" in done.stdout
    assert len(rows(tmp_path / "o")) == 400
    assert all(path.stat().st_mtime_ns == was for path, was in made.items())
    assert not list((tmp_path / "o").rglob(".partial*"))


def test_an_interrupt_keeps_what_is_written(tmp_path, capsys, monkeypatch):
    films(tmp_path / "in", *(f"{n}.png" for n in range(9)))
    real, left = models.predict, [4]

    def stop(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(models, "predict", stop)
    code, table, said = called("in", "--out", "o", capsys=capsys)
    assert code == 130 and "The same command goes on" in said
    assert 0 < len(table) <= 4
    monkeypatch.setattr(models, "predict", real)
    code, table, _ = called("in", "--out", "o", capsys=capsys)
    assert code == 0 and len(table) == 9


def test_a_full_disk_stops_it(tmp_path, capsys, monkeypatch):
    films(tmp_path / "in", *(f"{n}.png" for n in range(9)))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job.outputs, "write", full)
    code, table, said = called("in", "--out", "o", capsys=capsys)
    assert (code, table) == (1, {})
    assert "Stopped: [Errno 28] No space left on device. The same command goes on from here" in said


def test_two_at_once_in_one_folder(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    held = ("import sys, time; from pathlib import Path; from unet_lib import workspace;"
            " workspace.claim(Path('o'), purpose='predict'); print('held', flush=True);"
            " sys.stdin.read()")
    other = subprocess.Popen([sys.executable, "-c", held], stdin=-1, stdout=-1, text=True,
                             env={**os.environ, "PYTHONPATH": str(workspace.PROJECT)})
    try:
        assert other.stdout.readline() == "held\n"
        code, _, said = called("in", "--out", "o", capsys=capsys)
        assert code == 2 and "o is in use by process" in said and "another --out" in said
    finally:
        other.communicate()


def test_help_says_what_it_is_not_for(capsys):
    with pytest.raises(SystemExit) as ended:
        __main__.main(["predict", "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "NOT FOR CLINICAL USE" in said
    told = " ".join(said.split())
    assert "burnt into pixels, and file names, reach overlays and table" in told
    assert f"{raster.MAX_PIXELS // 10**6} million pixels at most" in told
    for option in ("--out", "--model", "--threshold", "--truth", "--tiles", "--invert",
                   "--intensity", "--probabilities", "--labelme", "--no-overlays", "--overwrite"):
        assert option in said


def test_memory_does_not_grow_with_the_number(tmp_path):
    """Few pictures are between reading and writing at a time."""
    waiting = []

    def slow(picture):
        waiting.append(picture)
        return picture

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        taken = predict._ahead(pool, slow, range(1, 1000))
        next(taken), next(taken)
        time.sleep(0.1)
        assert len(waiting) <= predict._AHEAD + 2


def test_several_classes(tmp_path, capsys, sides):
    put(tmp_path / "in/x.png", TWO_GREYS)
    put(tmp_path / "true/x.png", SIDES)
    asked = ("in", "--out", "o", "--probabilities", "--labelme", "--truth", "true")
    code, table, said = called(*asked, capsys=capsys, model="sides")
    assert code == 0 and np.array_equal(mask("o/masks/x.png"), SIDES)
    row = table["x.png"]
    areas = [np.count_nonzero(side) for side in (RIGHT, LEFT)]
    assert [int(row[f"area_px:{n} lung"]) for n in ("right", "left")] == areas
    assert (int(row["area_px"]), row["parts"]) == (sum(areas), "2")
    assert row["dice"] == row["dice:right lung"] == row["dice:left lung"] == "1.0000"
    assert "1 is right lung, 2 is left lung: they look black; see the overlays" in said
    assert "Dice of right lung 1.000, left lung 1.000." in said
    for number, side in ((1, RIGHT), (2, LEFT)):
        levels = mask(f"o/probabilities/{number}/x.png")
        assert levels.dtype == np.uint16 and np.array_equal(levels > 32768, side)
    with open("o/labelme/x.json", encoding="utf-8") as file:
        shapes = json.load(file)["shapes"]
    assert [shape["label"] for shape in shapes] == ["right lung", "left lung"]
    drawn = mask("o/overlays/x.png")[..., ::-1]
    for colour in outputs.COLOURS[:2]:
        assert (drawn == colour).all(-1).any()
    before = state(tmp_path / "o/masks")
    assert called(*asked, capsys=capsys, model="sides")[1] == table
    assert state(tmp_path / "o/masks") == before


def test_a_threshold_has_no_meaning_for_several_classes(tmp_path, capsys, sides):
    put(tmp_path / "in/x.png", TWO_GREYS)
    asked = ("in", "--out", "o", "--threshold", "0.6")
    code, _, said = called(*asked, capsys=capsys, model="sides")
    assert code == 2 and "--threshold 0.6 has no meaning for a model of several classes" in said
    assert not os.path.exists("o")


def test_true_masks_that_tell_classes_apart_are_one_for_a_model_of_one(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    put(tmp_path / "true/x.png", SIDES)
    named = ("--truth", "true", "--mask-values", "right lung=1, left lung=2")
    _, table, _ = called("in", "--out", "o", *named, capsys=capsys)
    assert table["x.png"]["dice"] == "1.0000" and "dice:right lung" not in table["x.png"]


def test_what_another_call_made_is_no_picture(tmp_path, capsys):
    films(tmp_path / "in", "a.png", "b.png")
    for out in ("in/first", "in/second"):
        code, table, _ = called("in", "--out", out, capsys=capsys)
        assert code == 0 and [name for name, row in table.items() if row["status"] == "ok"] == [
            "a.png", "b.png"]


@pytest.mark.parametrize("out", ["in/a.png", "in/a.png/below"])
def test_an_out_that_is_a_file_is_refused_in_a_sentence(tmp_path, out, capsys):
    films(tmp_path / "in", "a.png")
    assert __main__.main(["predict", "in", "--out", out, "--model", "dark.keras"]) == 2
    assert "--out must be a folder, new or not, but" in capsys.readouterr().err
    assert (tmp_path / "in" / "a.png").is_file()
