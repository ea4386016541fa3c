"""A data set appears whole or not at all, and no source is touched."""

import errno
import json
import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from made_sets import (
    LEFT,
    LUNGS,
    RIGHT,
    WHITE,
    alpha,
    chest,
    make_set,
    met,
    palette,
    put,
)
from made_trees import (
    GREY,
    content,
    copy_other_encoding,
    image_of,
    make_tree,
    picture,
    run,
    save,
    state,
)

from unet_lib import datasets, workspace
from unet_lib.intake import prepare, safekeeping, writing


def lose_train(root):
    os.rename(root / "train_images", root.with_name("gone"))


def spoil_all(root):
    for path in root.glob("train_images/*/images/*"):
        path.write_bytes(b"")


def hide_masks(root):
    for path in list(root.glob("train_images/*/masks")):
        path.rename(path.with_name("things"))


FATAL = [
    (lambda r: os.rename(r, r.with_name("gone")), FileNotFoundError,
     "source source does not exist"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.mkdir(), ValueError, "Found: nothing (files"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.write_text("PK"), ValueError,
     "Found: a file, source, not a folder (name a folder or a CSV list;"),
    (hide_masks, ValueError, "Found: test_images/, train_images/ (files in all folders: 18 .png)"),
    (spoil_all, ValueError,
     "unreadable file: 8, such as train_images/P_00_0/images/P_00_0.png: empty"),
    (lose_train, ValueError, "of 2 pictures neither folders nor names tell which are masks"),
]  # fmt: skip


@pytest.mark.parametrize("damage, kind, text", FATAL)
def test_a_fatal_fault_stops_before_anything_is_written(damage, kind, text, source, target):
    damage(source)
    before = state(target.parents[1])
    with pytest.raises(kind) as caught:
        prepare.restructure(source, target)
    assert text in str(caught.value)
    assert "Expected is a folder that holds one of these trees" in str(caught.value)
    assert "train_images/<id>/masks/<id>.png, test_images/<id>/<id>.png" in str(caught.value)
    assert state(target.parents[1]) == before


def test_source_and_target_must_lie_apart(source, target):
    before = state(source)
    for a, b in [(source, source), (source, source / "x"), (source / "train_images", source)]:
        with pytest.raises(ValueError, match="must not hold each other.*another dataset name"):
            prepare.restructure(a, b)
    assert state(source) == before


def test_a_folder_of_the_user_is_never_replaced(source, tmp_path):
    mine = make_tree(tmp_path / "data" / "mine", layout="usable")
    before = state(mine)
    with pytest.raises(FileExistsError, match="data/mine holds files but no manifest.json"):
        prepare.restructure(source, mine)
    assert state(mine) == before


def test_the_second_run_changes_nothing_and_says_so(source, target):
    first = prepare.restructure(source, target)
    (target / "arrays").mkdir()
    before = state(target.parent)
    second = prepare.restructure(source, target, progress=lambda *_: 1 / 0)  # decodes nothing
    assert first["written"] is True and second["written"] is False
    assert state(target.parent) == before
    assert {**second, "written": True} == first


def made_of_kaggle(source, target, **options):
    """Make a data set whose manifest says that it came from Kaggle."""
    return prepare.restructure(source, target, asked="kaggle", **options)


def test_a_made_data_set_is_enough_without_asking_anyone(source, target, no_network, capsys):
    made = made_of_kaggle(source, target, split_seed=3)
    before = state(target)
    options = {"val_fraction": 0.15, "split_seed": 3, "split": "stratified"}
    found = prepare.find_source("kaggle", target, **options)
    assert found == target and no_network == []
    assert capsys.readouterr().out == (
        "unchanged: data/xrays is there; its source, kaggle, is not cached and was not asked\n"
    )
    again = prepare.restructure(found, target, asked="kaggle", **options)
    assert again == made | {"written": False} and state(target) == before


@pytest.mark.parametrize("other", ["kaggle:some-one/lungs", "split_seed", "bytes", "nothing made"])
def test_any_other_data_set_is_not(other, source, target, no_network):
    made_of_kaggle(source, target)
    asked = other if ":" in other else "kaggle"
    if other == "bytes":
        save(target / "train/masks/P_00_0.png", GREY)
    if other == "nothing made":
        target = target.with_name("none")
    with pytest.raises(RuntimeError, match="could not be downloaded"):
        prepare.find_source(asked, target, split_seed=int(other == "split_seed"))
    assert no_network


def test_a_source_at_hand_is_read_whatever_is_made(source, target):
    made_of_kaggle(source, target)
    assert prepare.find_source(source, target) == source


def test_a_data_set_is_not_its_own_source(source, target):
    """Only `find_source` may say so: then the manifest names the source that was asked for."""
    made_of_kaggle(source, target)
    for options in ({}, {"asked": "kaggle", "split_seed": 1}):
        with pytest.raises(ValueError, match="must not hold each other"):
            prepare.restructure(target, target, **options)


@pytest.mark.parametrize(
    "change", ["split_seed", "val_fraction", "split", "source", "stray", "lost", "edited"]
)
def test_a_changed_source_option_or_copy_is_made_anew(change, source, target):
    first = prepare.restructure(source, target)
    (target / "arrays").mkdir()
    options = {
        "split_seed": {"split_seed": 1},
        "val_fraction": {"val_fraction": 0.5},
        "split": {"split": "last"},
    }
    if change == "source":
        save(image_of(source, "P_00_0"), picture("new"))
    elif change == "stray":
        (source / "notes.txt").touch()
    elif change == "lost":
        (target / "train/masks/P_00_0.png").unlink()
    elif change == "edited":
        save(target / "train/masks/P_00_0.png", GREY)
    second = prepare.restructure(source, target, **options.get(change, {}))
    assert second["written"] is True and not (target / "arrays").exists()
    same = change in ("stray", "lost", "edited")
    assert (second["data_sha256"] == first["data_sha256"]) == same
    assert prepare.restructure(source, target, **options.get(change, {}))["written"] is False
    assert [p.name for p in target.parent.iterdir() if p.suffix != ".lock"] == ["xrays"]


def test_the_data_hash_knows_pixels_not_their_encoding(source, target):
    first = prepare.restructure(source, target)
    copy_other_encoding(source / "train.png", image_of(source, "P_00_0"))
    os.replace(source / "train.png", image_of(source, "P_00_0"))
    second = prepare.restructure(source, target)
    assert second["written"] and second["data_sha256"] == first["data_sha256"]


KILLED = """
import itertools, os, shutil, signal, sys
from pathlib import Path
from unet_lib.intake import prepare, writing
source, target, point = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def die_at(module, name, number, after):
    real, calls = getattr(module, name), itertools.count(1)
    def call(*args, **options):
        mine = next(calls)  # files are written on several threads
        if mine == number and not after: os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if mine == number: os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)
name, number, after = point.split()
module = {"_put": writing, "rename": os, "write_text": Path, "rmtree": shutil}[name]
die_at(module, name, int(number), after == "after")
prepare.restructure(source, target, split_seed=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_kill_9_at_any_point_and_the_rerun_completes(source, tmp_path):
    whole = tmp_path / "whole" / "xrays"
    prepare.restructure(source, whole, split_seed=1)
    points = ["_put 1 before", "_put 9 after", "write_text 1 before", "write_text 1 after",
              "rename 1 before", "rename 1 after", "rename 2 after"]  # fmt: skip
    folders = {(point, old): tmp_path / f"{n}{old}" / "xrays"
               for n, point in enumerate(points) for old in (False, True)}  # fmt: skip
    for (_, old), target in folders.items():
        if old:  # a complete data set is there, made with another seed
            prepare.restructure(source, target)
    killed = {key: run(KILLED, source, target, key[0]) for key, target in folders.items()}
    for (point, old), target in folders.items():
        process = killed[point, old]
        process.communicate()
        if process.returncode != -9:  # without an old data set there is no second rename
            assert (point, old) == ("rename 2 after", False) and process.returncode == 0
            continue
        if target.exists() and (old or point == "rename 1 after"):
            seed = datasets.load_manifest(target)["split_seed"]
            new = point == ("rename 2 after" if old else "rename 1 after")
            assert seed == (1 if new else 0), (point, old)
        else:
            with pytest.raises(FileNotFoundError, match="01_restructure_dataset"):
                datasets.load_manifest(target)
        prepare.restructure(source, target, split_seed=1)
        assert content(target) == content(whole), (point, old)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_an_old_data_set_survives_a_kill_in_the_swap(source, target, monkeypatch):
    prepare.restructure(source, target)
    before = content(target)
    run(KILLED, source, target, "rename 1 after").communicate()
    assert not target.exists() and (target.parent / ".xrays.old").exists()
    monkeypatch.setattr(writing, "build", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # the next run gives it back before it builds
        prepare.restructure(source, target, split_seed=1)
    assert content(target) == before
    assert [p.name for p in target.parent.iterdir() if p.suffix != ".lock"] == ["xrays"]


@pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")
def test_two_runs_at_once_do_not_disturb_each_other(source, target):
    script = (
        "import sys; from unet_lib.intake import prepare; sys.stderr.write("
        "str(prepare.restructure(sys.argv[1], sys.argv[2])['written']))"
    )
    runs = [run(script, source, target) for _ in range(3)]
    said = sorted(process.communicate()[1] for process in runs)
    assert said == ["False", "False", "True"]
    assert prepare.restructure(source, target)["written"] is False


def test_a_full_disk_is_told_and_leaves_the_old_data_set(source, target, monkeypatch):
    prepare.restructure(source, target)
    before, real, calls = state(target.parent), Path.write_bytes, []

    def write_bytes(path, data):
        calls.append(path)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="cannot write data/xrays: .*No space left.*make room"):
        prepare.restructure(source, target, split_seed=1)
    assert state(target.parent) == before


def test_a_place_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write file/xrays: .*UNET_LOWERED_WORKSPACE"):
        prepare.restructure(source, tmp_path / "file" / "xrays")


def test_memory_does_not_grow_with_the_number_of_pairs(tmp_path, target):
    for number in range(60):
        image = np.full((500, 500), number, np.uint8)
        save(tmp_path / f"s/images/{number}.png", image)
        image[100:200] = 255
        save(tmp_path / f"s/masks/{number}.png", (image == 255) * np.uint8(255))
    tracemalloc.start()
    prepare.restructure(tmp_path / "s", target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 60 pairs hold 120 times 500 x 500 bytes; how many are in work at once differs by machine.
    assert peak < 30 * 500 * 500


# ------------------------------------------------------------------------- what becomes of masks


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
SIDES = np.uint8(1) * RIGHT + np.uint8(2) * LEFT
HEART = SIDES.copy()
HEART[30:50, 28:36] = 3
COLOURS = np.dstack([LEFT * np.uint8(255), WHITE * 0, RIGHT * np.uint8(255)])

REFUSED = [  # a kind of masks, the line that settles it
    ("1 and 2", SIDES, "1,2"),
    ("1 alone in many", lambda n: SIDES if n == 3 else np.minimum(SIDES, 1), "1,2"),
    ("127 and 255", np.uint8(127) * RIGHT + np.uint8(255) * LEFT, "127,255"),
    ("85 and 170", np.uint8(85) * RIGHT + np.uint8(170) * LEFT, "85,170"),
    ("blue and red", COLOURS, "#0000ff,#ff0000"),
    ("LabelMe", palette(SIDES, VOC), "#008000,#800000"),
    ("inverted", 255 - WHITE, "0"),
    ("ilastik", np.where(LUNGS, 1, 2).astype(np.uint8), "1"),
]


@pytest.mark.parametrize(("mask", "line"), [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])  # fmt: skip
def test_masks_that_are_not_plain_are_refused_and_settled_by_the_line(mask, line, tmp_path):
    root, target = make_set(tmp_path / "source", mask), tmp_path / "data/made"
    before = state(tmp_path)
    with pytest.raises(ValueError, match=f'mask_values: "{re.escape(line)}"') as refusal:
        prepare.restructure(root, target)
    assert "of the pixels   files" in str(refusal.value) and state(tmp_path) == before
    manifest = prepare.restructure(root, target, mask_values=line)
    assert manifest["mask_values"] == line and manifest["foreground"] == sorted(line.split(","))
    mask = datasets.read_mask(target / "train/masks/P03.png")
    np.testing.assert_array_equal(mask, LUNGS)


def test_a_heart_is_named_out(tmp_path):
    root = make_set(tmp_path / "source", palette(HEART, VOC))
    with pytest.raises(ValueError, match="#808000"):
        prepare.restructure(root, tmp_path / "made")
    prepare.restructure(root, tmp_path / "made", mask_values="#800000,#008000")
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P00.png"), LUNGS)


def test_some_inverted_masks_are_listed(tmp_path):
    root = make_set(tmp_path / "source", lambda n: 255 - WHITE if n in (2, 5) else WHITE)
    with pytest.raises(ValueError, match="mask_values") as refusal:
        prepare.restructure(root, tmp_path / "made")
    text = str(refusal.value)
    assert "in 2 of 8 files" in text and "masks/P02.png" in text and "masks/P05.png" in text
    assert "P01" not in text and not (tmp_path / "made").exists()


def test_a_red_lung_on_a_transparent_ground_is_refused_never_turned_round(tmp_path):
    root = make_set(tmp_path / "source", alpha((255, 0, 0), (255, 255, 255)))
    with pytest.raises(ValueError, match='mask_values: "#ff0000"'):
        prepare.restructure(root, tmp_path / "made")
    prepare.restructure(root, tmp_path / "made", mask_values="#ff0000")
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P00.png"), LUNGS)


# --------------------------------------------------------------------------------- annotations


@pytest.mark.parametrize("way", ["{}/1.png", "images\\{}\\1.png"])
def test_folders_in_the_names_of_a_coco_file_tell_its_pictures_apart(way, tmp_path):
    root, lungs = tmp_path / "s", {"x": LEFT, "y": RIGHT, "z": LUNGS}
    for place in lungs:
        put(root / f"images/{place}/1.png", chest(ord(place)))
    outlines = [{"id": n, "image_id": n, "category_id": 0, "segmentation": [sum(corners(m), [])]}
                for n, m in enumerate(lungs.values())]  # fmt: skip
    listed = [{"id": n, "file_name": way.format(p), "height": 64, "width": 64}
              for n, p in enumerate(lungs)]  # fmt: skip
    named = [{"id": 0, "name": "lung"}]
    text = json.dumps({"images": listed, "annotations": outlines, "categories": named})
    put(root / "all.json", text)
    prepare.restructure(root, tmp_path / "made", val_fraction=0.4)
    for place, mask in list(lungs.items())[:2]:
        made = datasets.read_mask(tmp_path / f"made/train/masks/{place}_1.png")
        np.testing.assert_array_equal(made, mask)


def test_a_label_that_two_annotation_files_draw_is_told(tmp_path):
    root = coco(tmp_path / "s", [("lung", LEFT)])
    (root / "annotations.json").rename(root / "reader 1.json")
    coco(root, [("lung", RIGHT)])
    manifest = prepare.restructure(root, tmp_path / "made")
    told = met(manifest)["label in two annotation files"]
    assert len(told) == 8 and told[0] == "reader 1.json (P0, lung): annotations.json too"
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P3.png"), LUNGS)
    told = next(f["remedy"] for f in manifest["findings"] if f["fault"].startswith("label in two"))
    assert "Move one of the files out of the source, or write a list" in told
    rows = [f"images/P{n}.png,annotations.json" for n in range(8)]
    put(root / "list.csv", "\n".join(["image,mask", *rows]))
    manifest = prepare.restructure(root / "list.csv", tmp_path / "chosen")
    assert "label in two annotation files" not in met(manifest)
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "chosen/train/masks/P3.png"), RIGHT)


def test_outlines_that_two_annotation_files_share_are_not_told(tmp_path):
    """As an export of the whole lies beside those of its parts."""
    root = coco(tmp_path / "s", [("lung", LUNGS)])
    put(root / "all.json", (root / "annotations.json").read_text("utf-8"))
    manifest = prepare.restructure(root, tmp_path / "made")
    assert len(manifest["items"]) == 8
    assert "label in two annotation files" not in met(manifest)


def corners(mask):
    """Return the four corners of a box in a mask as [x, y]."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return [[int(x), int(y)] for x, y in
            ((left, top), (right, top), (right, bottom), (left, bottom))]  # fmt: skip


def labelme(root, shapes, count=8):
    for number in range(count):
        put(root / f"P{number}.png", chest(number))
        put(root / f"P{number}.json", json.dumps({
            "imagePath": f"P{number}.png", "imageHeight": 64, "imageWidth": 64, "shapes": [
                {"label": label, "points": corners(mask), "shape_type": "polygon"}
                for label, mask in shapes]}))  # fmt: skip
    return root


def coco(root, shapes, count=8):
    categories = {label: 7 + 5 * n for n, label in enumerate(dict.fromkeys(s[0] for s in shapes))}
    items = []
    for number in range(count):
        put(root / f"images/P{number}.png", chest(number))
        for label, mask in shapes:
            items.append({"id": len(items), "image_id": number, "category_id": categories[label],
                          "segmentation": [sum(corners(mask), [])]})  # fmt: skip
    listed = [{"id": n, "file_name": f"P{n}.png", "height": 64, "width": 64} for n in range(count)]
    named = [{"id": number, "name": label} for label, number in categories.items()]
    text = json.dumps({"images": listed, "annotations": items, "categories": named})
    put(root / "annotations.json", text)
    return root


@pytest.mark.parametrize("write", [labelme, coco])
def test_lungs_of_an_annotation_are_joined(write, tmp_path):
    root = write(tmp_path / "s", [("left lung", LEFT), ("right lung", RIGHT)])
    before = state(root)
    manifest = prepare.restructure(root, tmp_path / "made")
    assert state(root) == before and len(manifest["items"]) == 8
    assert manifest["foreground"] == ["left lung", "right lung"]
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P3.png"), LUNGS)
    told = met(manifest)
    assert list(told) == ["mask drawn from an annotation"]
    assert len(told["mask drawn from an annotation"]) == 16
    assert told["mask drawn from an annotation"][0].endswith("(P0, left lung)")


@pytest.mark.parametrize("write", [labelme, coco])
@pytest.mark.parametrize("order", [1, -1])
def test_no_label_of_an_annotation_goes_unseen(order, write, tmp_path):
    """Whichever label comes last: lung and heart are two things, and somebody has to say so."""
    heart = np.zeros((64, 64), bool)
    heart[30:50, 28:36] = True
    root = write(tmp_path / "s", [("lung", LUNGS & ~LEFT), ("heart", heart)][::order])
    with pytest.raises(ValueError, match="2 values besides 0"):
        prepare.restructure(root, tmp_path / "made")
    manifest = prepare.restructure(root, tmp_path / "made", mask_values="lung")
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P3.png"), RIGHT)
    assert {row["value"] for row in manifest["mask_table"]} == {0, "lung", "heart"}


@pytest.mark.parametrize("write", [labelme, coco])
def test_an_annotation_of_one_lung_among_those_of_two_is_left_out(write, tmp_path):
    root = write(tmp_path / "s", [("left lung", LEFT), ("right lung", RIGHT)])
    name, key = ("P3.json", "shapes") if write is labelme else ("annotations.json", "annotations")
    content = json.loads((root / name).read_text())
    del content[key][1 if write is labelme else 7]  # the right lung of P3
    put(root / name, json.dumps(content))
    manifest = prepare.restructure(root, tmp_path / "made")
    assert met(manifest)["only one lung's mask"] == [f"{name} (P3): no right one"]
    assert "P3" not in manifest["items"] and len(manifest["items"]) == 7
    alone = prepare.restructure(root, tmp_path / "one", mask_values="left lung")
    assert len(alone["items"]) == 8 and "only one lung's mask" not in met(alone)


def test_what_an_annotation_cannot_be_read_for_is_told_by_its_picture(tmp_path):
    root = coco(tmp_path / "s", [("lung", LUNGS)])
    content = json.loads((root / "annotations.json").read_text())
    content["images"][2]["height"] = 65
    content["annotations"][5]["segmentation"] = {"size": [64, 64], "counts": [64 * 64]}
    put(root / "annotations.json", json.dumps(content))
    told = met(prepare.restructure(root, tmp_path / "made"))
    assert told["unreadable file"][0].startswith("annotations.json (P2.png): made for a picture of")
    assert told["empty mask"] == ["annotations.json (P5)"]


def test_what_an_annotation_leaves_out_is_told(tmp_path):
    root = coco(tmp_path / "s", [("lung", LEFT)])
    path = root / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1  # of P0: nothing is left
    extra = {"id": 99, "image_id": 1, "category_id": 7, "segmentation": []}
    put(path, json.dumps(content | {"annotations": [*content["annotations"], extra]}))
    manifest = prepare.restructure(root, tmp_path / "made")
    told = met(manifest)
    assert "P0" not in manifest["items"] and len(manifest["items"]) == 7
    assert told["no annotation"] == ["annotations.json (P0.png): all was ignored"]
    assert told["crowd annotation ignored"] == ['annotations.json (P0.png): annotation 0 "lung"']
    assert "(P1.png)" in told["annotation ignored"][0]


# --------------------------------------------------------------------------- options, manifest


def test_a_second_run_writes_nothing_with_any_option(tmp_path):
    root = make_set(tmp_path / "s", SIDES, count=12, image=lambda n: chest(n).astype("u2") * 18,
                    name="{:02d}_x")  # fmt: skip
    options = {
        "val_fraction": 0.25, "split_seed": 4, "split": "last", "group_by": r"^(\d)",
        "mask_values": "1,2", "intensity": "0,4095", "invert": "yes", "empty_masks": "keep",
        "follow_links": True,
    }  # fmt: skip
    first = prepare.restructure(root, tmp_path / "made", **options)
    before = state(tmp_path / "made")
    second = prepare.restructure(root, tmp_path / "made", progress=lambda *_: 1 / 0, **options)
    assert second == first | {"written": False} and state(tmp_path / "made") == before
    for name, value in options.items():
        other = {"val_fraction": 0.5, "split_seed": 5, "split": "stratified", "group_by": r"(\d)_",
                 "mask_values": "1", "intensity": "auto", "invert": "no", "empty_masks": "exclude",
                 "follow_links": False}[name]  # fmt: skip
        assert first["split_rule" if name == "split" else name] == value
        anew = prepare.restructure(root, tmp_path / "made", **options | {name: other})
        assert anew["written"], name


@pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")
def test_a_set_in_use_is_not_made_otherwise_under_its_user(tmp_path):
    root, target = make_set(tmp_path / "s", SIDES), tmp_path / "made"
    manifest = prepare.restructure(root, target, mask_values="1")
    before, record = state(tmp_path), {k: manifest[k] for k in datasets.RECORDED}
    with safekeeping.using(target, record, who="run 'a'"):
        with pytest.raises(BlockingIOError, match="in use by run 'a', .*: mask_values is '1' ther"):
            prepare.restructure(root, target, mask_values="1,2")
        assert state(tmp_path) == before
        assert not prepare.restructure(root, target, mask_values="1")["written"]
        put(root / "images/P00.png", chest(99))
        assert prepare.restructure(root, target, mask_values="1")["written"]
    assert prepare.restructure(root, target, mask_values="1,2")["written"]


@pytest.mark.parametrize("column", ["mask", "group", "part"])
def test_a_list_that_says_something_else_is_another_source(column, tmp_path):
    root = make_set(tmp_path / "s", lambda n: WHITE if n else LEFT * np.uint8(255))
    rows = [{"image": f"images/P{n:02d}.png", "mask": f"masks/P{n:02d}.png", "group": f"g{n}",
             "part": "validation" if n > 5 else "train"} for n in range(8)]  # fmt: skip

    def save_list():
        lines = [",".join(row.values()) for row in rows]
        return put(root / "list.csv", "\n".join(["image,mask,group,part", *lines]))

    first = prepare.restructure(save_list(), tmp_path / "made")
    assert first["split"]["validation"] == ["P06", "P07"] and first["groups"]["P03"] == "g3"
    assert not prepare.restructure(save_list(), tmp_path / "made")["written"]
    rows[0][column], rows[7][column] = rows[7][column], rows[0][column]
    second = prepare.restructure(save_list(), tmp_path / "made")
    assert second["written"] and second["source_sha256"] != first["source_sha256"]
