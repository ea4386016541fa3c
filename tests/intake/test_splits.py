"""Who trains and who validates."""

import hashlib
import random

import pytest
from made_trees import state

from unet_lib.intake import prepare, splits

NAMES = [f"CHNCXR_{number:04d}_{int(number > 210)}" for number in range(500)]


def test_500_pairs_are_split_425_to_75_in_the_classes_proportion():
    split = splits.split_ids(NAMES)
    assert (len(split["train"]), len(split["validation"])) == (425, 75)
    assert sorted(split["train"] + split["validation"]) == NAMES
    sick = sum(name.endswith("_1") for name in split["validation"])
    assert abs(sick - 75 * 289 / 500) < 1


def test_the_split_is_blind_to_the_order_and_led_by_the_seed():
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    assert splits.split_ids(shuffled, split_seed=3) == splits.split_ids(NAMES, split_seed=3)
    assert splits.split_ids(NAMES, split_seed=3) != splits.split_ids(NAMES, split_seed=4)


def test_the_split_ranks_by_sha256_of_seed_and_id():
    names = [f"n{number}" for number in range(40)]  # no classes: one group
    ranked = sorted(names, key=lambda i: hashlib.sha256(f"7:{i}".encode()).hexdigest())
    assert splits.split_ids(names, split_seed=7)["validation"] == sorted(ranked[:6])


def test_the_last_15_percent_of_the_sorted_ids():
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    split = splits.split_ids(shuffled, split="last")
    assert split == {"train": NAMES[:425], "validation": NAMES[425:]}


@pytest.mark.parametrize("count, fraction, expected", [(2, 0.5, 1), (7, 0.3, 2), (120, 0.15, 18)])
def test_the_total_is_rounded_once_not_per_class(count, fraction, expected):
    names = [f"{number:03d}_{number % 2}" for number in range(count)]
    assert len(splits.split_ids(names, val_fraction=fraction)["validation"]) == expected


@pytest.mark.parametrize(
    "options, text",
    [
        ({"val_fraction": 0}, "val_fraction must lie between 0 and 1 .* got 0"),
        ({"val_fraction": 15}, "val_fraction must lie between 0 and 1 .* got 15"),
        ({"val_fraction": 0.01}, "val_fraction 0.01 of 8 pairs gives 0 for validation and 8"),
        ({"val_fraction": 0.99}, "gives 8 for validation and 0 for training; each side needs one"),
        ({"split": "random"}, "split must be 'stratified' or 'last', got 'random'"),
    ],
)
def test_an_impossible_split_is_refused(options, text, source, target):
    before = state(target.parents[1])
    with pytest.raises(ValueError, match=text):
        prepare.restructure(source, target, **options)
    assert state(target.parents[1]) == before


@pytest.mark.parametrize("fraction", [0, 1])
def test_the_ends_of_the_range_are_no_fraction(fraction):
    with pytest.raises(ValueError, match=f"must lie between 0 and 1 .* got {fraction}"):
        splits.split_ids(["a", "b", "c"], val_fraction=fraction)
