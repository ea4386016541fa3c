"""Annotation files and the pictures that they speak of."""

import json
import os
import types

import pytest
from made_trees import noted, place

from unet_lib.intake import sidecars
from unet_lib.intake.tree import find_tree


def kind(path):
    data = json.loads(path.read_text() or "{}")
    return "labelme" if "shapes" in data else "coco" if "annotations" in data else ""


def images_of(path):
    data = json.loads(path.read_text())
    return data.get("images") or [data["imagePath"]]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Only names are looked at here; what the outlines mean is another room's task."""
    module = types.SimpleNamespace(kind=kind, images_of=images_of)
    monkeypatch.setattr(sidecars, "annotations", module)


def labelme(root, name, image=None):
    path = place(root, name) / name
    path.write_text(json.dumps({"shapes": [], "imagePath": image or path.with_suffix(".png").name}))


def coco(root, name, *images):
    (place(root, name) / name).write_text(json.dumps({"annotations": [], "images": images}))


def pairs(tree):
    return {i: [tree.name(p) for p in (tree.images[i], *tree.masks[i])] for i in tree.images}


@pytest.mark.parametrize(
    "image, outline",
    [("a.png", "a.json"), ("images/a.png", "images/a.json"), ("images/a.jpg", "masks/a.json"),
     ("images/a.png", "annotations/a.json"), ("deep/set/images/a.png", "deep/set/labels/a.json")],
)  # fmt: skip
def test_a_labelme_file_is_a_mask_of_the_image_of_its_name(image, outline, tmp_path):
    labelme(place(tmp_path, image), outline)
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": [image, outline]} and noted(tree) == {}


def test_a_coco_file_beside_masks_lists_the_images_and_is_not_needed(tmp_path):
    coco(place(tmp_path, "images/a.png", "masks/a.png"), "all.json", "a.png")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": ["images/a.png", "masks/a.png"]}
    assert noted(tree) == {"stray file": ["all.json"]}


def test_a_labelme_file_may_name_its_image(tmp_path):
    labelme(place(tmp_path, "images/a.png"), "labels/task_17.json", "..\\images\\a.png")
    labelme(tmp_path, "labels/task_18.json", "gone.png")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": ["images/a.png", "labels/task_17.json"]}
    assert noted(tree) == {"mask without image": ["labels/task_18.json"]}


def test_a_labelme_file_beside_a_mask_is_the_second_of_its_id(tmp_path):
    labelme(place(tmp_path, "images/a.png", "masks/a.png"), "images/a.json")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": ["images/a.png", "masks/a.png"]}
    assert noted(tree) == {"two files with one id": ["images/a.json (masks/a.png is used)"]}


@pytest.mark.parametrize(
    "outlines, images",
    [("annotations.json", "images/{}.png"), ("images/_annotations.coco.json", "images/{}.png"),
     ("annotations/instances_default.json", "images/{}.png"), ("all.json", "{}.png"),
     ("labels/x.json", "images/deep/{}.png")],
)  # fmt: skip
def test_a_coco_file_stands_for_the_masks_of_all_its_images(outlines, images, tmp_path):
    place(tmp_path, *(images.format(i) for i in "abc"))
    coco(tmp_path, outlines, "a.png", "b.png")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {i: [images.format(i), outlines] for i in "ab"}
    assert noted(tree) == {"image without mask": [images.format("c")]}


def test_a_picture_of_two_coco_files_gets_the_outlines_of_both(tmp_path):
    """One of them may hold the hearts: which labels count is decided by their names."""
    place(tmp_path, "images/a.png", "images/b.png")
    coco(tmp_path, "hearts.json", "a.png", "b.png")
    coco(tmp_path, "lungs.json", "a.png")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": ["images/a.png", "hearts.json", "lungs.json"],
                           "b": ["images/b.png", "hearts.json"]}  # fmt: skip
    assert noted(tree) == {}


def test_a_labelme_file_beside_a_picture_and_its_mask(tmp_path):
    labelme(place(tmp_path, "a.png", "a_mask.png"), "a.json")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {"a": ["a.png", "a.json"]}
    assert noted(tree) == {"two files with one id": ["a_mask.png (a.json is used)"]}


def test_a_coco_file_reaches_into_folders_whose_names_say_nothing(tmp_path):
    place(tmp_path, "set/odd/a.png", "set/odder/b.png", "set/odd/c.png")
    coco(tmp_path, "set/outlines.json", "a.png", "b.png")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {
        "a": ["set/odd/a.png", "set/outlines.json"],
        "b": ["set/odder/b.png", "set/outlines.json"],
    }
    assert noted(tree) == {"stray file": ["set/odd/c.png"]}


def test_coco_files_of_two_parts_that_count_alike(tmp_path):
    place(tmp_path, "images/train/1.jpg", "images/val/1.jpg")
    coco(tmp_path, "annotations/instances_train.json", "1.jpg")
    coco(tmp_path, "annotations/instances_val.json", "1.jpg")
    tree = find_tree(tmp_path)
    assert pairs(tree) == {
        "train_1": ["images/train/1.jpg", "annotations/instances_train.json"],
        "val_1": ["images/val/1.jpg", "annotations/instances_val.json"],
    }
    assert tree.validation == {"val_1"}


def test_roboflows_folders(tmp_path):
    for part in ("train", "valid", "test"):
        coco(place(tmp_path, f"{part}/{part}.jpg"), f"{part}/_annotations.coco.json", f"{part}.jpg")
    tree = find_tree(tmp_path)
    assert set(tree.images) == {"train", "valid"} and tree.validation == {"valid"}
    assert set(tree.test) == set(tree.truth) == {"test"}


def test_folders_in_a_coco_files_names_tell_equal_names_apart(tmp_path):
    place(tmp_path, "images/x/1.png", "images/y/1.png")
    coco(tmp_path, "all.json", "x\\1.png", "y/1.png")
    tree = find_tree(tmp_path)
    assert set(tree.images) == {"x_1", "y_1"}
    coco(tmp_path, "all.json", "1.png", "x/1.png")  # 1.png alone could be either
    tree = find_tree(tmp_path)
    assert list(tree.images) == ["1"]
    assert noted(tree)["mask without image"] == ["all.json: lists 1.png, the name of 2 pictures"]


def test_images_that_a_coco_file_misses_are_told(tmp_path):
    coco(place(tmp_path, "images/a.png"), "all.json", "a.png", "gone.png", "A.PNG")
    tree = find_tree(tmp_path)
    assert noted(tree) == {
        "mask without image": ["all.json: lists gone.png, which is not there"]
    }


def test_a_damaged_annotation_file_does_not_cost_the_others(tmp_path, monkeypatch):
    def images_of(path):
        raise ValueError("cut off")

    monkeypatch.setattr(sidecars.annotations, "images_of", images_of)
    labelme(place(tmp_path, "images/a.png", "masks/a.png", "images/b.png"), "images/b.json")
    tree = find_tree(tmp_path)
    assert list(tree.images) == ["a"]
    assert noted(tree) == {
        "image without mask": ["images/b.png"],
        "unreadable file": ["images/b.json: cut off"],
    }


def test_an_annotation_file_that_may_not_be_opened_is_told(tmp_path, monkeypatch):
    def kind(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(sidecars.annotations, "kind", kind)
    place(tmp_path, "images/a.png", "masks/a.png", "all.json")
    assert noted(find_tree(tmp_path)) == {"unreadable file": ["all.json: Permission denied"]}


def test_any_other_json_is_a_stray(tmp_path):
    place(tmp_path, "images/a.png", "masks/a.png", "images/b.png")
    for name in ("dataset.json", "images/b.json"):
        (tmp_path / name).write_text('{"age": 7}')
    tree = find_tree(tmp_path)
    assert noted(tree) == {
        "image without mask": ["images/b.png"],
        "stray file": ["dataset.json", "images/b.json"],
    }


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_refused_annotation_file_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(sidecars.annotations, "kind", lambda path: pytest.fail(str(path)))
    labelme(place(tmp_path / "s", "images/a.png", "masks/a.png", "images/b.png"), "../b.json")
    (tmp_path / "s/images/b.json").symlink_to(tmp_path / "b.json")
    tree = find_tree(tmp_path / "s")
    assert list(tree.images) == ["a"]
    assert noted(tree)["path leads outside the source"] == ["images/b.json"]
