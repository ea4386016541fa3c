"""Load what notebook 01 made: whole or refused, pixels as they were written."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from unet_lib import datasets, workspace
from unet_lib.intake import prepare

IDS = [f"P_{number:02d}_{number % 2}" for number in range(8)]
GREY = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def picture(name: str) -> np.ndarray:
    """Return the image that belongs to an id: (20, 24) uint8, different for each."""
    return np.roll(GREY, IDS.index(name) + 1, axis=1) if name in IDS else GREY


def truth(name: str) -> np.ndarray:
    mask = np.zeros((20, 24), np.uint8)
    mask[5:15, 3 : 5 + int(name[2:4])] = 1
    return mask


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    root = tmp_path / "source"
    for folder in ("train/images", "train/masks", "test"):
        (root / folder).mkdir(parents=True)
    for name in IDS:
        (root / f"train/images/{name}.png").write_bytes(png(picture(name)))
        (root / f"train/masks/{name}.png").write_bytes(png(truth(name) * np.uint8(255)))
    (root / "test/T_1.png").write_bytes(png(GREY))
    return root


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "xrays"


@pytest.mark.parametrize("spoil", ["absent", "empty", "cut", "edited", "lost"])
def test_a_data_set_without_a_valid_manifest_is_never_taken_for_whole(spoil, source, target):
    if spoil != "absent":
        prepare.restructure(source, target)
    path = target / "manifest.json"
    text = path.read_text("utf-8") if path.exists() else ""
    if spoil == "lost":
        (target / "test/T_1.png").unlink()
    elif spoil != "absent":
        wrong = {"empty": "", "cut": text[:-50], "edited": text.replace('"class": 0', '"class": 1')}
        path.write_text(wrong[spoil], "utf-8")
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load_manifest(target)
    assert "data/xrays holds no complete data set" in str(caught.value)
    assert "notebooks/01_restructure_dataset.ipynb" in str(caught.value)
    prepare.restructure(source, target)
    assert len(datasets.load_manifest(target)["items"]) == 9


def test_a_manifest_of_another_format_is_not_loaded(source, target):
    prepare.restructure(source, target)
    path = target / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"format": 2}), "utf-8")
    with pytest.raises(FileNotFoundError, match="no complete data set"):
        datasets.load_manifest(target)


# ----------------------------------------------------------------------- made as is asked for here

ASKED = {
    "source": "phantom", "phantoms": 120, "val_fraction": 0.15, "split_seed": 0,
    "split": "stratified",
}  # fmt: skip
MADE = {
    "dataset": "xrays", "source": "phantom (120 pairs)", "val_fraction": 0.15, "split_seed": 0,
    "split_rule": "stratified",
}  # fmt: skip


def test_a_data_set_made_as_asked_for_is_accepted(source, target):
    assert datasets.require(MADE, **ASKED) is None
    options = {"val_fraction": 0.25, "split_seed": 3, "split": "last"}
    named = datasets.source_name(source)
    manifest = prepare.restructure(source, target, asked=named, **options)
    datasets.require(manifest, source=str(source), phantoms=7, **options)
    datasets.require(datasets.load_manifest(target), source=source, phantoms=120, **options)


@pytest.mark.parametrize(
    "name, here, text",
    [
        ("source", "kaggle", "source was 'phantom (120 pairs)', here it is 'kaggle'"),
        ("source", "kaggle:a/b", "source was 'phantom (120 pairs)', here it is 'kaggle:a/b'"),
        ("phantoms", 60, "source was 'phantom (120 pairs)', here it is 'phantom (60 pairs)'"),
        ("val_fraction", 0.2, "val_fraction was 0.15, here it is 0.2"),
        ("split_seed", 1, "split_seed was 0, here it is 1"),
        ("split", "last", "split_rule was 'stratified', here it is 'last'"),
    ],
)
def test_a_data_set_made_differently_is_refused(name, here, text):
    with pytest.raises(ValueError, match="^the data set 'xrays' was made differently: ") as caught:
        datasets.require(MADE, **{**ASKED, name: here})
    said = str(caught.value)
    assert f": {text}. Set the same here" in said and said.count(" was ") == 2  # nothing else
    assert "run notebooks/01_restructure_dataset.ipynb with these values" in said
    assert "another dataset name keeps both" in said


def test_a_record_is_what_the_manifest_holds_of_all_parameters(source, target):
    options = {"val_fraction": 0.25, "split_seed": 3, "split": "last"}
    values = {"dataset": "xrays", "phantoms": 7, "source": str(source), "invert": "auto", **options}
    record = datasets.record(values)
    manifest = prepare.restructure(
        source, target, asked=record["source"], invert="auto", **options)
    assert record == {k: manifest[k] for k in record} and set(record) <= set(datasets.RECORDED)
    assert set(datasets.RECORDED) == set(prepare.Options().__dict__) - {"split"} | {
        "source", "split_rule"}  # fmt: skip
    datasets.require(manifest, **values)
    with pytest.raises(ValueError, match="differently: invert was 'auto', here it is 'no'. Set"):
        datasets.require(manifest, invert="no")


def test_all_that_differs_is_told_at_once_even_what_an_old_manifest_lacks():
    old = {k: v for k, v in MADE.items() if k != "split_seed"} | {"seed": 0}
    with pytest.raises(ValueError) as caught:
        datasets.require(old, **{**ASKED, "split": "last"})
    assert "split_seed was None, here it is 0; split_rule was 'stratified'" in str(caught.value)


def test_the_name_of_a_source(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)
    name = datasets.source_name
    assert name("phantom") == "phantom (120 pairs)"
    assert name("phantom", phantoms=7) == "phantom (7 pairs)"
    assert name("kaggle") == name("kaggle", phantoms=7) == "kaggle"
    assert name("kaggle:owner/name") == "kaggle:owner/name"
    assert name("kaggle-download/.") == "kaggle-download"  # a folder, whose name only begins so
    assert name("data/../data/mine/") == name(workspace.PROJECT / "data/mine") == "data/mine"
    assert name(tmp_path / "workspace/data/x") == "data/x"
    assert name(tmp_path / "far" / "away") == (tmp_path / "far" / "away").resolve().as_posix()
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(workspace.PROJECT.parent))
    assert name("kaggle:owner/name") == "kaggle:owner/name"  # no folder, wherever one works
    assert name("data/mine") == f"{workspace.PROJECT.name}/data/mine"


# ----------------------------------------------------------------------------------------- reading


WHOLE = png(GREY)
LARGE = png(np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8))


@pytest.mark.parametrize(
    "data",
    [b"", WHOLE[:-1], WHOLE[:-13], WHOLE[:300], WHOLE[:8], LARGE[:60000], LARGE[:-12],
     WHOLE[:200] + bytes([WHOLE[200] ^ 255]) + WHOLE[201:], b"GIF89a", b"\x89PNG", b"hello " * 50],
    ids="empty cut-1 cut-13 half cut-8 large large-12 damaged gif-head png-head text".split(),
)  # fmt: skip
@pytest.mark.parametrize("read", [datasets.read_image, datasets.read_mask])
def test_what_cannot_be_read_whole_is_refused(read, data, tmp_path):
    path = tmp_path / "Röntgen.png"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read(path)
    assert f"Röntgen.png cannot be read: {len(data)} bytes, cut off or no" in str(caught.value)
    assert "notebooks/01_restructure_dataset.ipynb makes it anew" in str(caught.value)


def test_a_cut_file_is_refused_by_an_opencv_that_fills_it_up_too(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: GREY)  # as older ones did
    (tmp_path / "cut.png").write_bytes(LARGE[:60000])
    with pytest.raises(ValueError, match="cut.png cannot be read: 60000 bytes"):
        datasets.read_image(tmp_path / "cut.png")


def test_an_image_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "Röntgen.png"
    path.write_bytes(WHOLE)
    for given in (path, str(path)):
        read = datasets.read_image(given)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, GREY)


def test_a_mask_is_lung_from_128_on(tmp_path):
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (tmp_path / "mask.png").write_bytes(png(shades))
    mask = datasets.read_mask(tmp_path / "mask.png")
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(mask, shades > 127)


def test_a_pair_holds_its_own_image_and_mask(source):
    for name in IDS:
        image, mask = datasets.read_pair(source, name)
        np.testing.assert_array_equal(image, picture(name))
        np.testing.assert_array_equal(mask, truth(name))


def test_pairs_come_in_the_order_asked_for_and_one_at_a_time(source, monkeypatch):
    real, opened = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.stem) or real(path))
    asked = [IDS[5], IDS[0], "not there", IDS[1]]
    pairs = datasets.read_pairs(source, asked)
    assert opened == []  # nothing is read before it is asked for
    for number, name in enumerate(asked[:2], 1):
        image, mask = next(pairs)
        np.testing.assert_array_equal(image, picture(name))
        np.testing.assert_array_equal(mask, truth(name))
        assert opened == [n for n in asked[:number] for _ in ("image", "mask")]
    with pytest.raises(FileNotFoundError, match=re.escape("not there.png")):
        next(pairs)
    assert list(datasets.read_pairs(source, [])) == []


def test_a_mask_of_several_classes_holds_their_numbers(tmp_path):
    for highest in (1, 2, 127):
        numbers = np.zeros((8, 9), np.uint8)
        numbers[2:5] = highest
        (tmp_path / "mask.png").write_bytes(png(numbers))
        np.testing.assert_array_equal(datasets.read_mask(tmp_path / "mask.png"), numbers)


def test_the_names_of_classes():
    assert datasets.class_names({"classes": ["right lung", "left lung"]}) == [
        "right lung", "left lung"]
    assert datasets.class_names({}) == []


def test_phantoms_that_tell_sides_apart_say_what_their_masks_hold():
    sides = datasets.source_name("phantom", phantoms=7, phantom_masks="sides")
    assert sides == "phantom (7 pairs, sides)"
    asked = {"source": "phantom", "phantoms": 7, "phantom_masks": "sides", "mask_values": "auto"}
    assert datasets.record(asked) == {"source": sides, "mask_values": datasets.SIDES}
    assert datasets.record(asked | {"mask_values": "1,2"})["mask_values"] == "1,2"
    for other in ({"phantom_masks": "both"}, {"source": "kaggle"}, {"source": "data/(x, sides)"}):
        assert datasets.record(asked | other)["mask_values"] == "auto"


def test_a_data_set_of_sides_is_not_taken_for_one_of_both():
    with pytest.raises(ValueError, match="differently: source was 'phantom .*', here .*, sides"):
        datasets.require(MADE, **ASKED, phantom_masks="sides")


def test_some_training_pairs_are_drawn_at_random_and_more_hold_the_fewer():
    ids, others = [f"p{k}" for k in range(50)], ["v0", "v1"]
    manifest = {"split": {"train": ids, "validation": others}, "split_seed": 3}
    (five, _), (ten, validation) = (datasets.used_ids(manifest, count) for count in (5, 10))
    assert len(set(five)) == 5 and five == ten[:5] and set(ten) < set(ids)
    assert sorted(datasets.used_ids(manifest, 50)[0]) == sorted(ids) and validation == others
    assert five != datasets.used_ids(manifest | {"split_seed": 4}, 5)[0] and five != ids[:5]
    assert all(type(name) is str for name in five)
    assert datasets.used_ids(manifest) == datasets.used_ids(manifest, 0) == (ids, others)
    with pytest.raises(ValueError, match="training_pairs is 51, but .* has 50 .* use 50, or 0"):
        datasets.used_ids(manifest, 51)
