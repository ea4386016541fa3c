"""Which image belongs to which mask, in every layout and under every name."""

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_trees import (
    IDS,
    PLACES,
    TESTS,
    content,
    finding,
    image_of,
    make_tree,
    noted,
    picture,
    place,
    save,
    state,
    trained,
    truth,
)

from unet_lib import datasets
from unet_lib.intake import prepare, tree
from unet_lib.intake.tree import find_tree


@pytest.mark.parametrize("layout", PLACES)
def test_every_tree_becomes_the_usable_tree(layout, tmp_path, target):
    manifest = prepare.restructure(make_tree(tmp_path / "s", layout=layout), target)
    tests = [] if layout.startswith("flat") else TESTS
    assert manifest["layout"] == layout.split(",")[0] and trained(manifest) == IDS
    assert manifest["test"] == tests
    assert manifest["test_layout"] == [p.format("<id>") for p in PLACES[layout][2:] if p]
    names = [f"train/{kind}/{i}.png" for kind in ("images", "masks") for i in IDS]
    names += [f"test/{i}.png" for i in tests]
    assert {p for p in content(target) if p.endswith(".png")} == set(names)
    for name in IDS:
        image = cv2.imread(str(target / f"train/images/{name}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(target / f"train/masks/{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, picture(name))
        np.testing.assert_array_equal(mask, truth(name) * 255)
        item = manifest["items"][name]
        assert (item["height"], item["width"], item["class"]) == (20, 24, int(name[-1]))
    assert all(f["count"] == 0 for f in manifest["findings"])
    assert [f["fault"] for f in manifest["findings"]] == list(tree.FAULTS)


def test_both_forms_of_the_test_folder_may_be_mixed(source, target):
    save(source / "test_images/T_3/images/T_3.png", picture("T_3"))
    save(source / "test_images/T_3/masks/T_3.png", truth("T_3") * np.uint8(255))
    manifest = prepare.restructure(source, target)
    assert manifest["test"] == ["T_1", "T_2", "T_3"] and len(manifest["test_layout"]) == 2
    assert finding(manifest, "mask of a test image")["count"] == 1


def test_a_tree_may_lie_deeper_but_must_be_the_only_one(tmp_path, target):
    make_tree(tmp_path / "download" / "archive" / "lungs")
    assert len(trained(prepare.restructure(tmp_path / "download", target))) == 8
    make_tree(tmp_path / "download" / "archive" / "lungs2", layout="usable")
    with pytest.raises(ValueError, match='(?s)several trees; name one:\n.*lungs"\n.*lungs2"'):
        prepare.restructure(tmp_path / "download", target)


@pytest.mark.parametrize("layout", PLACES)
def test_odd_names_are_handled(layout, tmp_path, target):
    names = ["mit Leer zeichen", "Ärztin_Über", "胸部", "a.b.c", "e\u0301tude", "[x]{0}*?'\u3000"]
    root = make_tree(tmp_path / "quelle [1] é", layout=layout, ids=names, tests=["tëst 1"])
    for path in sorted(root.rglob("*a.b.c*.png")):
        path.rename(path.with_suffix(".PNG"))
    manifest = prepare.restructure(root, target, val_fraction=0.5)
    assert trained(manifest) == sorted([*names[:4], "étude", names[5]])
    assert datasets.load_manifest(target) == {k: v for k, v in manifest.items() if k != "written"}
    for name, origin in [("Ärztin_Über", "Ärztin_Über"), ("étude", "e\u0301tude")]:
        read = datasets.read_image(target / "train" / "images" / f"{name}.png")
        np.testing.assert_array_equal(read, picture(origin))


@pytest.mark.skipif(os.name == "nt", reason="these names cannot exist on Windows")
@pytest.mark.parametrize("name", ["..\\..\\evil", "line\nbreak", "\udcff"])
def test_an_id_that_could_lead_outside_is_refused(name, tmp_path, target):
    root = make_tree(tmp_path / "source", ids=[*IDS, name])
    before = state(root)
    manifest = prepare.restructure(root, target)
    assert trained(manifest) == IDS and state(root) == before
    found = finding(manifest, "name that not every system allows")
    assert found["count"] == 2 and found["remedy"] == "rename these files"
    assert finding(manifest, "stray file")["count"] == 0


def test_a_folder_without_permission_is_told(source, target, monkeypatch):
    # Not by chmod: the superuser, who runs tests in containers, may look everywhere.
    closed = source / "train_images" / "P_00_0"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    found = finding(prepare.restructure(source, target), "unreadable file")
    assert found["examples"] == ["train_images/P_00_0: no permission to look into this folder"]


def test_what_may_not_be_looked_into_is_named_where_nothing_is_left(tmp_path, monkeypatch):
    place(tmp_path, "images/a.png", "masks/a.png")
    shut = {tmp_path / "masks"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in shut)
    with pytest.raises(ValueError, match="Not looked into: masks: no permission to look into"):
        find_tree(tmp_path)
    shut = {tmp_path}
    with pytest.raises(ValueError, match=r"Not looked into: \.: no permission to look into"):
        find_tree(tmp_path)


def test_links_that_stay_inside_are_followed(source, target):
    image_of(source, "P_00_0").rename(source / "kept.png")
    image_of(source, "P_00_0").symlink_to(source / "kept.png")
    assert trained(prepare.restructure(source, target)) == IDS


def test_a_linked_folder_is_refused_and_a_loop_is_survived(source, target, tmp_path):
    other = make_tree(tmp_path / "other", ids=["Q_1"], tests=[])
    (source / "train_images/Q_1").symlink_to(other / "train_images/Q_1")
    (source / "train_images/loop.png").symlink_to(source / "train_images/loop.png")
    manifest = prepare.restructure(source, target)
    assert trained(manifest) == IDS
    found = finding(manifest, "path leads outside the source")
    assert found["examples"] == ["train_images/Q_1: a linked folder"]
    assert "`follow_links: true`" in found["remedy"] and "`cp -rL`" in found["remedy"]
    found = finding(manifest, "unreadable file")
    assert found["examples"] == ["train_images/loop.png: a link to nothing"]


# Layouts: what lies where -> what belongs together


def tree_of(root, *names, **options):
    return find_tree(place(root / "s", *names), **options)


def pairs(tree):
    return {i: [tree.name(p) for p in (tree.images[i], *tree.masks[i])] for i in tree.images}


def both(form, *ids):
    """Return the names of images and masks; `form` holds {kind} and {id}."""
    return [form.format(kind=kind, id=i) for kind in ("images", "masks") for i in ids]


LAYOUTS = {
    "train and val": (
        [*both("train/{kind}/{id}.png", "a"), *both("val/{kind}/{id}.png", "b"), "test/c.png"],
        {"a": ["train/images/a.png", "train/masks/a.png"],
         "b": ["val/images/b.png", "val/masks/b.png"]}),
    "parts below roles": (
        ["images/train/a.png", "labels/train/a.png", "images/valid/b.png", "labels/valid/b.png"],
        {"a": ["images/train/a.png", "labels/train/a.png"],
         "b": ["images/valid/b.png", "labels/valid/b.png"]}),
    "folders of masks beside train": (
        ["train/a.jpg", "train_masks/a_mask.gif"],
        {"a": ["train/a.jpg", "train_masks/a_mask.gif"]}),
    "nnU-Net": (
        ["imagesTr/c_01_0000.png", "labelsTr/c_01.png", "imagesTr/c_02_0000.png",
         "labelsTr/c_02.png"],
        {"c_01": ["imagesTr/c_01_0000.png", "labelsTr/c_01.png"],
         "c_02": ["imagesTr/c_02_0000.png", "labelsTr/c_02.png"]}),
    "classes": (
        [*both("R/COVID/{kind}/{id}.png", "COVID-1"), *both("R/Normal/{kind}/{id}.png", "N-1")],
        {"COVID-1": ["R/COVID/images/COVID-1.png", "R/COVID/masks/COVID-1.png"],
         "N-1": ["R/Normal/images/N-1.png", "R/Normal/masks/N-1.png"]}),
    "classes that count alike": (
        ["COVID/images/1.png", "COVID/masks/1.png", "Normal/images/1.png", "Normal/masks/1.png",
         "COVID/images/2.png", "COVID/masks/2.png"],
        {"COVID_1": ["COVID/images/1.png", "COVID/masks/1.png"],
         "Normal_1": ["Normal/images/1.png", "Normal/masks/1.png"],
         "2": ["COVID/images/2.png", "COVID/masks/2.png"]}),
    "classes below the roles": (
        ["images/x/1.png", "masks/x/1.png", "images/y/1.png", "masks/y/1.png", "images/y/2.png"],
        {"x_1": ["images/x/1.png", "masks/x/1.png"], "y_1": ["images/y/1.png", "masks/y/1.png"]}),
    "classes below parts": (
        ["D/D/Train/COVID/images/1.png", "D/D/Train/COVID/lung masks/1.png",
         "D/D/Train/COVID/infection masks/1.png", "D/D/Val/COVID/images/2.png",
         "D/D/Val/COVID/lung masks/2.png"],
        {"1": ["D/D/Train/COVID/images/1.png", "D/D/Train/COVID/lung masks/1.png"],
         "2": ["D/D/Val/COVID/images/2.png", "D/D/Val/COVID/lung masks/2.png"]}),
    "one folder": (
        ["x.png", "x_mask.png", "y.jpg", "y-seg.png"],
        {"x": ["x.png", "x_mask.png"], "y": ["y.jpg", "y-seg.png"]}),
    "one folder a part": (
        ["train/x.png", "train/x_mask.png", "val/y.png", "val/y_mask.png"],
        {"x": ["train/x.png", "train/x_mask.png"], "y": ["val/y.png", "val/y_mask.png"]}),
    "a folder for each image": (
        ["P1/image.png", "P1/mask.png", "P2/image.png", "P2/mask.png"],
        {"P1": ["P1/image.png", "P1/mask.png"], "P2": ["P2/image.png", "P2/mask.png"]}),
    "Montgomery": (
        ["M/CXR_png/a_0.png", "M/ManualMask/leftMask/a_0.png", "M/ManualMask/rightMask/a_0.png"],
        {"a_0": ["M/CXR_png/a_0.png", "M/ManualMask/leftMask/a_0.png",
                 "M/ManualMask/rightMask/a_0.png"]}),
    "sides in folders": (
        ["images/a.png", "masks/right/a.png", "masks/left/a.png"],
        {"a": ["images/a.png", "masks/left/a.png", "masks/right/a.png"]}),
    "sides in names": (
        ["images/a.png", "masks/a_left.png", "masks/a_right.png", "images/b.png",
         "masks/b_mask_left.png", "masks/b_right_mask.png"],
        {"a": ["images/a.png", "masks/a_left.png", "masks/a_right.png"],
         "b": ["images/b.png", "masks/b_mask_left.png", "masks/b_right_mask.png"]}),
    "one lung of all": (
        ["images/a.png", "masks/left/a.png"], {"a": ["images/a.png", "masks/left/a.png"]}),
    "views that are called sides": (
        both("{kind}/{id}.png", "a_left", "a_right"),
        {i: [f"images/{i}.png", f"masks/{i}.png"] for i in ("a_left", "a_right")}),
    "both suffixes at once": (
        ["cxr/a.png", "cxr/b_image.png", "gt/a_lungmask.tif", "gt/b_label.bmp"],
        {"a": ["cxr/a.png", "gt/a_lungmask.tif"], "b": ["cxr/b_image.png", "gt/b_label.bmp"]}),
    "prefixes": (
        ["images/image_1.png", "masks/mask_1.png"],
        {"1": ["images/image_1.png", "masks/mask_1.png"]}),
    "DICOM": (
        ["images/1.2.840.113", "masks/1.2.840.113.png", "images/b.dcm", "masks/b.png"],
        {"1.2.840.113": ["images/1.2.840.113", "masks/1.2.840.113.png"],
         "b": ["images/b.dcm", "masks/b.png"]}),
    "doubled by a zip": (
        both("set/{kind}/{kind}/{id}.png", "a"),
        {"a": ["set/images/images/a.png", "set/masks/masks/a.png"]}),
    "Kaggle's Lung Segmentation": (
        ["data/Lung Segmentation/CXR_png/a_0.png", "data/Lung Segmentation/masks/a_0_mask.png",
         "data/Lung Segmentation/CXR_png/b_0.png", "data/Lung Segmentation/masks/b_0.png"],
        {i: [f"data/Lung Segmentation/CXR_png/{i}.png", f"data/Lung Segmentation/masks/{m}.png"]
         for i, m in (("a_0", "a_0_mask"), ("b_0", "b_0"))}),
    "capitals": (["IMAGES/A.PNG", "Masks/A_MASK.Png"], {"A": ["IMAGES/A.PNG", "Masks/A_MASK.Png"]}),
    "heart alone": (
        ["images/a.png", "masks/heart/a.png"], {"a": ["images/a.png", "masks/heart/a.png"]}),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_masks_find_each_other(layout, tmp_path):
    names, expected = LAYOUTS[layout]
    tree = tree_of(tmp_path, *names)
    assert pairs(tree) == expected
    unused = {"image without mask", "folder ignored"}
    told = {"folders taken together", "one id in several folders", "masks of one lung alone"}
    assert noted(tree).keys() <= unused | told


@pytest.mark.parametrize("suffix", "_mask _seg _lungmask -mask _label _masks -seg".split())
@pytest.mark.parametrize("layout", ["primary", "usable", "flat"])
def test_masks_may_have_a_suffix_in_every_layout(suffix, layout, tmp_path):
    image_at, mask_at, _ = PLACES[layout]
    names = [image_at.format(i) for i in IDS]
    names += [mask_at.format(i).replace(".png", f"{suffix}.png") for i in IDS]
    tree = tree_of(tmp_path, *names)
    assert sorted(tree.images) == IDS and tree.layout == layout and noted(tree) == {}


@pytest.mark.parametrize("mask", ["masks/P00_mask.png", "masks/P00.tif", "labels/P00.png"])
def test_two_masks_for_one_id_are_told(mask, tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "P00", "P01"), mask)
    used = "labels" if "labels" in mask else "masks"
    other = mask if used == "masks" else "masks/P00.png"
    assert pairs(tree)["P00"] == ["images/P00.png", f"{used}/P00.png"]
    assert noted(tree) == {"two files with one id": [f"{other} ({used}/P00.png is used)"]}


@pytest.mark.parametrize(
    "folders",
    [("masks/bones", "masks/lungs"), ("labels", "masks"), ("masks/izquierdo", "masks/derecho"),
     ("masks/reader 1/A", "masks/reader 2/A"), ("overlays", "radios"),
     ("masks/lungs", "masks/tumours")],
)  # fmt: skip
def test_whole_folders_that_rival_are_refused(folders, tmp_path):
    """Which of both is meant nobody says, and the first of them by name would be a guess."""
    other = "masks" if "radios" in folders else "images"
    names = [f"{folder}/{i}.png" for folder in (other, *folders) for i in "abc"]
    with pytest.raises(ValueError) as caught:
        tree_of(tmp_path, *names[:-1])
    text = str(caught.value)
    assert f"holds two folders of {'images' if other == 'masks' else 'masks'} under" in text
    assert all(f"\n    {folder}/a.png\n" in text for folder in folders)
    assert "write a list" in text and "image,mask,group,part" in text


@pytest.mark.parametrize(
    "folders", [("test/masks/r1", "test/masks/r2"), ("test/masks", "test/masks_gt"),
                ("masks/r1", "masks/r2")],
)  # fmt: skip
def test_masks_of_test_images_are_no_rivals(folders, tmp_path):
    """They are not needed, however many there are."""
    names = both("train/{kind}/{id}.png", "a", "b")
    names += [f"{folder}/{n}.png" for folder in ("test/images", *folders) for n in range(5)]
    tree = tree_of(tmp_path, *names)
    assert sorted(tree.images) == ["a", "b"] and len(tree.test) == 5


def test_rivals_are_counted_among_what_trains(tmp_path):
    names = [f"{folder}/{n}.png" for folder in (
        "train/images", "train/masks/r1", "train/masks/r2") for n in "abc"]  # fmt: skip
    with pytest.raises(ValueError, match="holds two folders of masks under the same names"):
        tree_of(tmp_path, *names, *both("test/{kind}/{id}.png", *"123456789"))


@pytest.mark.parametrize(
    "image, mask, other",
    [("images", "masks", "masks/preview"), ("images", "labels", "masks/preview"),
     ("images/B", "masks/B", "masks/A"), ("images/A", "masks/A", "masks/A/old")],
)  # fmt: skip
def test_a_mask_that_lies_as_its_image_does_has_no_rival(image, mask, other, tmp_path):
    names = [f"{folder}/{n}.png" for folder in (image, mask, other) for n in "12"]
    tree = tree_of(tmp_path, *names)
    assert pairs(tree)["1"] == [f"{image}/1.png", f"{mask}/1.png"]
    assert noted(tree) == {"two files with one id": [
        f"{other}/{n}.png ({mask}/{n}.png is used)" for n in "12"]}  # fmt: skip


def test_left_and_right_and_outlines_beside_masks_are_no_rivals(tmp_path):
    names = [f"{folder}/{i}.png" for folder in ("images", "masks", "masks/left") for i in "abc"]
    tree = tree_of(tmp_path, *names)
    assert {path.parent.name for held in tree.masks.values() for path in held} == {"masks"}


def test_two_images_of_one_id_are_told(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "a"), "images/a.jpg")
    assert pairs(tree) == {"a": ["images/a.jpg", "masks/a.png"]}
    assert noted(tree) == {"two files with one id": ["images/a.png (images/a.jpg is used)"]}


def test_the_source_sets_a_validation_set_apart(tmp_path):
    names = [*both("train/{kind}/{id}.png", "a", "b"), *both("val/{kind}/{id}.png", "c")]
    names += ["val/images/d.png"]
    tree = tree_of(tmp_path, *names)
    assert tree.validation == {"c"} and set(tree.images) == {"a", "b", "c"}
    assert noted(tree) == {"image without mask": ["val/images/d.png"]}


def test_ids_that_count_alike_in_train_and_val_are_kept_apart(tmp_path):
    names = [*both("train/{kind}/{id}.png", "1"), *both("val/{kind}/{id}.png", "1")]
    tree = tree_of(tmp_path, *names)
    assert pairs(tree)["val_1"] == ["val/images/1.png", "val/masks/1.png"]
    assert tree.validation == {"val_1"} and "train_1" in tree.images


def test_a_source_of_validation_alone_is_divided_anew(tmp_path):
    assert tree_of(tmp_path, *both("val/{kind}/{id}.png", "a", "b")).validation == set()


def test_test_images_may_have_masks(tmp_path):
    names = [*both("train/{kind}/{id}.png", "a"), *both("test/{kind}/{id}.png", "t")]
    tree = tree_of(tmp_path, *names, "test/images/u.png")
    assert sorted(tree.test) == ["t", "u"]
    assert {i: [tree.name(p) for p in held] for i, held in tree.truth.items()} == {
        "t": ["test/masks/t.png"]
    }
    assert tree.test_forms == ["test/images/<id>.png"]
    assert noted(tree) == {"mask of a test image": ["test/masks/t.png"]}


def test_test_images_of_nnu_net_lose_their_channel_too(tmp_path):
    tree = tree_of(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png",
                   "dataset.json")  # fmt: skip
    assert list(tree.test) == ["b"] and tree.layout == "nnU-Net"
    assert noted(tree) == {"stray file": ["dataset.json"]}


def test_ids_whose_numbers_look_like_channels_are_kept(tmp_path):
    ids = ["p_0000", "p_0001"]
    assert list(tree_of(tmp_path, *both("{kind}/{id}.png", *ids)).images) == ids


def test_test_images_that_count_as_the_others_do_are_told_by_their_id(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "1", "2", "3"), "test/1.png", "test/9.png")
    assert pairs(tree)["1"] == ["images/1.png", "masks/1.png"] and sorted(tree.test) == ["1", "9"]
    assert noted(tree) == {"same id in train and test": ["1"]}


def test_a_class_without_its_mask_does_not_borrow_one(tmp_path):
    names = [*both("{kind}/COVID/{id}.png", "1"), *both("{kind}/Normal/{id}.png", "2")]
    tree = tree_of(tmp_path, *names, "images/COVID/3.png", "masks/Normal/3.png")
    assert sorted(tree.images) == ["1", "2"]
    assert noted(tree) == {
        "image without mask": ["images/COVID/3.png"],
        "mask without image": ["masks/Normal/3.png"],
    }


def test_a_class_may_be_written_otherwise_among_the_masks(tmp_path):
    names = [f"{folder}/{i}.png" for i in "12" for folder in (
        "images/COVID", "masks/covid", "images/Normal", "masks/normal")]  # fmt: skip
    tree = tree_of(tmp_path, *names)
    assert pairs(tree)["COVID_1"] == ["images/COVID/1.png", "masks/covid/1.png"]
    assert pairs(tree)["Normal_2"] == ["images/Normal/2.png", "masks/normal/2.png"]


def test_masks_in_a_folder_that_bears_their_images_name(tmp_path):
    """What is called 1 in the folder of image 2 is no mask of image 1."""
    names = [f"images/{i}.png" for i in "1234"]
    names += ["masks/1/left.png", "masks/1/right.png", "masks/2/mask.png", "masks/3/3_seg.png"]
    tree = tree_of(tmp_path, *names, "masks/4/1.png", "masks/4/2.png")
    assert {i: held[1:] for i, held in pairs(tree).items()} == {
        "1": ["masks/1/left.png", "masks/1/right.png"], "2": ["masks/2/mask.png"],
        "3": ["masks/3/3_seg.png"],
    }  # fmt: skip
    assert noted(tree) == {"image without mask": ["images/4.png"],
                           "mask without image": ["masks/4/1.png", "masks/4/2.png"]}  # fmt: skip


@pytest.mark.parametrize(
    "images, masks",
    [([f"{n}" for n in range(1, 9)], [f"{1 + n // 5}/{n}" for n in range(1, 9)]),
     (["001", "002", "003"], ["001/001", "001/002", "001/003"]),
     (["a", "b", "lungs"], ["lungs/a", "lungs/b_mask", "lungs/lungs"]),
     (["1", "2", "3"], ["1/1", "1/2", "2/3", "2/4"])],
    ids=["batches", "one batch", "a word", "a mask too many"],
)  # fmt: skip
@pytest.mark.parametrize("parts", [("",), ("train/", "val/")], ids=["whole", "parts"])
def test_a_folder_that_happens_to_bear_an_images_name(parts, images, masks, tmp_path):
    names = [f"{part}images/{name}.png" for part in parts for name in images]
    names += [f"{part}masks/{name}.png" for part in parts for name in masks]
    assert len(tree_of(tmp_path, *names).images) == len(images) * len(parts)


@pytest.mark.parametrize("numbers", [("1/1", "1/2", "2/1", "2/2"), ("2/1", "1/left", "1/right")])
def test_numbers_in_a_folder_that_bears_an_images_name(numbers, tmp_path):
    """Where names recur, or say no more than a side, such a folder holds one image's masks."""
    names = [*(f"images/{n}.png" for n in "123"), *(f"masks/{n}.png" for n in numbers)]
    for image, held in pairs(tree_of(tmp_path, *names)).items():
        assert all(mask.startswith(f"masks/{image}/") for mask in held[1:])


def test_classes_in_a_folder_of_an_unknown_name(tmp_path):
    """One name in two classes: each picture has the mask of its own class, or none."""
    names = [f"{folder}/{name}.png" for folder in ("radios/A", "radios/B") for name in ("1", "2")]
    tree = tree_of(tmp_path, *names, "masks/A/1.png", "masks/B/1.png", "masks/B/2.png")
    assert pairs(tree) == {
        "A_1": ["radios/A/1.png", "masks/A/1.png"],
        "B_1": ["radios/B/1.png", "masks/B/1.png"],
        "2": ["radios/B/2.png", "masks/B/2.png"],
    }
    assert noted(tree)["image without mask"] == ["radios/A/2.png"]


def test_folders_that_are_taken_together_are_named(tmp_path):
    tree = tree_of(tmp_path, *both("A/{kind}/{id}.png", "1", "2"), *both("B/{kind}/{id}.png", "3"))
    assert tree.layout == "classes"
    assert noted(tree) == {
        "folders taken together": ["A (2 images with masks)", "B (1 images with masks)"]
    }


def test_a_set_of_one_lung_alone_is_told(tmp_path):
    tree = tree_of(tmp_path, "images/a.png", "masks/left/a.png", "images/b.png",
                   "masks/left/b.png")
    assert sorted(tree.masks) == ["a", "b"]
    assert noted(tree) == {"masks of one lung alone": ["masks/left/a.png", "masks/left/b.png"]}


def test_only_one_lungs_mask(tmp_path):
    sides = ["masks/left/a.png", "masks/right/a.png", "masks/right/b.png"]
    tree = tree_of(tmp_path, "images/a.png", "images/b.png", *sides)
    assert list(tree.images) == list(tree.masks) == ["a"]
    assert noted(tree) == {"only one lung's mask": ["masks/right/b.png: no left one"]}


def test_a_whole_mask_goes_before_its_halves(tmp_path):
    sides = ["masks/left/a.png", "masks/right/a.png"]
    tree = tree_of(tmp_path, "images/a.png", "masks/a.png", *sides)
    assert pairs(tree) == {"a": ["images/a.png", "masks/a.png"]}
    assert noted(tree) == {
        "two files with one id": [f"{side} (masks/a.png is used)" for side in sides]
    }


def test_other_organs_are_named_when_they_are_left_out(tmp_path):
    masks = [f"masks/{organ}/a.gif" for organ in ("left lung", "right lung", "heart",
                                                   "left clavicle")]  # fmt: skip
    tree = tree_of(tmp_path, "images/a.png", *masks)
    assert pairs(tree) == {"a": ["images/a.png", *masks[:2]]}
    assert noted(tree) == {
        "folder ignored": ["masks/heart (1 .gif)", "masks/left clavicle (1 .gif)"]
    }


def test_names_that_differ_only_in_case(tmp_path):
    names = [*both("{kind}/{id}.png", "case_a", "case_A"), "images/B.png", "masks/b.png"]
    tree = tree_of(tmp_path, *names)
    assert set(tree.images) == {"case_a", "case_A", "B"}
    assert noted(tree) == {
        "ids that differ only in case": ["case_A and case_a"],
        "image and mask differ in case": ["images/B.png, b"],
    }


def test_two_forms_of_unicode_are_one_id(tmp_path):
    names = ["images/e\u0301.png", "images/\u00e9.png", "masks/\u00e9_mask.png"]
    tree = tree_of(tmp_path, *names)
    assert list(tree.images) == ["\u00e9"]
    assert len(noted(tree)["two files with one id"]) == 1


# Nothing is left out without a word


def test_what_is_left_out_is_named(tmp_path):
    tree = tree_of(
        tmp_path, *both("{kind}/{id}.png", "a"), "images/notes.txt", "overview.png", "README.md",
        "extra/images/b.png", "extra/masks/b.png", "old/deep/x.png", "old/y.txt", "masks/sub/z.zip",
    )  # fmt: skip
    assert noted(tree) == {
        "stray file": ["README.md", "images/notes.txt", "overview.png"],
        "folder ignored": [
            "extra (2 .png): a tree of its own", "masks/sub (1 .zip)", "old (1 .txt, 1 .png)",
        ],
    }  # fmt: skip


def test_what_lies_around_a_deeper_tree_is_named_too(tmp_path):
    tree = tree_of(tmp_path, *both("zip/set/{kind}/{id}.png", "a"), "licence.txt", "zip/docs/x.pdf")
    assert noted(tree) == {"stray file": ["licence.txt"], "folder ignored": ["zip/docs (1 .pdf)"]}


def test_folders_beside_train_that_hold_the_same_are_named(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "a"), *both("train/{kind}/{id}.png", "a"))
    assert pairs(tree) == {"a": ["train/images/a.png", "train/masks/a.png"]}
    assert noted(tree) == {"folder ignored": ["images (1 .png)", "masks (1 .png)"]}


def test_every_file_is_used_or_noted(tmp_path):
    for number, (names, _) in enumerate(LAYOUTS.values()):
        root = place(tmp_path / str(number), *names, "odd/x.png", "y.txt")
        tree = find_tree(root)
        told = [case.split(" (")[0].split(":")[0] for cases in noted(tree).values()
                for case in cases]  # fmt: skip
        for path in set(root.rglob("*.*")) - set(tree.files()):
            name = path.relative_to(root).as_posix()
            assert path.is_dir() or any(name.startswith(case) for case in told), name


# Refusals


@pytest.mark.parametrize(
    "names, lines",
    [
        (["a/images/1.png", "a/masks/1.png", "b/train/images/1.png", "b/train/masks/1.png"],
         ["s/a", "s/b"]),
        (["x/original/images/1.png", "x/original/masks/1.png", "x/256/images/1.png",
          "x/256/masks/1.png"], ["s/x/256", "s/x/original"]),
        (["a/images/1.png", "a/masks/1.png", "a/images/2.png", "a/masks/2.png",
          "b/c/images/1.png", "b/c/masks/1.png"], ["s/a", "s/b/c"]),
    ],
)  # fmt: skip
def test_several_trees_are_named_with_the_line_that_settles_it(names, lines, tmp_path):
    with pytest.raises(ValueError) as caught:
        tree_of(tmp_path, *names)
    assert "source s holds several trees; name one:\n" in str(caught.value)
    named = [f'    source: "{line}"' for line in lines]
    assert str(caught.value).splitlines()[1 : len(named) + 1] == named
    assert "image,mask,group,part" in str(caught.value)


@pytest.mark.parametrize(
    "names, told",
    [
        (["images/a.png", "images/b.png"], [
            "of 2 pictures neither folders nor names tell which are masks",
            'needed: `python -m unet_lib predict "s" --out masks`']),
        (["one/a.png", "two/a.png"], ["neither folders nor names", "Found: one/, two/ (files"]),
        (["masks/a.png"], ["holds masks, but no folder's name tells of images"]),
        (["images/a.png", "masks/b.png"], [
            "no name of an image fits that of a mask",
            "Images are such as images/a.png; masks such as masks/b.png.",
            "Rename them, or write a list."]),
        (["images/x/a.png", "images/y/a.png", "masks/a.png"], [
            "several images bear the name of a mask",
            "Images are such as images/x/a.png, images/y/a.png; masks such as masks/a.png."]),
        (["images/x/a.png", "images/y/b.png", "masks/x/b.png", "masks/y/a.png"], [
            "of the same names, but no image has those that it needs.\nA mask lies in a folder"]),
        (["images/a.png", "images/b.png", "masks/left/a.png", "masks/right/b.png"], [
            "but no image has those that it needs.", "both are needed"]),
        (["train/images/a.png", "val/masks/a.png"], ["holds train images, but validation masks."]),
        (["images/a.png", "masks/heart/a.png", "masks/clavicles/a.png"], [
            "holds masks of clavicle and heart, but none of lungs.\nThose of one organ alone are"]),
        (["test/images/a.png", "test/masks/a.png", "train/images/b.png"], [
            "holds masks of test images alone, so there is nothing to learn from"]),
        (["notes.txt"], ["source s holds no tree of images and masks.", "1 .txt"]),
        (["images/a.png", "masks.zip"], ["Packed; unpack first: masks.zip\n"]),
        (["images/a.png", "masks/a.npy"], ["save each picture as PNG: masks/a.npy\n"]),
        (["images/a.png", "cvat.xml", "labels/a.txt", "b.txt"], [
            "export them as LabelMe or COCO JSON, or as PNG: cvat.xml, labels/a.txt\n"]),
        (["images/a.png", "train-rle.csv"], ["draw run lengths as PNG): train-rle.csv\n"]),
    ],
)  # fmt: skip
def test_a_source_without_pairs_is_told_what_to_do(names, told, tmp_path):
    with pytest.raises(ValueError) as caught:
        tree_of(tmp_path, *names)
    for text in [*told, "Expected is a folder that holds one of these trees", "list.csv"]:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    "text, told",
    [('{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": 1}]}',
      'but annotations that cannot be used.\nlabels.json: "categories" has the id 1 twice; '),
     ('{"images": [], "categories": [', "be used.\nlabels.json: damaged JSON"),
     ('{"images": [{"id": 1, "file_name": "P1.jpg"}], "annotations": [], "categories": []}',
      "be used.\nlabels.json: lists P1.jpg, which is not there\n"),
     ('{"P1.png": {"regions": []}}', "labels.json: JSON, but neither LabelMe"),
     ('[1, 2]', "labels.json: JSON, but neither LabelMe")],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "annotations/"])
def test_annotations_that_cannot_be_used_are_told_with_the_reason(folder, text, told, tmp_path):
    place(tmp_path, "images/P1.png", f"{folder}labels.json")
    (tmp_path / folder / "labels.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        find_tree(tmp_path)
    assert told in str(caught.value) and "of 2 pictures" not in str(caught.value)


@pytest.mark.parametrize(
    "name, told",
    [("x.zip", "unpack this archive first, then name its folder"),
     ("x.tar.gz", "unpack this archive first"), ("x.xlsx", "save a table as CSV in UTF-8"),
     ("x.png", "`python -m unet_lib predict` takes single pictures"),
     ("x.dcm", "name the folder that holds images and masks"), ("x", "unpack an archive first"),
     ("x.json", "write a CSV list of the pairs"), ("x.yaml", "name a folder or a CSV list")],
)  # fmt: skip
def test_a_file_that_is_no_list_is_told_what_to_do(name, told, tmp_path):
    with pytest.raises(ValueError, match=f"Found: a file, {name}, not a folder .*{told}"):
        find_tree(place(tmp_path, name) / name)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("way", ["files", "folders"])
def test_links_are_refused_and_followed_on_request(way, tmp_path):
    store = place(tmp_path / "store", *both("{kind}/{id}.png", "a", "b"))
    for path in sorted(store.glob("*" if way == "folders" else "*/*")):
        link = tmp_path / "s" / path.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    with pytest.raises(ValueError) as caught:
        find_tree(tmp_path / "s")
    assert "holds no pair that may be read: images or masks are links" in str(caught.value)
    assert "follow_links: true follows them, and `cp -rL` makes a copy" in str(caught.value)
    assert "(files in all folders: 4 .png)" in str(caught.value)
    tree = find_tree(tmp_path / "s", follow_links=True)
    assert sorted(tree.images) == ["a", "b"] and noted(tree) == {}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_the_mask_of_a_refused_image_is_not_called_lonely(tmp_path):
    root = place(tmp_path / "s", *both("{kind}/{id}.png", "a"), "masks/b.png", "masks/c.png")
    (root / "images/b.png").symlink_to(place(tmp_path, "far/b.png") / "far/b.png")
    tree = find_tree(root)
    assert list(tree.images) == ["a"]
    assert noted(tree) == {
        "mask without image": ["masks/c.png"],
        "path leads outside the source": ["images/b.png"],
    }


def test_ten_thousand_pairs_are_found_in_seconds(tmp_path):
    root = place(tmp_path / "s", *both("{kind}/{id}.png", *(f"P_{n:05d}" for n in range(10000))))
    start = time.process_time()
    assert len(find_tree(root).images) == 10000
    assert time.process_time() - start < 10


def test_the_plainest_name_goes_first(tmp_path):
    tree = tree_of(tmp_path, "images/a.png", "masks/a-mask.png", "masks/a.png")
    assert pairs(tree) == {"a": ["images/a.png", "masks/a.png"]}


def test_an_id_that_a_folders_name_makes_may_be_taken(tmp_path):
    folders = [*both("{kind}/x/{id}.png", "1"), *both("{kind}/y/{id}.png", "1")]
    tree = tree_of(tmp_path, *folders, *both("{kind}/{id}.png", "x_1"))
    assert sorted(tree.images) == ["x_1", "y_1"]
    assert [case.split(" ")[0] for case in noted(tree)["two files with one id"]] == [
        "images/x/1.png" if tree.name(tree.images["x_1"]) == "images/x_1.png" else "images/x_1.png"
    ]


def test_only_what_differs_in_the_folders_names_makes_an_id(tmp_path):
    tree = tree_of(
        tmp_path, *both("{kind}/x/set/{id}.png", "1"), *both("{kind}/y/set/{id}.png", "1")
    )
    assert sorted(tree.images) == ["x_1", "y_1"]


def test_in_a_folder_that_bears_an_id_other_names_are_strays(tmp_path):
    names = [at.format("P1") for at in PLACES["primary"][:2]]
    more = ["train_images/P1/masks/lesion.png", "test_images/T1/T1.png", "test_images/T1/small.png"]
    tree = tree_of(tmp_path, *names, *more)
    assert list(tree.images) == ["P1"] and list(tree.test) == ["T1"]
    assert noted(tree) == {
        "stray file": ["test_images/T1/small.png", "train_images/P1/masks/lesion.png"]
    }


def test_a_class_may_be_named_as_an_organ_or_a_side(tmp_path):
    names = [*both("lesion/{kind}/{id}.png", "1", "2"), *both("left/{kind}/{id}.png", "3")]
    tree = tree_of(tmp_path, *names, *both("Normal/{kind}/{id}.png", "4"))
    assert sorted(tree.images) == ["1", "2", "3", "4"] and tree.layout == "classes"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_second_name_of_a_tree_is_no_second_tree(tmp_path):
    place(tmp_path, *both("v1/{kind}/{id}.png", "a", "b"))
    (tmp_path / "latest").symlink_to("v1")
    tree = find_tree(tmp_path)
    assert pairs(tree)["a"] == ["v1/images/a.png", "v1/masks/a.png"]
    assert noted(tree) == {"folder ignored": ["latest (4 .png)"]}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_second_name_is_told_from_the_first_behind_a_link_to_all(tmp_path):
    """As on macOS, where /tmp is a link itself."""
    place(tmp_path, *both("store/v1/{kind}/{id}.png", "a", "b"))
    (tmp_path / "store/latest").symlink_to("v1")
    (tmp_path / "s").symlink_to("store")
    tree = find_tree(tmp_path / "s")
    assert pairs(tree)["a"] == ["v1/images/a.png", "v1/masks/a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_linked_folder_is_named_as_a_link_alone(tmp_path):
    root = place(tmp_path / "s", *both("{kind}/{id}.png", "a"))
    (root / "far").symlink_to(place(tmp_path / "store", "odd/x.png", "y.png"))
    assert noted(find_tree(root)) == {"path leads outside the source": ["far: a linked folder"]}


def numbered(root, images, masks):
    names = [f"images/image_{n}.png" for n in images] + [f"masks/mask_{n}.png" for n in masks]
    return tree_of(root, *names)


SHIFT = "numbers may be shifted by one"


@pytest.mark.parametrize("images, masks", [
    (range(1, 9), range(8)), (range(8), range(1, 9)), (range(9, 13), range(8, 12)),
    ((3, 4, 5, 9), (2, 3, 4, 8)),
])  # fmt: skip
def test_masks_that_count_from_another_number_are_told(images, masks, tmp_path):
    found = numbered(tmp_path, images, masks)
    first = f"images/image_{min(images)}.png with masks/mask_{min(masks)}.png"
    assert found.notes[SHIFT] == [first]


@pytest.mark.parametrize("images, masks", [
    (range(1, 9), range(1, 9)),  # a good set
    (range(1, 9), range(1, 8)), (range(1, 9), range(2, 9)),  # one lacks
    (range(1, 9), range(8, 0, -1)), (range(1, 9), (2, 3, 4, 5, 6, 7, 8, 10)),
    ((1, 2), (0, 1)),  # too few to tell
])  # fmt: skip
def test_other_numbers_are_no_shift(images, masks, tmp_path):
    assert numbered(tmp_path, images, masks).notes[SHIFT] == []


def test_a_list_settles_a_shift(tmp_path):
    numbered(tmp_path, range(1, 9), range(8))
    rows = [f"images/image_{n}.png,masks/mask_{n - 1}.png\n" for n in range(1, 9)]
    (tmp_path / "s/list.csv").write_text("image,mask\n" + "".join(rows), "utf-8")
    assert noted(find_tree(tmp_path / "s/list.csv")) == {}


def test_a_patients_films_in_folders_of_their_own_are_no_shift(tmp_path):
    both = [(n, film) for n in range(1, 9) for film in range(2)]
    names = [f"images/P{n}/{film + 1}.png" for n, film in both]
    masks = [f"masks/P{n}/{film + (n > 1)}.png" for n, film in both]
    assert tree_of(tmp_path, *names, *masks).notes[SHIFT] == []
