"""Measures against cases computed by hand, by counting, and by another library."""

import itertools

import numpy as np
import pytest
import surface_distance
from scipy import ndimage
from scipy.spatial import distance

from unet_lib import metrics

TRUTH = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
GUESS = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]])


def test_score_equals_the_numbers_worked_out_by_hand():
    # 3 hits, 2 false alarms, 3 misses, 8 correct background pixels
    assert metrics.confusion(TRUTH, GUESS) == (3, 2, 3, 8)
    expected = {
        "dice": 6 / 11,
        "iou": 3 / 8,
        "precision": 3 / 5,
        "recall": 3 / 6,
        "accuracy": 11 / 16,
    }
    assert metrics.score(TRUTH, GUESS) == pytest.approx(expected)
    assert metrics.dice(TRUTH, GUESS) == pytest.approx(6 / 11)


def test_score_agrees_with_counting_pixel_by_pixel():
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth, guess = rng.random((2, 7, 9)) < rng.random()
        pairs = list(zip(truth.ravel().tolist(), guess.ravel().tolist(), strict=True))
        both, either = sum(a and b for a, b in pairs), sum(a or b for a, b in pairs)
        score = metrics.score(truth, guess)
        assert score["iou"] == pytest.approx(both / either if either else 1.0)
        assert score["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
        assert score["dice"] == pytest.approx(2 * score["iou"] / (1 + score["iou"]))


@pytest.mark.parametrize(
    ("truth", "guess", "expected"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)]
)
def test_empty_masks_follow_the_stated_rule(truth, guess, expected):
    score = metrics.score(np.full((3, 3), truth), np.full((3, 3), guess))
    assert [score[m] for m in ("dice", "iou", "precision", "recall")] == [expected] * 4
    assert score["accuracy"] == float(truth == guess)


def test_every_pair_of_masks_of_three_pixels_scores_as_sets_do():
    kinds = [np.array([bits], bool) for bits in itertools.product((0, 1), repeat=3)]
    for truth, guess in itertools.product(kinds, kinds):
        there, found = set(np.flatnonzero(truth)), set(np.flatnonzero(guess))
        both, either = len(there & found), len(there | found)
        agree = float(not either)  # both empty: they agree; a whole of 0 otherwise: all is missed
        wanted = {
            "dice": 2 * both / (len(there) + len(found)) if either else 1.0,
            "iou": both / either if either else 1.0,
            "precision": both / len(found) if found else agree,
            "recall": both / len(there) if there else agree,
            "accuracy": (3 - either + both) / 3,
        }
        assert metrics.score(truth, guess) == pytest.approx(wanted)


def test_other_shapes_and_values_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"one shape, got \(3, 3\) and \(2, 3\); resize"):
        metrics.dice(np.zeros((3, 3)), np.zeros((2, 3)))
    message = r"prediction must hold only 0 and 1, .* to 0.5; threshold"
    with pytest.raises(ValueError, match=message):
        metrics.dice(np.zeros((3, 3)), np.full((3, 3), 0.5))
    with pytest.raises(ValueError, match="mask must hold only 0 and 1, got values from 255 to 255"):
        metrics.dice(np.full((3, 3), 255), np.zeros((3, 3)))


def test_uint8_masks_do_not_overflow():
    full = np.ones((40, 40), np.uint8)
    assert metrics.confusion(full, full) == (1600, 0, 0, 0)


def test_summary_has_mean_median_and_an_interval_that_covers_the_mean():
    values = [0.5, 0.6, 0.9, 0.95, 1.0]
    summary = metrics.summarize(values, seed=1)
    assert summary["mean"] == pytest.approx(0.79) and summary["median"] == 0.9 and summary["n"] == 5
    assert summary["low"] < summary["mean"] < summary["high"]
    # the bootstrap's spread of the mean is close to the textbook standard error
    half_width = (summary["high"] - summary["low"]) / 2
    assert half_width == pytest.approx(1.96 * np.std(values) / np.sqrt(5), rel=0.15)
    assert summary == metrics.summarize(values, seed=1)
    assert metrics.summarize([0.7])["low"] == metrics.summarize([0.7])["high"] == 0.7


def test_the_interval_of_two_values_reaches_from_one_to_the_other():
    # a quarter of the resamples draw the lower one twice, a quarter the higher one
    found = metrics.summarize([0.8, 0.4])
    assert found == pytest.approx({"mean": 0.6, "median": 0.6, "low": 0.4, "high": 0.8, "n": 2})


def square(top, left, side=4, size=16):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_surface_measures_equal_a_case_worked_out_by_hand():
    # Two 4 x 4 squares, one a column further right, with 12 outline pixels each. Of the left one,
    # the 6 in top and bottom row that both share lie at 0; the 4 of its left column and the 2 inner
    # ones of its right column at 1. From the right one, the same mirrored.
    truth, guess = square(4, 4), square(4, 5)
    assert metrics.outline(truth).sum() == metrics.outline(guess).sum() == 12
    one_way, back = metrics.surface_distances(truth, guess)
    assert sorted(one_way) == sorted(back) == [0] * 6 + [1] * 6
    score = metrics.surface_score(truth, guess, tolerance=0.5)
    assert score == {"hd95": 1.0, "assd": 0.5, "surface_dice": 0.5}
    assert metrics.surface_score(truth, guess, tolerance=1)["surface_dice"] == 1.0


def test_as_many_pixels_wrong_as_right_are_still_measured():
    """Only a mask without a pixel has no outline; one of a single pixel has."""
    half = metrics.surface_score(square(4, 4), square(4, 6), tolerance=1)
    assert half["hd95"] == 2 and 0 < half["surface_dice"] < 1
    for truth, guess, away in ((square(4, 4, side=1), square(4, 4, side=1), 0),
                               (square(4, 4, side=1), square(4, 7, side=1), 3)):
        score = metrics.surface_score(truth, guess, tolerance=1)
        assert score == {"hd95": away, "assd": away, "surface_dice": float(away == 0)}


def test_hd95_takes_the_worse_direction():
    truth = square(4, 4)
    guess = truth | square(4, 12, side=3)  # a false part, eight columns away
    one_way, back = metrics.surface_distances(truth, guess)
    assert one_way.max() == 0 and np.percentile(back, 95) == pytest.approx(6.55, abs=0.5)
    score = metrics.surface_score(truth, guess, tolerance=1)
    assert score["hd95"] == np.percentile(back, 95)
    assert metrics.surface_score(guess, truth, tolerance=1) == score  # symmetric


def blobs(seed, size=60):
    noise = np.random.default_rng(seed).normal(size=(2, size, size))
    field = ndimage.gaussian_filter(noise, (0, 5, 5))
    return field[0] > 0.02, field[0] + 0.4 * field[1] > 0.02


def test_surface_measures_agree_with_all_pairs_of_outline_pixels():
    for seed in range(5):
        truth, guess = blobs(seed)
        points = []
        for mask in (truth, guess):  # a pixel whose four neighbours are not all lung
            padded = np.pad(mask, 1)
            inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
            points.append(np.argwhere(mask & ~inner))
        table = distance.cdist(*points)
        ways = table.min(axis=1), table.min(axis=0)
        score = metrics.surface_score(truth, guess, tolerance=2)
        assert score["hd95"] == pytest.approx(max(np.percentile(way, 95) for way in ways))
        assert score["assd"] == pytest.approx(np.concatenate(ways).mean())
        assert score["surface_dice"] == pytest.approx((np.concatenate(ways) <= 2).mean())


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning:surface_distance")
def test_surface_measures_agree_with_another_library():
    # It runs along the pixels' corners and weighs each piece by its length, so not to the digit.
    for seed in range(5):
        truth, guess = blobs(seed, size=120)
        other = surface_distance.compute_surface_distances(truth, guess, (1, 1))
        ours = metrics.surface_score(truth, guess, tolerance=2)
        assert ours["hd95"] == pytest.approx(
            surface_distance.compute_robust_hausdorff(other, 95), abs=1, rel=0.1
        )
        theirs = np.mean(surface_distance.compute_average_surface_distance(other))
        assert ours["assd"] == pytest.approx(theirs, abs=0.5)
        overlap = surface_distance.compute_surface_dice_at_tolerance(other, 2)
        assert ours["surface_dice"] == pytest.approx(overlap, abs=0.05)


def test_surface_measures_of_empty_masks_follow_the_stated_rule():
    empty, full = np.zeros((30, 40)), np.ones((30, 40))
    agree = {"hd95": 0.0, "assd": 0.0, "surface_dice": 1.0}
    missed = {"hd95": 50.0, "assd": 50.0, "surface_dice": 0.0}
    assert metrics.surface_score(empty, empty, tolerance=1) == agree
    assert metrics.surface_score(empty, full, tolerance=1) == missed
    assert metrics.surface_score(full, empty, tolerance=1) == missed
    assert metrics.surface_score(full, full, tolerance=1) == agree
    with pytest.raises(ValueError, match="mask and prediction must have one shape"):
        metrics.surface_score(full, full[:5], tolerance=1)


def test_each_class_is_scored_against_all_others():
    mask = np.array([[1, 1, 2, 0], [1, 1, 2, 0]])
    guess = np.array([[1, 1, 1, 0], [1, 1, 2, 0]])
    one, two, three = (metrics.score(mask == n, guess == n) for n in (1, 2, 3))
    assert (one["dice"], two["dice"], three["dice"]) == (8 / 9, 2 / 3, 1.0)  # of 3 there is none
    assert one["precision"] == 4 / 5 and two["recall"] == 1 / 2
    with pytest.raises(ValueError, match="of several classes compare one at a time, mask == 1"):
        metrics.score(mask, guess)
