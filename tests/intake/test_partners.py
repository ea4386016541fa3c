"""Pictures find their masks by places and names, wherever they lie; what is not plain is refused.

The expected mask of a picture is the one drawn with it: phantoms are told by their pixels.
"""

import shutil

import cv2
import numpy as np
import pytest
from made_trees import make_tree, place
from public_layouts import LAYOUTS, drawn, sides

from unet_lib.intake import partners

PICTURES = {  # where a public set has its pictures, and their masks; how many have some
    "original": ("*_images/**/CH*.png", "train_images/*/masks/*", 4),
    "shenzhen": ("ChinaSet_AllFiles/CXR_png/*", "shcxr-lung-mask/**/*.png", 4),
    "montgomery": ("MontgomerySet/CXR_png/*", "MontgomerySet/ManualMask/**/*.png", 4),
    "masks_and_labels": ("*/[Ct]*/*.png", "*/masks/*.png", 8),
    "covid_radiography": ("*/*/images/*", "*/*/masks/*", 8),
    "covid_qu_ex": ("**/images/*", "**/lung masks/*", 36),
    "mendeley": ("*/*/img/*", "*/*/mask/*", 12),
    "v7_fetched": ("images/*", "masks/*", 4),
    "lung_vae": ("images/*", "annotations/**/*.png", 4),
}


def found(pictures, folder) -> dict[str, set[str]]:
    """Return file names of pictures and, from the folder on, of their masks."""
    masks = partners.find(pictures, folder).masks
    folder = folder.resolve()
    return {
        key.rpartition("/")[2]: {p.resolve().relative_to(folder).as_posix() for p in paths}
        for key, paths in masks.items()
    }


def copied(files, root, target):
    """Copy files below root into the same folders below target."""
    made = [target / file.relative_to(root) for file in files]
    for file, copy in zip(files, made, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return made


def area(paths) -> int:
    """Return the pixels of the masks of one picture."""
    return sum(np.count_nonzero(cv2.imread(str(path), 0)) for path in paths)


@pytest.mark.parametrize("where", ["in the set", "in a copy", "beside masks alone"])
@pytest.mark.parametrize("name", PICTURES)
def test_public_sets(name, where, tmp_path):
    root = LAYOUTS[name](tmp_path / "set")
    images, masks, number = PICTURES[name]
    pictures = [p for p in sorted(root.glob(images)) if p.is_file() and "mask" not in p.parent.name]
    folder = root
    if where != "in the set":
        pictures = copied(pictures, root, tmp_path / "copy")
    if where == "beside masks alone":
        folder = tmp_path / "truth"
        copied(sorted(p for p in root.glob(masks) if p.is_file()), root, folder)
    result = partners.find(pictures, folder)
    assert (len(result.masks), result.faults) == (number, {})
    for picture in pictures:
        for mask in result.masks.get(str(picture.resolve()), ()):
            assert picture.stem in (mask.stem, mask.stem.removesuffix("_mask"))
            own = picture.relative_to(tmp_path / ("set" if where == "in the set" else "copy"))
            if "images" in own.parts and name.startswith("covid"):  # names occur in several
                assert own.parts[-3] == mask.parts[-3]
                assert own.parts[:-2] == mask.relative_to(folder).parts[:-2]


def test_both_lungs_are_found(tmp_path):
    root = LAYOUTS["montgomery"](tmp_path)
    result = partners.find(root.glob("MontgomerySet/CXR_png/*"), root / "MontgomerySet/ManualMask")
    key, paths = next(iter(result.masks.items()))
    assert [p.parent.name for p in paths] == ["leftMask", "rightMask"]
    assert area(paths) == sum(map(np.count_nonzero, sides(drawn(1, (100, 122))[1])))


@pytest.mark.parametrize("below", ["", "train_images"])
def test_the_primary_tree(below, tmp_path):
    root = make_tree(tmp_path / "set")
    images = sorted(root.glob("train_images/*/images/*.png"))
    masks = found(images, root / below)
    start = "" if below else "train_images/"
    assert masks == {p.name: {f"{start}{p.stem}/masks/{p.name}"} for p in images}


NAMES = {  # pictures, files in the folder of masks; what belongs to what
    "one name": (["a.png"], ["a.png", "b.png"], {"a.png": {"a.png"}}),
    "other formats": (["a.dcm"], ["a.tif"], {"a.dcm": {"a.tif"}}),
    "_mask": (["a.png"], ["a_mask.png"], {"a.png": {"a_mask.png"}}),
    "_lungmask before": (["a.png"], ["mask_a.png"], {"a.png": {"mask_a.png"}}),
    "left and right": (["a.png"], ["left/a.png", "right/a.png"],
                       {"a.png": {"left/a.png", "right/a.png"}}),
    "_left and _right": (["a.png"], ["a_left.png", "a_right.png"],
                         {"a.png": {"a_left.png", "a_right.png"}}),
    "capitals": (["A1.PNG"], ["a1.png"], {"A1.PNG": {"a1.png"}}),
    "only lungs": (["a.png"], ["lung/a.png", "heart/a.png"], {"a.png": {"lung/a.png"}}),
    "images beside masks": (["a.png"], ["a.png", "a_mask.png"], {"a.png": {"a_mask.png"}}),
    "the same folders": (["x/a.png"], ["w/a.png", "x/a.png"], {"a.png": {"x/a.png"}}),
    "the same last folder": (["x/y/a.png"], ["y/a.png", "z/a.png"], {"a.png": {"y/a.png"}}),
    "another folder": (["x/a.png"], ["y/a.png"], {"a.png": {"y/a.png"}}),
    "images in truth's folders": (["a_0000.png"], ["labelsTr/a.png", "imagesTr/a_0000.png"],
                                  {"a_0000.png": {"labelsTr/a.png"}}),
    "a word before": (["image_1.png"], ["mask_1.png"], {"image_1.png": {"mask_1.png"}}),
    "a folder for each": (["P1/image.png", "P2/image.png"], ["P2/mask.png", "P1/mask.png"],
                          {"image.png": {"P2/mask.png"}}),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_names(case, tmp_path):
    pictures, masks, expected = NAMES[case]
    place(tmp_path / "in", *pictures)
    place(tmp_path / "truth", *masks)
    assert found([tmp_path / "in" / name for name in pictures], tmp_path / "truth") == expected


def test_each_picture_gets_its_own_folder_s_mask(tmp_path):
    """Whichever of them are asked for together."""
    place(tmp_path / "in", "x/1.png", "y/1.png")
    place(tmp_path / "truth", "x/1.png", "y/1.png")
    both = [tmp_path / "in" / name / "1.png" for name in "xy"]
    for asked in (both, both[:1], both[1:]):
        masks = partners.find(asked, tmp_path / "truth").masks
        assert masks == {str(p.resolve()): (tmp_path / "truth" / p.parent.name / "1.png",)
                         for p in asked}  # fmt: skip


@pytest.mark.parametrize("truth", ["masks", ""])
@pytest.mark.parametrize("name", ["liver", "organs"])
def test_the_name_of_the_whole_set_chooses_no_masks(name, truth, tmp_path):
    """A set that lies in `liver/` has masks of the lungs as any other."""
    root = place(tmp_path / name, "images/a.png", "masks/liver/a.png", "masks/spleen/a.png")
    result = partners.find([root / "images/a.png"], root / truth)
    assert result.masks == {} and "may both be its mask" in "".join(result.faults.values())


DOUBTS = {  # pictures, masks, what is said of how many
    "two masks": (["a.png"], ["x/a.png", "y/a.png"], "may both be its mask", 1),
    "two formats": (["a.png"], ["a.png", "a.tif"], "may both be its mask", 1),
    "two pictures": (["x/a.png", "y/a.png"], ["a.png"], "bear one name", 2),
    "two formats of pictures": (["a.png", "a.dcm"], ["a.png"], "bear one name", 2),
    "half": (["a.png", "b.png"], ["left/a.png", "right/a.png", "left/b.png"],
             "only the mask of the left lung", 1),
    "half, alone": (["b.png"], ["left/a.png", "right/a.png", "left/b.png"],
                    "only the mask of the left lung is there; add that of the right", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTS)
def test_doubts_are_faults_of_the_picture_alone(case, tmp_path):
    pictures, masks, told, number = DOUBTS[case]
    place(tmp_path / "in", *pictures, "sound.png")
    place(tmp_path / "truth", *masks, *(m for m in ["sound.png"] if "left/a.png" not in masks))
    names = [*pictures, *(p for p in ["sound.png"] if "left/a.png" not in masks)]
    result = partners.find([tmp_path / "in" / name for name in names], tmp_path / "truth")
    assert len(result.faults) == number and all(told in why for why in result.faults.values())
    assert not result.faults.keys() & result.masks.keys()
    assert len(result.masks) == len(names) - number


def test_a_set_of_one_side_is_whole(tmp_path):
    place(tmp_path / "in", "a.png")
    place(tmp_path / "truth", "left/a.png", "left/b.png")
    assert found([tmp_path / "in/a.png"], tmp_path / "truth") == {"a.png": {"left/a.png"}}


def test_a_plainer_mask_is_used_and_the_other_named(tmp_path):
    place(tmp_path / "in", "a.png")
    place(tmp_path / "truth", "a.png", "a_mask.png", "b.png")
    place(tmp_path / "truth/masks", "a_seg.png", "a.png")
    result = partners.find([tmp_path / "in/a.png"], tmp_path / "truth")
    assert [p.name for paths in result.masks.values() for p in paths] == ["a.png"]
    (note,) = result.notes
    assert "masks/a_seg.png is not used" in note


def test_a_mask_belongs_to_the_picture_beside_it(tmp_path):
    """Not to a test image of the same number."""
    root = place(tmp_path, "train/images/1.png", "train/masks/1.png", "test/1.png", "test/2.png")
    with pytest.raises(ValueError, match="holds a true mask of no picture"):
        partners.find([root / "test/1.png", root / "test/2.png"], root)
    assert found([root / "train/images/1.png"], root) == {"1.png": {"train/masks/1.png"}}


def test_masks_of_test_images_are_found(tmp_path):
    root = place(tmp_path, "train/images/1.png", "train/masks/1.png", "test/images/2.png",
                 "test/masks/2.png")  # fmt: skip
    assert found([root / "test/images/2.png"], root) == {"2.png": {"test/masks/2.png"}}


def test_the_data_sets_of_this_project(tmp_path):
    root = place(tmp_path, "train/images/1.png", "train/masks/1.png", "test/1.png", "test/2.png",
                 "test_truth/1.png", "test_truth/2.png", "manifest.json")  # fmt: skip
    tests = [root / "test/1.png", root / "test/2.png"]
    expected = {"1.png": {"test_truth/1.png"}, "2.png": {"test_truth/2.png"}}
    assert found(tests, root) == expected
    assert found(tests, root / "test_truth").keys() == expected.keys()


def test_what_is_no_picture_by_its_name_is_passed_over(tmp_path):
    """An annotation beside a picture is not its true mask, nor a picture of the same name."""
    asked = [tmp_path / "in" / name for name in ("a.json", "a.png", "notes.txt")]
    place(tmp_path / "in", "a.png", "notes.txt")
    (tmp_path / "in/a.json").write_text('{"shapes": [], "imagePath": "a.png"}')
    place(tmp_path / "truth", "a.png")
    result = partners.find(asked, tmp_path / "truth")
    assert list(result.masks.values()) == [(tmp_path / "truth/a.png",)]
    assert (result.faults, result.notes) == ({}, [])


def test_links_are_followed(tmp_path):
    place(tmp_path / "kept", "x/y/z/a.png", "b.png")
    place(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/b.png").symlink_to(tmp_path / "kept/b.png")
    (tmp_path / "truth/more").symlink_to(tmp_path / "kept/x")
    asked = [tmp_path / "in/a.png", tmp_path / "in/b.png"]
    assert len(partners.find(asked, tmp_path / "truth").masks) == 2


def test_nothing_found_names_both_sides(tmp_path):
    place(tmp_path / "in", "a.png")
    place(tmp_path / "truth", "b.png", "README.md")
    with pytest.raises(ValueError, match=r"pictures are such as a.png, masks such as b.png\. A"):
        partners.find([tmp_path / "in/a.png"], tmp_path / "truth")


def test_the_pictures_are_not_their_own_masks(tmp_path):
    place(tmp_path, "a.png", "b.png")
    with pytest.raises(ValueError, match="such as no file but such as are among the pictures"):
        partners.find([tmp_path / "a.png", tmp_path / "b.png"], tmp_path)


def test_a_folder_is_needed(tmp_path):
    place(tmp_path, "a.png")
    with pytest.raises(FileNotFoundError, match="does not exist; name the folder"):
        partners.find([tmp_path / "a.png"], tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is a file; name the folder"):
        partners.find([tmp_path / "a.png"], tmp_path / "a.png")
