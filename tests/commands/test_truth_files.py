"""What is doubtful about all true masks is told before any is scored."""

import json

import numpy as np
import pytest
from made_sets import LEFT, RIGHT, SIDE, WHITE, chest, put
from predicting import made, pictures

from unet_lib.commands import truth

SHAPE = (SIDE, SIDE)


@pytest.mark.parametrize("shift, wider, labels, told", [
    (0, 0, "xx", 0), (2, 0, "xx", 1), (0, 3, "xx", 1), (2, 3, "xy", 0),  # y: the other lung
])  # fmt: skip
def test_two_annotation_files_of_one_label_are_told_if_they_differ(
    shift, wider, labels, told, tmp_path
):
    for number in range(3):
        put(tmp_path / f"images/{number}.png", chest(number))
    for name, label, x, right in (("a", labels[0], 8, 28), ("b", labels[1], 8 + shift, 28 + shift)):
        right += wider * (name == "b")
        ring = [x, 12, right, 12, right, 50, x, 50]
        listed = [{"id": n, "file_name": f"{n}.png", "height": 64, "width": 64} for n in range(3)]
        items = [{"id": n, "image_id": n, "category_id": 1, "segmentation": [ring]}
                 for n in range(3)]
        text = {"images": listed, "annotations": items, "categories": [{"id": 1, "name": label}]}
        put(tmp_path / f"{name}.json", json.dumps(text))
    values = ",".join(sorted({*labels}))
    notes = truth.find(pictures(tmp_path), tmp_path, mask_values=values).notes
    assert len(notes) == told
    assert all("for 3 pictures joined: a.json and b.json; if they are two" in n for n in notes)


def test_an_empty_mask_is_a_truth(tmp_path):
    asked, folder = made(tmp_path, lambda number: WHITE * (number != 1))
    found = truth.find(asked, folder)
    assert not found.read(asked[1], shape=SHAPE).any()
    (note,) = found.notes
    assert note.startswith("1 of 3 true masks are empty, such as ") and "P01.png: there" in note
    assert "Dice is 1 if nothing is predicted and 0 if anything is" in note


def test_truths_that_are_all_empty_are_told(tmp_path):
    found = truth.find(*made(tmp_path, 0 * WHITE))
    assert "3 of 3 true masks are empty" in found.notes[0]


def test_an_empty_mask_beside_that_of_the_other_lung_is_no_empty_truth(tmp_path):
    for number in range(3):
        put(tmp_path / f"images/P{number}.png", chest(number))
        put(tmp_path / f"masks/P{number}_left.png", WHITE)
        put(tmp_path / f"masks/P{number}_right.png", 0 * WHITE)
    assert truth.find(pictures(tmp_path), tmp_path / "masks").notes == []

LUNG = {"left": LEFT * np.uint8(255), "right": RIGHT * np.uint8(255)}


@pytest.mark.parametrize("left, right, told", [
    ("left", "left", "two masks of a picture are the same, for 3 pictures"),
    ("left", None, "masks of the left lung alone are compared; if both are to be found, add"),
    (None, "right", "masks of the right lung alone are compared"),
    ("left", "right", ""),  # as many pixels each
])  # fmt: skip
def test_one_lung_as_the_truth_of_both_is_told(left, right, told, tmp_path):
    for number in range(3):
        put(tmp_path / f"images/{number}.png", chest(number))
        for side, held in (("left", left), ("right", right)):
            if held:
                put(tmp_path / f"masks/{side}/{number}.png", LUNG[held])
    notes = truth.find(pictures(tmp_path), tmp_path / "masks").notes
    assert [note[: len(told)] for note in notes] == [told] * bool(told)
