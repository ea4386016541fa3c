"""What names say."""

from pathlib import Path

import pytest

from unet_lib.intake import layouts, walk
from unet_lib.intake.layouts import Meaning


@pytest.mark.parametrize(
    "name, expected",
    [("P1.png", "P1"), ("P1.TIFF", "P1"), ("P1.dcm", "P1"), ("scan.nii.gz", "scan"),
     ("1.2.840.113", "1.2.840.113"), ("1.2.840.113.dcm", "1.2.840.113"), ("IM-0001", "IM-0001"),
     ("a.b.c.jpeg", "a.b.c"), ("P1.txt", "P1.txt"), ("e\u0301.webp", "é"), ("x.png.json", "x.png")],
)  # fmt: skip
def test_only_known_endings_are_cut_from_an_id(name, expected):
    assert layouts.stem(name) == expected


@pytest.mark.parametrize(
    "name, expected",
    [("a.png", True), ("a.JPG", True), ("IM-0001", True), ("1.2.840.113", True), ("a.json", True),
     ("a.unknown", True), ("notes.txt", False), ("list.CSV", False), ("a.zip", False),
     ("README", False), ("DICOMDIR", False), ("README.md.txt", False)],
)  # fmt: skip
def test_what_is_plainly_no_picture(name, expected):
    assert layouts.may_be_picture(name) == expected


@pytest.mark.parametrize(
    "folders, expected",
    [
        ("images image imgs img cxr xray CXR_png pictures Images X-Ray x_rays 2d_images images256"
         " JPEGImages", Meaning("images")),
        ("masks mask labels label segmentations annotations ground_truth GroundTruth gt ManualMask"
         " MASKS lung_masks binary-masks lungmasks masks512 SegmentationClass Ground-truths",
         Meaning("masks")),
        ("train Training Train_Set", Meaning(part="train")), ("test testing", Meaning(part="test")),
        ("val valid validation VAL", Meaning(part="validation")),
        ("imagesTr train_images TrainImages imagestr", Meaning("images", "train")),
        ("labelsTs test_masks", Meaning("masks", "test")),
        ("leftMask left_mask leftmask", Meaning("masks", side="left")),
        ("heart_masks", Meaning("masks", organ="heart")),
        ("COVID Normal P_00_0 lungs image_01 overlays mask_0012_a images+masks 胸部",
         Meaning()),
    ],
)  # fmt: skip
def test_the_meaning_of_a_folders_name(folders, expected):
    for name in folders.split():
        assert layouts.meaning(name) == expected, name
    assert layouts.meaning("images and masks") == Meaning()


def test_names_of_folders_that_can_hold_masks_of_both_lungs():
    names = ["both", "lungs", "Both_Lungs", "whole lung", "png", "512", "masks", "lung_masks",
             "left+right", "left and right masks", "union"]  # fmt: skip
    assert [name for name in names if not layouts.is_of_both(name)] == []
    others = ["liver", "left lung", "heart", "lungs and liver", "reader 1", "left masks", "images"]
    assert [name for name in others if layouts.is_of_both(name)] == []


@pytest.mark.parametrize(
    "stem, expected",
    [("P1_left_mask", [("P1_left_mask", ""), ("P1_left", ""), ("P1", "left")]),
     ("P1_mask_right", [("P1_mask_right", ""), ("P1_mask", "right"), ("P1", "right")]),
     ("P1_lungmask", [("P1_lungmask", ""), ("P1", "")]), ("P1-seg", [("P1-seg", ""), ("P1", "")]),
     ("P1_label", [("P1_label", ""), ("P1", "")]), ("P1-Mask", [("P1-Mask", ""), ("P1", "")]),
     ("mask_007", [("mask_007", ""), ("007", "")]), ("P_R", [("P_R", ""), ("P", "right")]),
     ("P_lung", [("P_lung", "")]), ("00_000", [("00_000", "")]),
     ("x.jpg", [("x.jpg", ""), ("x", "")])],
)  # fmt: skip
def test_what_the_image_of_a_mask_may_be_called(stem, expected):
    assert [(name, side) for name, side, _ in layouts.mask_names(stem)] == expected


@pytest.mark.parametrize(
    "stem, expected",
    [("P1_image", "P1"), ("P1-image", "P1"), ("image_7", "7"), ("case_001_0000", "case_001"),
     ("P1", "P1"), ("P1_000", "P1_000"), ("image", ""), ("img", ""),
     ("line\nbreak", "line\nbreak")],
)  # fmt: skip
def test_an_image_without_the_words_that_only_say_so(stem, expected):
    assert layouts.image_core(stem) == expected


@pytest.mark.parametrize(
    "stem, cores",
    [("CXR_7_0000", {"CXR_7": "end", "7_0000": "start", "7": "end start"}),
     ("xray-7", {"7": "start"}), ("P1_image", {"P1": "end"}), ("P1", {}), ("image", {"": "end"}),
     ("image_0000", {"image": "end", "0000": "start"})],
)  # fmt: skip
def test_what_may_be_left_of_an_images_name(stem, cores):
    assert layouts.image_cores(stem) == {core: set(cuts.split()) for core, cuts in cores.items()}
    for core, cuts in cores.items():
        assert layouts.image_core(stem, cuts.split()) == core
    assert layouts.image_core(stem, ()) == stem


def test_a_part_is_read_from_a_files_name():
    assert layouts.part_in("instances_val2017") == "validation"
    assert layouts.part_in("instances_train") == "train" and layouts.part_in("annotations") == ""


@pytest.mark.parametrize("name", ["original", "resized", "256x256", "512", "Augmented", "v2"])
def test_other_versions_of_a_set(name):
    assert layouts.is_version(name)
    assert not layouts.is_version("COVID") and not layouts.is_version("fold 01")


@pytest.mark.parametrize(
    "part, text, expected",
    [("T_1.PNG", "T_1", "<id>.png"), ("T_1", "T_1", "<id>"),
     ("case_0000.png", "case", "<id>_0000.png"), ("CXR_1_0000.png", "CXR_1", "<id>_0000.png"),
     ("test", "t", "test"), ("images", "", "images")],
)  # fmt: skip
def test_the_form_of_a_path(part, text, expected):
    assert layouts.form(part, text) == expected


@pytest.mark.parametrize(
    "folder, home, inner, meaning",
    [
        ("a/images/left", "a", "left", Meaning("images")),  # no side: that is for masks alone
        ("a/masks/left lung", "a", "", Meaning("masks", side="left")),
        ("train/x/masks/heart", "", "x", Meaning("masks", "train", organ="heart")),
        ("a/b", "a/b", "", Meaning()), ("images/images", "", "", Meaning("images")),
        ("set/val/labels/png", "set", "png", Meaning("masks", "validation")),
    ],
)  # fmt: skip
def test_what_the_folders_above_a_file_say_together(folder, home, inner, meaning):
    (file,) = layouts.locate([walk.Entry(tuple(folder.split("/")), "x.png", Path(folder, "x.png"))])
    assert ("/".join(file.home), "/".join(file.inner), file.meaning) == (home, inner, meaning)


def test_a_folder_named_as_a_role_that_holds_both_roles_is_a_wrapper():
    ways = [("Lung Segmentation", "CXR_png"), ("Lung Segmentation", "masks")]
    image, mask = layouts.locate(walk.Entry(way, "x.png", Path("x.png")) for way in ways)
    assert image.home == mask.home == ways[0][:1]
    assert (image.meaning.role, mask.meaning.role) == ("images", "masks")
