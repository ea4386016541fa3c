"""Who trains and who validates."""

import hashlib
import random
import re

import numpy as np
import pytest
from made_trees import state

from unet_lib.intake import prepare, splits
from unet_lib.intake.faults import FAULTS

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
        ({"split": "random"}, "split must be 'stratified', 'last' or a fold, '2/5', got 'random'"),
        ({"split": "6/5"}, "split '6/5' is no fold: '1/5' to '5/5' are the folds of five"),
        ({"split": "0/5"}, "split '0/5' is no fold"),
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


# Groups: all films of a patient on one side

FILMS = [f"{patient:08d}_{film:03d}" for patient in range(10) for film in range(3)]
PATIENTS = {name: name[:8] for name in FILMS}


def sides(split, groups):
    return [{groups.get(i, i) for i in split[side]} for side in ("train", "validation")]


@pytest.mark.parametrize("rule", ["stratified", "last"])
@pytest.mark.parametrize("fraction", [0.05, 0.15, 0.3, 0.5, 0.9])
def test_a_group_stays_on_one_side(rule, fraction):
    split = splits.split_ids(FILMS, val_fraction=fraction, split=rule, groups=PATIENTS)
    train, validation = sides(split, PATIENTS)
    assert not train & validation and train and validation
    assert sorted(split["train"] + split["validation"]) == FILMS
    assert len(split["validation"]) % 3 == 0
    assert abs(len(split["validation"]) - fraction * 30) <= 1.5 + 0.5


@pytest.mark.parametrize("rule", ["stratified", "last"])
@pytest.mark.parametrize("seed", range(5))
def test_groups_of_one_change_nothing(rule, seed):
    alone = {name: f"patient {name}" for name in NAMES[::2]}  # the others have no group
    options = {"split": rule, "split_seed": seed}
    assert splits.split_ids(NAMES, **options, groups=alone) == splits.split_ids(NAMES, **options)


def test_the_size_comes_as_near_as_whole_groups_allow():
    sizes = {"a": 17, "b": 8, "c": 8, "d": 5, "e": 2}  # 40 ids
    groups = {f"{group}-{n}": group for group, size in sizes.items() for n in range(size)}
    for fraction, expected in [(0.25, 10), (0.05, 2), (0.375, 15), (0.325, 13), (0.9, 35)]:
        for seed in range(6):
            split = splits.split_ids(groups, val_fraction=fraction, split_seed=seed, groups=groups)
            assert len(split["validation"]) == expected, (fraction, seed)


def test_another_seed_takes_other_groups():
    taken = {
        tuple(splits.split_ids(FILMS, split_seed=seed, groups=PATIENTS)["validation"])
        for seed in range(8)
    }
    assert len(taken) > 3


def test_groups_keep_the_share_of_each_class():
    names = [f"{n // 2:03d}-{n % 2}_{int(n % 10 >= 8)}" for n in range(400)]  # a fifth is sick
    groups = {name: name[:3] for name in names}
    validation = splits.split_ids(names, groups=groups)["validation"]
    assert len(validation) == 60 and sum(name.endswith("_1") for name in validation) == 12


def test_a_huge_group_leaves_both_sides_something():
    groups = {f"{n}": "big" if n < 90 else "small" for n in range(100)}
    split = splits.split_ids(groups, val_fraction=0.5, groups=groups)
    assert sorted(map(len, split.values())) == [10, 90]


def test_one_group_for_all_cannot_be_split():
    text = "puts all 30 ids into one group, 'ward', which cannot be divided"
    with pytest.raises(ValueError, match=text):
        splits.split_ids(FILMS, groups=dict.fromkeys(FILMS, "ward"))


@pytest.mark.parametrize(
    "pattern, name, group",
    [(r"^(\d+)_", "0042_001", "0042"), (r"^\d+", "0042_001", "0042"),
     (r"^(?:p(\d+)|q(\w))", "qx_1", "x"), (r"(\w)(\d)$", "ab7", "b")],
)  # fmt: skip
def test_the_group_is_the_first_capture_or_the_whole_match(pattern, name, group):
    assert splits.group_of([name, "0_other", "p9"], pattern)[0][name] == group


def test_an_id_without_a_match_is_its_own_group_and_told():
    groups, unmatched = splits.group_of(["7_b", "7_a", "odd", "_empty"], r"^(\d*)_")
    assert groups == {"7_a": "7", "7_b": "7", "odd": "odd", "_empty": "_empty"}
    assert unmatched == ["_empty", "odd"]


@pytest.mark.parametrize(
    "pattern, text",
    [
        (
            "^(\\d+",
            r"group_by must be a regular expression, got .*: missing \).*takes the numb",
        ),
        ("^patient", r"group_by '\^patient' matches none of 30 ids, such as 00000000_000, "),
        ("^(0)", "group_by .* puts all 30 ids into one group, '0'.*leave it empty"),
    ],
)
def test_a_pattern_that_divides_nothing_is_refused(pattern, text):
    with pytest.raises(ValueError, match=text):
        splits.group_of(FILMS, pattern)


def test_shared_prefixes_name_the_films_of_each_patient():
    found = splits.shared_prefixes(FILMS)
    assert len(found) == 10 and found["00000003"] == [f"00000003_00{n}" for n in range(3)]
    assert splits.shared_prefixes(NAMES) == {}  # each prefix once
    assert splits.shared_prefixes([f"P{n}" for n in range(9)]) == {}
    assert splits.shared_prefixes(["COVID-1", "COVID-2"]) == {}  # shared by all: tells nothing
    mixed = ["a_1", "a-2", "b_1", "c"]
    assert splits.shared_prefixes(mixed) == {"a": ["a-2", "a_1"]}
    views = ["pt1_v0", "pt1_v1", "pt2_pa", "pt2-lat", "pt_3-a", "pt_3-b"]
    found = splits.shared_prefixes(views)
    assert {p: len(names) for p, names in found.items()} == {"pt1": 2, "pt2": 2, "pt_3": 2}


def test_the_remedy_for_near_copies_keeps_together_what_was_found():
    pattern = re.search("group_by: '(.+)'", FAULTS["near copies that share a prefix"].remedy)[1]
    for ids in (FILMS, ["000-0", "000-1", "001-0"], ["pt1_v0", "pt1_v1", "pt2_pa", "pt2-lat"]):
        groups, _ = splits.group_of(ids, pattern)
        for prefix, names in splits.shared_prefixes(ids).items():
            assert {groups[name] for name in names} == {prefix}


def test_what_one_class_lacks_the_other_makes_up_for():
    names = [f"{n // 3:02d}-{n % 3}_{int(n >= 30)}" for n in range(60)]  # 20 patients of 3 films
    split = splits.split_ids(names, val_fraction=14 / 60, groups={name: name[:2] for name in names})
    assert len(split["validation"]) == 15  # not 6 of each class


def test_neither_side_is_empty_where_nothing_would_be_nearest():
    groups = {f"{n}": "first" if n < 50 else "second" for n in range(100)}
    split = splits.split_ids(groups, val_fraction=0.05, groups=groups)
    assert sorted(map(len, split.values())) == [50, 50]


IN_THREES = {f"{n:03}_{n % 2}": f"patient {n // 3}" for n in range(103)}


@pytest.mark.parametrize("groups", [None, IN_THREES])
def test_folds_hold_each_pair_once_and_keep_groups_and_classes(groups):
    ids = [f"{n:03}_{n % 2}" for n in range(103)]
    folds = [splits.split_ids(ids, split=f"{k}/5", groups=groups, val_fraction=0.9)
             for k in range(1, 6)]
    assert sorted(i for fold in folds for i in fold["validation"]) == ids
    for fold in folds:
        assert sorted(fold["train"] + fold["validation"]) == ids
        assert 18 <= len(fold["validation"]) <= 24
        assert 0.4 < np.mean([i.endswith("_1") for i in fold["validation"]]) < 0.6
        if groups:
            sides = [{groups[i] for i in fold[side]} for side in ("train", "validation")]
            assert not sides[0] & sides[1]
    assert splits.split_ids(reversed(ids), split="2/5", groups=groups) == folds[1]
    assert splits.split_ids(ids, split="2/5", split_seed=1, groups=groups) != folds[1]


def test_more_folds_than_pairs_are_refused():
    with pytest.raises(ValueError, match="each side needs one"):
        splits.split_ids(["a", "b"], split="1/5")
