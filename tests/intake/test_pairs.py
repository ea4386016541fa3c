"""Which mask belongs to which image, by names and places."""

import os

import pytest
from made_trees import IDS, LAYOUTS, PLACES, both, located, noted, paired, place, tree_of

from unet_lib.intake import pairs
from unet_lib.intake.tree import find_tree


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_masks_find_each_other(layout, tmp_path):
    names, expected = LAYOUTS[layout]
    tree = tree_of(tmp_path, *names)
    assert paired(tree) == expected
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
    assert paired(tree)["P00"] == ["images/P00.png", f"{used}/P00.png"]
    assert noted(tree) == {"two files with one id": [f"{other} ({used}/P00.png is used)"]}


def test_two_images_of_one_id_are_told(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "a"), "images/a.jpg")
    assert paired(tree) == {"a": ["images/a.jpg", "masks/a.png"]}
    assert noted(tree) == {"two files with one id": ["images/a.png (images/a.jpg is used)"]}


def test_ids_that_count_alike_in_train_and_val_are_kept_apart(tmp_path):
    names = [*both("train/{kind}/{id}.png", "1"), *both("val/{kind}/{id}.png", "1")]
    tree = tree_of(tmp_path, *names)
    assert paired(tree)["val_1"] == ["val/images/1.png", "val/masks/1.png"]
    assert tree.validation == {"val_1"} and "train_1" in tree.images


def test_ids_whose_numbers_look_like_channels_are_kept(tmp_path):
    ids = ["p_0000", "p_0001"]
    assert list(tree_of(tmp_path, *both("{kind}/{id}.png", *ids)).images) == ids


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
    assert paired(tree)["COVID_1"] == ["images/COVID/1.png", "masks/covid/1.png"]
    assert paired(tree)["Normal_2"] == ["images/Normal/2.png", "masks/normal/2.png"]


def test_masks_in_a_folder_that_bears_their_images_name(tmp_path):
    """What is called 1 in the folder of image 2 is no mask of image 1."""
    names = [f"images/{i}.png" for i in "1234"]
    names += ["masks/1/left.png", "masks/1/right.png", "masks/2/mask.png", "masks/3/3_seg.png"]
    tree = tree_of(tmp_path, *names, "masks/4/1.png", "masks/4/2.png")
    assert {i: held[1:] for i, held in paired(tree).items()} == {
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
    for image, held in paired(tree_of(tmp_path, *names)).items():
        assert all(mask.startswith(f"masks/{image}/") for mask in held[1:])


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


@pytest.mark.parametrize("whole", [
    "full_masks", "combined_masks", "both_lungs_masks", "merged_mask", "lung_mask_full",
    "left+right", "left and right", "union",
])  # fmt: skip
def test_a_whole_mask_may_lie_in_a_folder_that_says_so(whole, tmp_path):
    places = (f"masks/{folder}/1.png" for folder in ("left_masks", "right_masks", whole))
    tree = tree_of(tmp_path, "images/1.png", *places)
    assert paired(tree) == {"1": ["images/1.png", f"masks/{whole}/1.png"]}


def test_a_whole_mask_beside_its_halves_may_lie_in_a_folder_of_any_name(tmp_path):
    places = ("images/1.png", "masks/export/1.png", "masks/export/left/1.png",
              "masks/export/right/1.png")  # fmt: skip
    assert paired(tree_of(tmp_path, *places)) == {"1": ["images/1.png", "masks/export/1.png"]}


def test_a_whole_mask_goes_before_its_halves(tmp_path):
    sides = ["masks/left/a.png", "masks/right/a.png"]
    tree = tree_of(tmp_path, "images/a.png", "masks/a.png", *sides)
    assert paired(tree) == {"a": ["images/a.png", "masks/a.png"]}
    assert noted(tree) == {
        "two files with one id": [f"{side} (masks/a.png is used)" for side in sides]
    }


def test_a_file_that_calls_itself_a_mask_is_no_image_without_one(tmp_path):
    """Of the heart, say, in each patient's folder, where the lungs have a mask of their own."""
    tree = tree_of(tmp_path, *(f"p{n}/{name}.png" for n in (1, 2)
                               for name in ("image", "lung_mask", "heart_mask", "side")))
    assert sorted(tree.images) == ["p1", "p2"] and len(tree.masks["p1"]) == 1
    assert noted(tree)["mask without image"] == ["p1/heart_mask.png", "p2/heart_mask.png"]
    assert noted(tree)["image without mask"] == ["p1/side.png", "p2/side.png"]
    tree = tree_of(tmp_path / "b", *both("{kind}/{id}.png", "a"), "images/gas_mask.png")
    assert noted(tree)["image without mask"] == ["images/gas_mask.png"]  # its folder says more


def test_other_organs_are_named_when_they_are_left_out(tmp_path):
    masks = [f"masks/{organ}/a.gif" for organ in ("left lung", "right lung", "heart",
                                                   "left clavicle")]  # fmt: skip
    tree = tree_of(tmp_path, "images/a.png", *masks)
    assert paired(tree) == {"a": ["images/a.png", *masks[:2]]}
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


def test_folders_beside_train_that_hold_the_same_are_named(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "a"), *both("train/{kind}/{id}.png", "a"))
    assert paired(tree) == {"a": ["train/images/a.png", "train/masks/a.png"]}
    assert noted(tree) == {"folder ignored": ["images (1 .png)", "masks (1 .png)"]}


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


def test_the_plainest_name_goes_first(tmp_path):
    tree = tree_of(tmp_path, "images/a.png", "masks/a-mask.png", "masks/a.png")
    assert paired(tree) == {"a": ["images/a.png", "masks/a.png"]}


def test_in_a_folder_that_bears_an_id_other_names_are_strays(tmp_path):
    names = [at.format("P1") for at in PLACES["primary"][:2]]
    more = ["train_images/P1/masks/lesion.png", "test_images/T1/T1.png", "test_images/T1/small.png"]
    tree = tree_of(tmp_path, *names, *more)
    assert list(tree.images) == ["P1"] and list(tree.test) == ["T1"]
    assert noted(tree) == {
        "stray file": ["test_images/T1/small.png", "train_images/P1/masks/lesion.png"]
    }


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
    films = [(n, film) for n in range(1, 9) for film in range(2)]
    names = [f"images/P{n}/{film + 1}.png" for n, film in films]
    masks = [f"masks/P{n}/{film + (n > 1)}.png" for n, film in films]
    assert tree_of(tmp_path, *names, *masks).notes[SHIFT] == []


# ---------------------------------------------------------------------------- each by itself


def held(pairing):
    """Return the masks of each image by side, all of them by their names."""
    return {str(image.path): {side: str(mask.path) for side, mask in masks.items()}
            for image, masks in pairing.masks.items()}  # fmt: skip


def test_one_home_is_paired_and_what_finds_no_partner_is_kept():
    files = located("images/a.png", "images/B_image.png", "images/c.png", "masks/left/a.png",
                    "masks/right/a.png", "masks/b.png", "masks/d.png", "notes.txt")  # fmt: skip
    found = pairs.pair(files, {}, {})
    assert held(found) == {
        "images/a.png": {"left": "masks/left/a.png", "right": "masks/right/a.png"},
        "images/B_image.png": {"": "masks/b.png"},
    }
    assert [str(file.path) for file in found.lonely] == ["masks/d.png"]
    assert [(image.stem, mask.stem) for image, mask in found.folded] == [("B_image", "b")]
    assert (len(found.images), found.seconds, found.short, found.is_tree) == (3, [], {"end"}, True)
    assert pairs.lonely(found) == [("image without mask", files[2]),
                                   ("mask without image", files[6])]  # fmt: skip


@pytest.mark.parametrize(
    "names, cuts",
    [("images/a.png masks/a_mask.png", ""), ("images/a_image.png masks/a.png", "end"),
     ("images/image_1.png masks/mask_1.png", "start"),
     ("images/CXR_1_0000.png masks/CXR_1.png", "end"),
     ("images/CXR_1_0000.png masks/1.png", "end start"),
     ("images/CXR_1_0000.png masks/1_0000.png", "start"),
     ("images/CXR_1_0000.png masks/cxr_1.png", "end"),
     ("CXR_1_0000.png CXR_1_mask.png", "end"),
     ("images/a_image.png masks/a.png images/image_b.png masks/b.png", "end start")],
)  # fmt: skip
def test_words_are_cut_from_names_only_where_masks_lack_them(names, cuts):
    found = pairs.pair(located(*names.split()), {}, {})
    assert len(found.masks) == len(found.images) and found.short == set(cuts.split())


def test_pictures_alone_are_no_tree():
    assert pairs.pair(located("a.png", "b.png"), {}, {}).is_tree is False


def test_a_mask_without_a_part_goes_to_a_test_image_only_where_no_other_has_its_name():
    files = located("images/1.png", "test/1.png", "masks/1.png")
    assert held(pairs.pair(files, {}, {})) == {"images/1.png": {"": "masks/1.png"}}
    assert held(pairs.pair(files[1:], {}, {})) == {"test/1.png": {"": "masks/1.png"}}


def test_annotations_are_masks_of_the_pictures_that_they_name():
    image, labelme, coco, other = located("images/a.png", "x.json", "all.json", "images/b.png")
    found = pairs.pair([image, labelme, coco, other], {labelme: ["..\\images\\a.png"]},
                       {other: [coco, labelme]})  # fmt: skip
    assert found.masks == {image: {"": labelme}, other: {"": coco, "1": labelme}}


@pytest.mark.parametrize(
    "organs, kept",
    [(["masks", "masks/heart"], ["masks"]), (["masks/heart"], ["masks/heart"]), ([], []),
     (["masks/heart", "masks/ribs"], [])],
)  # fmt: skip
def test_masks_of_other_organs_count_only_alone(organs, kept):
    masks = located(*(f"{folder}/a.png" for folder in organs))
    assert [str(mask.path.parent) for mask in pairs.of_lungs(masks)] == kept


def test_which_sides_a_set_shows_and_where_one_is_missing():
    first, second, left, right = located("images/a.png", "images/b.png", "masks/left/a.png",
                                         "masks/right/a.png")  # fmt: skip
    masks = {first: {"left": left, "right": right}, second: {"left": left}}
    assert pairs.sides(masks) == {"left", "right"}
    assert pairs.halves(masks) == [(second, left, "right")]
    assert pairs.halves({first: {"": left}, second: {"right": right}}) == []  # no set of halves
    whole = {first: {"left": left, "right": right}, second: {"": left}}
    assert pairs.halves(whole) == [] and pairs.sides(whole) == {"", "left", "right"}
    assert pairs.halves({second: {"left": left}}) == []  # one lung of all
