"""One picture on its way through `predict`: read, judged, written; not again what is done.

The model of these tests calls dark pixels foreground: what comes out is known without it.
"""

import errno
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_sets import LEFT, LUNGS, RIGHT, SIDE, WHITE, dicom, encode, put, turned
from made_trees import state
from predicting import HELD, TWO_GREYS, called, films, mask

from unet_lib.commands import job, outputs, pictures, usual

pytestmark = pytest.mark.usefixtures("dark")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders: POSIX only")
def test_what_is_no_file(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    os.mkfifo(tmp_path / "in/pipe.png")
    (tmp_path / "in/link.png").symlink_to("gone")
    code, table, said = called("in", "--out", "out", capsys=capsys)
    assert code == 1 and set(table) == {"x.png", "link.png"}
    assert table["link.png"]["reason"] == "a link to nothing; copy the file it should lead to"
    assert "1 file skipped, no picture: pipe.png" in said


def test_a_mask_lies_on_the_pixels_of_its_file(tmp_path, capsys):
    high = cv2.resize(HELD, (96, 200), interpolation=cv2.INTER_NEAREST)
    put(tmp_path / "in/high.png", high)
    put(tmp_path / "in/turned.png", turned(HELD, 6))
    called("in", "--out", "out", capsys=capsys)
    assert mask("out/masks/high.png").shape == (200, 96)
    assert np.array_equal(mask("out/masks/turned.png"), np.rot90(WHITE, -1))


def test_pixels_that_are_no_squares(tmp_path, capsys):
    flat = cv2.resize(HELD, (SIDE, 32), interpolation=cv2.INTER_AREA).astype(np.uint16) * 16
    put(tmp_path / "x.dcm", dicom(flat, ImagerPixelSpacing=[0.4, 0.2]))
    _, table, _ = called("x.dcm", "--out", "out", capsys=capsys)
    row, found = table["x.dcm"], mask("out/masks/x.png")
    assert found.shape == (32, 64) and (row["width"], row["height"]) == ("64", "32")
    assert float(row["area_mm2"]) == pytest.approx(np.count_nonzero(found) * 0.08, abs=0.1)


def test_a_mask_depends_on_no_other_picture(tmp_path, capsys):
    for number, top in enumerate((700, 4000, 60000)):
        put(tmp_path / f"in/{number}.png", (HELD.astype(np.float64) / 255 * top).astype(np.uint16))
    put(tmp_path / "in/d.dcm", dicom(HELD.astype(np.uint16) * 16))
    called("in", "--out", "all", capsys=capsys)
    for name in ("0.png", "1.png", "2.png", "d.dcm"):
        called(f"in/{name}", "--out", "one", capsys=capsys)
        name = f"{name[0]}.png"
        assert np.array_equal(mask(f"all/masks/{name}"), mask(f"one/masks/{name}"))
        assert np.array_equal(mask(f"all/masks/{name}"), WHITE)


def test_a_range_of_16_bits_and_black_for_white(tmp_path, capsys):
    put(tmp_path / "x.png", HELD.astype(np.uint16) * 4)  # 200 to 800
    _, table, _ = called("x.png", "--out", "a", "--intensity", "0,65535", capsys=capsys)
    assert table["x.png"]["area_px"] == str(SIDE * SIDE)  # all of it is nearly black
    _, table, _ = called("x.png", "--out", "b", "--invert", "yes", capsys=capsys)
    assert np.array_equal(mask("b/masks/x.png"), 255 - WHITE)


def test_a_dicom_is_taken_by_its_tags(tmp_path, capsys):
    stored = HELD.astype(np.uint16) * 16
    put(tmp_path / "in/one.dcm", dicom(4095 - stored, PhotometricInterpretation="MONOCHROME1"))
    put(tmp_path / "in/two.dcm", dicom(stored))
    for out, more in {"o": [], "yes": ["--invert", "yes"]}.items():  # as notebook 01 does
        called("in", "--out", out, *more, capsys=capsys)
        assert np.array_equal(mask(f"{out}/masks/one.png"), WHITE)
        assert np.array_equal(mask(f"{out}/masks/two.png"), WHITE)


def test_a_dicom_whose_tags_tell_of_no_frontal_chest_is_to_be_looked_at(tmp_path, capsys):
    told = {"side": {"ViewPosition": "LL"}, "hand": {"BodyPartExamined": "HAND"}, "none": {},
            "chest": {"ViewPosition": "PA", "BodyPartExamined": "CHEST"}}
    for name, tags in told.items():
        put(tmp_path / f"in/{name}.dcm", dicom(HELD.astype(np.uint16) * 16, **tags))
    _, table, said = called("in", "--out", "o", capsys=capsys)
    assert {n for n, row in table.items() if row["check"] == "yes"} == {"side.dcm", "hand.dcm"}
    assert "a lateral view" in table["side.dcm"]["reason"] and "hand" in table["hand.dcm"]["reason"]
    assert "2 masks to look at first" in said
    hands = usual.learn([(np.uint8(50) + HELD // 2, WHITE)] * 3, doubt=0.9)  # chests: False
    usual.write(hands, tmp_path / "dark.json")
    _, table, _ = called("in/hand.dcm", "--out", "hands", capsys=capsys)
    assert "tags say" not in table["hand.dcm"]["reason"] and "hand" in table["hand.dcm"]["notes"]


def test_those_that_look_inverted_are_turned_and_it_says_so(tmp_path, capsys):
    usual.write(usual.learn([(HELD, WHITE)] * 3, doubt=0.9), tmp_path / "dark.json")
    put(tmp_path / "in/good.png", HELD)
    put(tmp_path / "in/bad.png", 255 - HELD)
    code, table, _ = called("in", "--out", "a", capsys=capsys)
    assert code == 0 and table["bad.png"]["check"] == "yes" and table["good.png"]["check"] == "no"
    assert "looks inverted: try --invert auto" in table["bad.png"]["reason"]
    _, table, _ = called("in", "--out", "b", "--invert", "auto", capsys=capsys)
    for name in ("good", "bad"):
        assert table[f"{name}.png"]["check"] == "no"
        assert np.array_equal(mask(f"b/masks/{name}.png"), WHITE)
    assert (table["bad.png"]["notes"], table["good.png"]["notes"]) == ("turned from inverted", "")


def test_probabilities_are_the_models_to_16_bits(tmp_path, capsys):
    put(tmp_path / "x.png", HELD)
    called("x.png", "--out", "o", "--probabilities", "--no-overlays", capsys=capsys)
    found = mask("o/probabilities/x.png")
    assert found.dtype == np.uint16 and not os.path.exists("o/overlays")
    assert np.abs(found / 65535 - (1 - HELD / 255)).max() < 1e-5


def test_outlines_for_labelme(tmp_path, capsys):
    put(tmp_path / "in/a/x.png", HELD)
    put(tmp_path / "in/d.dcm", dicom(HELD.astype(np.uint16) * 16))
    called("in", "--out", "o", "--labelme", capsys=capsys)
    for name in ("a/x", "d"):  # with the picture beside it: the folder can be copied anywhere
        path = tmp_path / f"o/labelme/{name}.json"
        drawn = json.loads(path.read_text("utf-8"))
        shown = mask(path.parent / drawn["imagePath"])
        assert len(drawn["shapes"]) == 2
        assert shown.dtype == np.uint8 and shown.shape == (SIDE, SIDE)
    assert np.array_equal(mask("o/labelme/a/x.png"), HELD)


def test_outlines_that_somebody_drew_or_corrected_are_never_lost(tmp_path, capsys):
    films(tmp_path / "p/in", "x.png", "y.png")
    mine = put(tmp_path / "p/labelme/x.json", '{"shapes": [], "imagePath": "x.png"}').read_bytes()
    asked = ["p/in", "--out", "p", "--labelme"]
    code, table, said = called(*asked, capsys=capsys)
    assert code == 0 and "1 file in p/labelme not drawn by predict, or corrected: left as" in said
    assert "outlines in labelme/" in table["x.png"]["notes"] and not table["y.png"]["notes"]
    corrected = json.loads((tmp_path / "p/labelme/y.json").read_text("utf-8"))
    corrected["shapes"][0]["points"][0][0] += 3  # as LabelMe saves it: what it does not know stays
    path = put(tmp_path / "p/labelme/y.json", json.dumps(corrected, indent=2))
    for more in ([], ["--overwrite"], ["--threshold", "0.6"]):
        called(*asked, *more, capsys=capsys)
        assert json.loads(path.read_text("utf-8")) == corrected
        assert (tmp_path / "p/labelme/x.json").read_bytes() == mine
    path.unlink()
    called(*asked, capsys=capsys)
    assert len(json.loads(path.read_text("utf-8"))["shapes"]) == 2


@pytest.mark.parametrize("kind", ["masks", "overlays"])
def test_a_corrected_picture_is_left_alone(tmp_path, capsys, kind):
    films(tmp_path / "in", "x.png")
    called("in", "--out", "o", capsys=capsys)
    path = put(tmp_path / f"o/{kind}/x.png", WHITE // 2)  # a paint program keeps no record
    before = path.read_bytes()
    code, table, _ = called("in", "--out", "o", capsys=capsys)
    assert code == 1 and "was changed since; it is left alone" in table["x.png"]["reason"]
    assert path.read_bytes() == before


def test_what_is_done_is_not_done_again(tmp_path, capsys, counted):
    films(tmp_path / "in", "x.png", "y.png")
    first = called("in", "--out", "o", capsys=capsys)
    before = state(tmp_path / "o/masks")
    assert called("in", "--out", "o", capsys=capsys)[:2] == first[:2]
    assert len(counted) == 2 and state(tmp_path / "o/masks") == before
    called("in", "--out", "o", "--overwrite", capsys=capsys)
    assert len(counted) == 4


def cut(part):
    def change(root):
        path = root / "o/masks/x.png"
        data = path.read_bytes()
        path.write_bytes(data[: int(part * len(data))])

    return change


def new_input(root):
    put(root / "in/x.png", 255 - HELD)


@pytest.mark.parametrize("change", [
    cut(0.98), cut(0.5), cut(0), new_input,
    lambda root: (root / "o/overlays/x.png").unlink(),
    lambda root: (root / "o/overlays/x.png").write_bytes(b""),
    lambda root: (root / "o/masks/x.png").unlink(),
])
def test_what_is_not_whole_or_no_longer_true_is_made_anew(tmp_path, capsys, counted, change):
    films(tmp_path / "in", "x.png", "y.png")
    called("in", "--out", "o", capsys=capsys)
    change(tmp_path)
    code, table, _ = called("in", "--out", "o", capsys=capsys)
    assert code == 0 and len(counted) == 3 and set(table) == {"x.png", "y.png"}
    wanted = 255 - WHITE if change is new_input else WHITE
    assert np.array_equal(mask("o/masks/x.png"), wanted)
    assert mask("o/overlays/x.png") is not None


@pytest.mark.parametrize("more", [["--threshold", "0.6"], ["--invert", "yes"], ["--labelme"],
                                  ["--probabilities"], ["--tiles"]])
def test_other_options_make_it_anew(tmp_path, capsys, counted, more):
    films(tmp_path / "in", "x.png")
    called("in", "--out", "o", capsys=capsys)
    called("in", "--out", "o", *more, capsys=capsys)
    assert len(counted) == 2


def test_another_model_makes_it_anew(tmp_path, capsys, counted):
    films(tmp_path / "in", "x.png")
    called("in", "--out", "o", capsys=capsys)
    called("in", "--out", "o", capsys=capsys, model="dark.keras,dark.keras")
    assert len(counted) == 2


def test_another_picture_of_the_same_name_is_not_written_over(tmp_path, capsys):
    films(tmp_path, "a/x.png")
    put(tmp_path / "b/x.png", 255 - HELD)
    called("a", "--out", "o", capsys=capsys)
    code, table, _ = called("b", "--out", "o", capsys=capsys)
    assert code == 1 and "is the mask of another picture of this name" in table["x.png"]["reason"]
    assert np.array_equal(mask("o/masks/x.png"), WHITE)
    assert called("b", "--out", "o", "--overwrite", capsys=capsys)[0] == 0
    assert np.array_equal(mask("o/masks/x.png"), 255 - WHITE)


def test_masks_of_the_users_own_are_left_alone(tmp_path, capsys):
    films(tmp_path / "in", "x.png")
    put(tmp_path / "in/masks/x.png", WHITE)
    put(tmp_path / "in/overlays/x.png", WHITE)
    code, table, _ = called("in", "--out", "in", capsys=capsys)
    assert code == 1 and "was not written by predict" in table["x.png"]["reason"]
    assert (tmp_path / "in/masks/x.png").read_bytes() == encode(WHITE)
    assert (tmp_path / "in/overlays/x.png").read_bytes() == encode(WHITE)


def test_doubt_is_that_of_the_most_probable_class(tmp_path, capsys, sides):
    put(tmp_path / "in/sure.png", TWO_GREYS)
    put(tmp_path / "in/torn.png", np.select([RIGHT, LEFT], [84, 120], 200).astype(np.uint8))
    _, table, _ = called("in", "--out", "o", capsys=capsys, model="sides")
    assert float(table["torn.png"]["doubt"]) > float(table["sure.png"]["doubt"]) + 0.1


# ------------------------------------------------------------- each by itself, without a model

ALONE = SimpleNamespace(digest="d", classes=(), limits=usual.Limits())
CERTAIN = LUNGS.astype(np.float32)  # what a sure model would say of HELD


def one(root, name="x", content=HELD):
    return pictures.Picture(put(root / f"in/{name}.png", content), f"{name}.png", name)


def done(picture, out, options, together=ALONE, said=CERTAIN):
    """Take a picture all the way."""
    found = job.read(picture, out, together, options)
    return job.finish(found, said, out, together, options)


def test_what_a_mask_depends_on_is_no_question_of_what_lies_beside_it():
    assert job.Options().decide() == [0.5, False, "no", "auto"]
    more = job.Options(probabilities=True, labelme=True, overlays=False, overwrite=True)
    assert more.decide() == job.Options().decide()
    other = job.Options(threshold=0.6, tiles=True, invert="yes", intensity="0,4095")
    assert other.decide() == [0.6, True, "yes, but DICOM", "0,4095"]


def test_what_lies_beside_a_mask_and_where():
    assert job.Options().companions("a/x") == {"overlays": "overlays/a/x.png"}
    assert job.Options(overlays=False).companions("x") == {}
    every = job.Options(probabilities=True, labelme=True)
    assert every.companions("x") == {
        "overlays": "overlays/x.png", "probabilities": "probabilities/x.png",
        "labelme": "labelme/x.json", "picture": "labelme/x.png"}
    assert job.Options(probabilities=True, overlays=False).companions("x", classes=2) == {
        "probabilities/1": "probabilities/1/x.png", "probabilities/2": "probabilities/2/x.png"}
    picture = pictures.Picture(Path("in/a/x.dcm"), "a/x.dcm", "a/x")
    assert job.mask_file(Path("o"), picture) == Path("o/masks/a/x.png")


def test_a_picture_is_read_with_what_tells_it_from_others(tmp_path):
    picture = one(tmp_path)
    found = job.read(picture, tmp_path / "o", ALONE, job.Options())
    assert np.array_equal(found.image, HELD) and found.image.dtype == np.uint8
    assert (found.shape, found.spacing, found.skipped, found.failed) == (
        (SIDE, SIDE), None, False, False)
    content = hashlib.sha256(picture.path.read_bytes()).hexdigest()
    decided = json.dumps([content, "d", [0.5, False, "no", "auto"]])
    assert found.record == {
        "input": content, "key": hashlib.sha256(decided.encode()).hexdigest(),
        "from": hashlib.sha256(os.fsencode(picture.path)).hexdigest()}
    assert found.row == {"file": "x.png", "view": "", "notes": ""} and found.seconds > 0


def test_what_is_no_picture_is_skipped_and_what_cannot_be_read_fails(tmp_path):
    for content, skipped, failed in (("a note", True, False), (encode(HELD)[:-30], False, True)):
        found = job.read(one(tmp_path, content=content), tmp_path / "o", ALONE, job.Options())
        assert (found.skipped, found.failed, found.image) == (skipped, failed, None)
    gone = pictures.Picture(tmp_path / "gone.png", "gone.png", "gone")
    found = job.read(gone, tmp_path / "o", ALONE, job.Options())
    assert found.row == {"file": "gone.png", "status": "failed",
                         "reason": "it has gone since this call began"}
    assert found.fail(MemoryError()).row["reason"] == "MemoryError"  # some errors say nothing


def test_a_row_of_the_table_by_hand(tmp_path):
    row = done(one(tmp_path), tmp_path / "o", job.Options()).row
    assert row["area_px"] == 1520  # two boxes of 40 x 19 px
    assert {name: row[name] for name in (
        "file", "status", "width", "height", "parts", "area_share", "area_mm2", "lung_ratio")} == {
        "file": "x.png", "status": "ok", "width": 64, "height": 64, "parts": 2,
        "area_share": "0.3711", "area_mm2": "", "lung_ratio": ""}
    assert (row["confidence_inside"], row["doubt"], row["check"]) == ("1.0000", "0.0000", "no")
    assert np.array_equal(mask(tmp_path / "o/masks/x.png"), WHITE)
    assert float(row["seconds"]) > 0


def test_an_area_in_millimetres_is_on_the_pixels_of_the_file(tmp_path):
    found = job.read(one(tmp_path), tmp_path / "o", ALONE, job.Options())
    found.shape, found.spacing = (32, SIDE), (0.4, 0.2)  # as of a file whose pixels are no squares
    row = job.finish(found, CERTAIN, tmp_path / "o", ALONE, job.Options()).row
    assert (row["width"], row["height"], row["area_px"]) == (64, 32, 760)
    assert row["area_mm2"] == "60.8"  # 760 x 0.08
    assert mask(tmp_path / "o/masks/x.png").shape == (32, 64)


def test_several_classes_are_counted_each(tmp_path):
    two = SimpleNamespace(digest="d", classes=("right", "left"), limits=usual.Limits())
    said = np.dstack([~LUNGS, RIGHT, LEFT]).astype(np.float32)
    said[LEFT] = (0, 0.4, 0.6)
    options = job.Options(probabilities=True, labelme=True)
    row = done(one(tmp_path), tmp_path / "o", options, two, said).row
    assert (row["area_px"], row["area_px:right"], row["area_px:left"]) == (1520, 760, 760)
    assert row["confidence_inside"] == "0.8000"  # one lung 1.0, the other 0.6
    kept = mask(tmp_path / "o/masks/x.png")
    assert np.array_equal(kept, np.uint8(1) * RIGHT + np.uint8(2) * LEFT)
    levels = [mask(tmp_path / f"o/probabilities/{number}/x.png") for number in (1, 2)]
    assert [level[20, 45] for level in levels] == [26214, 39321]  # 0.4 and 0.6 of 65535
    drawn = json.loads((tmp_path / "o/labelme/x.json").read_text("utf-8"))["shapes"]
    assert [shape["label"] for shape in drawn] == ["right", "left"]


def test_what_is_done_is_found_by_content_model_and_options(tmp_path):
    picture, out, options = one(tmp_path), tmp_path / "o", job.Options()
    row = done(picture, out, options).row
    again = job.read(picture, out, ALONE, options)
    assert again.image is None and again.row == row
    assert job.finish(again, CERTAIN, out, ALONE, options) is again  # there is nothing to do
    other = SimpleNamespace(**vars(ALONE) | {"digest": "e"})
    for together, asked in ((other, options), (ALONE, job.Options(threshold=0.4)),
                            (ALONE, job.Options(labelme=True)), (ALONE, job.Options(tiles=True)),
                            (ALONE, job.Options(overwrite=True))):
        assert job.read(picture, out, together, asked).image is not None
    moved = pictures.Picture(put(tmp_path / "new/x.png", HELD), "x.png", "x")
    assert job.read(moved, out, ALONE, options).image is None  # the same picture elsewhere
    stranger = pictures.Picture(put(tmp_path / "new/x.png", 255 - HELD), "x.png", "x")
    found = job.read(stranger, out, ALONE, options)
    assert found.failed and "is the mask of another picture of this name" in found.row["reason"]


@pytest.mark.parametrize("number, ends", [(errno.ENOSPC, True), (errno.EDQUOT, True),
                                          (errno.EROFS, True), (errno.EACCES, False)])
def test_where_nothing_more_can_be_written_all_ends(number, ends, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(outputs, "write", fail)
    if ends:
        with pytest.raises(OSError, match=os.strerror(number)):
            done(one(tmp_path), tmp_path / "o", job.Options())
    else:
        found = done(one(tmp_path), tmp_path / "o", job.Options())
        assert found.failed and os.strerror(number) in found.row["reason"]


def test_outlines_of_somebodys_own_are_noted_once(tmp_path):
    out, options = tmp_path / "o", job.Options(labelme=True)
    mine = put(out / "labelme/x.json", "{}")
    for _ in range(2):
        found = done(one(tmp_path), out, options)
        assert found.row["notes"] == job.KEPT and mine.read_text("utf-8") == "{}"
    mine.unlink()
    assert job.read(one(tmp_path), out, ALONE, options).image is not None
