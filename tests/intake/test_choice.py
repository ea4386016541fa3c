"""Which of several trees is meant, and what is left out."""

import os
from pathlib import Path

import pytest
from made_trees import both, located, noted, paired, place, tree_of

from unet_lib.intake import choice, pairs
from unet_lib.intake.tree import find_tree


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


@pytest.mark.parametrize("other", ["liver", "left kidney", "batch1"])
@pytest.mark.parametrize("side", ["left lung", "right"])
def test_a_folder_of_an_unknown_name_beside_those_of_sides_is_a_rival(other, side, tmp_path):
    """No organ that is unknown here takes the place of the lungs."""
    folders = ["images", f"masks/{side}", f"masks/{other}"]
    folders += ["masks/right lung"] * (side == "left lung")
    names = [f"{folder}/{i}.png" for folder in folders for i in "abc"]
    with pytest.raises(ValueError, match="holds two folders of masks under the same") as caught:
        tree_of(tmp_path, *names)
    assert all(f"\n    masks/{folder}/a.png\n" in str(caught.value) for folder in (side, other))


@pytest.mark.parametrize("whole", ["both", "lungs", "Both lungs", "512", "lung_masks"])
def test_masks_of_both_lungs_beside_those_of_sides_are_no_rivals(whole, tmp_path):
    folders = ["images", "masks/left", "masks/right", f"masks/{whole}"]
    tree = tree_of(tmp_path, *(f"{folder}/{i}.png" for folder in folders for i in "abc"))
    assert paired(tree)["a"] == ["images/a.png", f"masks/{whole}/a.png"]
    assert len(noted(tree)["two files with one id"]) == 6


def test_a_few_masks_in_a_folder_of_an_unknown_name_replace_no_lungs(tmp_path):
    names = [f"{folder}/{i}.png" for folder in ("images", "masks/left", "masks/right")
             for i in "abcde"]  # fmt: skip
    tree = tree_of(tmp_path, *names, "masks/liver/a.png", "masks/liver/b.png")
    assert paired(tree)["a"] == ["images/a.png", "masks/left/a.png", "masks/right/a.png"]
    assert noted(tree) == {"two files with one id": [
        f"masks/liver/{i}.png (masks/left/{i}.png is used)" for i in "ab"]}  # fmt: skip


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
    assert paired(tree)["1"] == [f"{image}/1.png", f"{mask}/1.png"]
    assert noted(tree) == {"two files with one id": [
        f"{other}/{n}.png ({mask}/{n}.png is used)" for n in "12"]}  # fmt: skip


def test_left_and_right_and_outlines_beside_masks_are_no_rivals(tmp_path):
    names = [f"{folder}/{i}.png" for folder in ("images", "masks", "masks/left") for i in "abc"]
    tree = tree_of(tmp_path, *names)
    assert {path.parent.name for held in tree.masks.values() for path in held} == {"masks"}


def test_classes_in_a_folder_of_an_unknown_name(tmp_path):
    """One name in two classes: each picture has the mask of its own class, or none."""
    names = [f"{folder}/{name}.png" for folder in ("radios/A", "radios/B") for name in ("1", "2")]
    tree = tree_of(tmp_path, *names, "masks/A/1.png", "masks/B/1.png", "masks/B/2.png")
    assert paired(tree) == {
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


def test_a_class_may_be_named_as_an_organ_or_a_side(tmp_path):
    names = [*both("lesion/{kind}/{id}.png", "1", "2"), *both("left/{kind}/{id}.png", "3")]
    tree = tree_of(tmp_path, *names, *both("Normal/{kind}/{id}.png", "4"))
    assert sorted(tree.images) == ["1", "2", "3", "4"] and tree.layout == "classes"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_second_name_of_a_tree_is_no_second_tree(tmp_path):
    place(tmp_path, *both("v1/{kind}/{id}.png", "a", "b"))
    (tmp_path / "latest").symlink_to("v1")
    tree = find_tree(tmp_path)
    assert paired(tree)["a"] == ["v1/images/a.png", "v1/masks/a.png"]
    assert noted(tree) == {"folder ignored": ["latest (4 .png)"]}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_second_name_is_told_from_the_first_behind_a_link_to_all(tmp_path):
    """As on macOS, where /tmp is a link itself."""
    place(tmp_path, *both("store/v1/{kind}/{id}.png", "a", "b"))
    (tmp_path / "store/latest").symlink_to("v1")
    (tmp_path / "s").symlink_to("store")
    tree = find_tree(tmp_path / "s")
    assert paired(tree)["a"] == ["v1/images/a.png", "v1/masks/a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_linked_folder_is_named_as_a_link_alone(tmp_path):
    root = place(tmp_path / "s", *both("{kind}/{id}.png", "a"))
    (root / "far").symlink_to(place(tmp_path / "store", "odd/x.png", "y.png"))
    assert noted(find_tree(root)) == {"path leads outside the source": ["far: a linked folder"]}


# ---------------------------------------------------------------------------- each by itself


def pairings(*names):
    """Return what each home holds, by its folders."""
    homes = {}
    for file in located(*names):
        homes.setdefault(file.home, []).append(file)
    return {home: pairs.pair(files, {}, {}) for home, files in homes.items()}


@pytest.mark.parametrize("doubled, of", [(2, 4), (1, 1), (1, 2), (2, 5), (3, 6)])
def test_folders_rival_from_two_names_and_from_half_of_the_images_on(doubled, of):
    names = [f"images/{n}.png" for n in range(of)] + [f"masks/a/{n}.png" for n in range(of)]
    held = pairings(*names, *(f"masks/b/{n}.png" for n in range(doubled)))
    found = choice.rivals(held.values())
    assert bool(found) is (doubled > 1 and 2 * doubled >= of)
    if found:
        assert {file.entry.folders for file in found} == {("masks", "a"), ("masks", "b")}


@pytest.mark.parametrize(
    "names, chosen",
    [([], []),
     (both("{kind}/{id}.png", "1") + both("deep/{kind}/{id}.png", "2"), [()]),
     (both("x/{kind}/{id}.png", "1") + both("x/y/{kind}/{id}.png", "2"), [("x",)]),
     (both("A/{kind}/{id}.png", "1", "2") + both("B/{kind}/{id}.png", "1", "2"),
      [("A",), ("B",)]),
     (["b/P1/image.png", "b/P1/mask.png", "P2/image.png", "P2/mask.png"],  # one image each
      [("P2",), ("b", "P1")])],
)  # fmt: skip
def test_the_home_that_holds_all_others_or_all_classes_are_chosen(names, chosen):
    assert choice.choose(Path("s"), pairings(*names)) == chosen


@pytest.mark.parametrize(
    "names",
    [both("A/{kind}/{id}.png", "1", "2") + both("512/{kind}/{id}.png", "1", "2"),  # a version
     both("A/{kind}/{id}.png", "1", "2") + both("B/C/{kind}/{id}.png", "3", "4"),
     both("A/{kind}/train/{id}.png", "1", "2") + both("B/{kind}/train/{id}.png", "3", "4"),
     ["x/A/images/1.png", "x/A/masks/1.png", "B/images/1.png", "B/masks/1.png"]],
)  # fmt: skip
def test_other_trees_are_none_that_go_together(names):
    with pytest.raises(ValueError, match="several trees; name one"):
        choice.choose(Path("s"), pairings(*names))


@pytest.mark.parametrize(
    "ways, homes, word",
    [(["train_images/P1/images"], [""], "primary"), (["x/train_images/P1"], ["x"], "primary"),
     (["imagesTr"], [""], "nnU-Net"), (["IMAGESTR"], [""], "nnU-Net"),
     (["train/images", "val/images"], [""], "usable"), (["images/train"], [""], "usable"),
     (["images"], [""], "flat"), (["set/images"], ["set"], "flat"),
     ([""], [""], "one folder"), (["set", "set"], ["set"], "one folder"),
     (["A/images", "A/images", "B/images"], ["A", "B"], "classes"),
     (["P1", "P2"], ["P1", "P2"], "a folder for each image")],
)  # fmt: skip
def test_the_word_for_a_layout(ways, homes, word):
    split = [[tuple(filter(None, way.split("/"))) for way in held] for held in (ways, homes)]
    assert choice.layout(*split) == word


def test_what_is_left_out_is_a_file_beside_used_ones_or_a_whole_folder():
    entries = [file.entry for file in located(
        "images/a.png", "images/b.txt", "notes.md", "old/x.png", "old/deep/y.png", "two/z.png")]
    used = {entries[0].path}
    assert choice.leftovers(entries, used, [("two",)]) == [
        ("stray file", ("images", "b.txt"), ""), ("stray file", ("notes.md",), ""),
        ("folder ignored", ("old",), " (2 .png)"),
        ("folder ignored", ("two",), " (1 .png): a tree of its own"),
    ]


def test_a_picture_in_a_folder_of_an_unknown_name_counts_by_the_inner_folders_of_masks():
    files = located("masks/A/1.png", "radios/A/1.png", "radios/B/1.png", "radios/A/1.json",
                    "images/A/1.png", "A/radios/1.png")  # fmt: skip
    inner = {str(file.path): file.inner for file in choice.place_like_masks(files)}
    assert inner == {"masks/A/1.png": ("A",), "radios/A/1.png": ("A",), "radios/B/1.png": (),
                     "radios/A/1.json": (), "images/A/1.png": ("A",), "A/radios/1.png": ()}
