"""A source that cannot be used is told what was expected, what came and what to do."""

import os
from pathlib import Path

import pytest
from made_trees import located, place, tree_of

from unet_lib.intake import advice
from unet_lib.intake.tree import find_tree


def test_what_may_not_be_looked_into_is_named_where_nothing_is_left(tmp_path, monkeypatch):
    place(tmp_path, "images/a.png", "masks/a.png")
    shut = {tmp_path / "masks"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in shut)
    with pytest.raises(ValueError, match="Not looked into: masks: no permission to look into"):
        find_tree(tmp_path)
    shut = {tmp_path}
    with pytest.raises(ValueError, match=r"Not looked into: \.: no permission to look into"):
        find_tree(tmp_path)


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


# ---------------------------------------------------------------------------- each by itself


def entries(*names):
    return [file.entry for file in located(*names)]


def test_files_are_counted_by_their_endings():
    names = ["a.PNG", "b.png", "c.txt", "README"]
    assert advice.kinds(entries(*names)) == "2 .png, 1 .txt, 1 without ending"
    assert advice.kinds([]) == "none"
    assert advice.kinds(entries(*(f"x.{end}" for end in "abcdefg"))).count(".") == 5  # at most


def test_a_folder_is_described_by_eight_names_and_the_kinds_of_files(tmp_path):
    assert advice.describe(tmp_path) == "nothing (files in all folders: none)"
    place(tmp_path, *(f"{n}/x.png" for n in range(4)), *(f"{n}.txt" for n in range(4, 9)))
    assert advice.describe(tmp_path) == (
        "0/, 1/, 2/, 3/, 4.txt, 5.txt, 6.txt, 7.txt (files in all folders: 5 .txt, 4 .png)")
    place(tmp_path, "list.csv")
    assert advice.describe(tmp_path / "list.csv") == "a list, list.csv"


def test_a_folder_that_may_not_be_looked_into_is_described_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    told = "a folder that cannot be looked into (Permission denied)"
    assert advice.describe(tmp_path) == told


def test_a_refusal_says_what_failed_what_to_do_what_was_expected_and_what_came(tmp_path):
    source = place(tmp_path / "s", "a.txt")
    end = f"{advice.EXPECTED}\nFound: a.txt (files in all folders: 1 .txt)"
    assert advice.refusal(source, "is odd") == f"source s is odd.\n{end}"
    assert advice.refusal(source, "is odd", "Mend it.") == f"source s is odd.\nMend it.\n{end}"


@pytest.mark.parametrize(
    "count, more", [(8, ""), (9, "\n    and 1 more"), (12, "\n    and 4 more")]
)  # fmt: skip
def test_of_many_trees_eight_are_named(count, more, tmp_path):
    text = advice.several(tmp_path / "s", [(f"t{n:02d}",) for n in range(count)])
    lines = [f'    source: "s/t{n:02d}"' for n in range(8)]
    start = "source s holds several trees; name one:\n" + "\n".join(lines)
    assert text.startswith(f"{start}{more}\nor write a list of the pairs that you want.\n")


@pytest.mark.parametrize("count, more", [(3, ""), (4, "and 1 more such files\n")])
def test_of_many_bad_annotations_three_are_named(count, more, tmp_path):
    files = located("images/a.png")
    troubles = [f"{n}.json: damaged" for n in range(count)]
    text = advice.no_tree(place(tmp_path / "s"), files, linked=False, troubles=troubles)
    told = "0.json: damaged\n1.json: damaged\n2.json: damaged\n"
    assert f"annotations that cannot be used.\n{told}{more}If there are masks among them" in text


def test_a_list_beside_pictures_is_named_with_the_line_that_takes_it(tmp_path):
    root = place(tmp_path / "s", "films/a.png", "notes.csv")
    (root / "pairs.csv").write_text("image,mask\nfilms/a.png,\n")
    told = 'It holds a list, though; to use it: source: "s/pairs.csv"\n'
    with pytest.raises(ValueError, match=told):
        find_tree(root)


def test_links_that_were_not_followed_and_closed_folders_come_first(tmp_path):
    root = place(tmp_path / "s", "x.txt")
    text = advice.no_tree(root, located("x.txt"), linked=True, closed=["a: shut", "b: shut"])
    told = "source s holds no tree of images and masks.\nNot looked into: a: shut; b: shut\n"
    assert text.startswith(f"{told}{advice.FOLLOW}\n{advice.EXPECTED}")
    assert advice.FOLLOW not in advice.no_tree(root, located("x.txt"), linked=False)


def test_two_folders_that_rival_are_named_with_what_to_do(tmp_path):
    bones, lungs, image = located("masks/bones/a.png", "masks/lungs/a.png", "radios/a.png")
    text = advice.rivals(tmp_path / "s", bones, lungs)
    assert text.startswith("source s holds two folders of masks under the same names")
    assert "\n    masks/bones/a.png\n    masks/lungs/a.png\nMove the masks that are not" in text
    assert "two folders of images under" in advice.rivals(tmp_path / "s", image, image)
