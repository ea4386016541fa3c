"""The Rand error against cases counted by hand, and what counts as a cell."""

import sys

import numpy as np
import pytest

from unet_lib import workspace

sys.path.insert(0, str(workspace.PROJECT / "tools"))
import rand_error

TWO = np.array([[1, 1, 2, 2]])  # one pair in each cell: 2 pairs


@pytest.mark.parametrize(("found", "error"), [
    ([[1, 1, 2, 2]], 0), ([[7, 7, 0, 0]], 0),  # numbers do not matter, nor does 0
    ([[1, 1, 1, 1]], 1 - 2 * 2 / (2 + 6)),  # merged: of its 6 pairs 2 are true
    ([[1, 1, 2, 3]], 1 - 2 * 1 / (2 + 1)),  # split: 1 of 2 pairs is left
    ([[1, 2, 1, 2]], 1),
    ([[1, 2, 2, 2]], 1 - 2 * 1 / (2 + 3)),
])  # fmt: skip
def test_cases_counted_by_hand(found, error):
    assert rand_error.adapted_rand_error(TWO, np.array(found)) == pytest.approx(error)


def test_pixels_of_a_true_membrane_are_left_out():
    truth, found = np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 1, 2, 2]])
    assert rand_error.adapted_rand_error(truth, found) == 0
    found[0, 3] = 1
    assert rand_error.adapted_rand_error(truth, found) == pytest.approx(1 - 2 * 1 / (2 + 3))


def test_cells_meet_at_sides_and_grow_over_membranes():
    membrane = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    found = rand_error.cells(membrane)
    assert found.max() == 2 and found[0, 0] != found[1, 1]  # they touch at a corner only
    assert (found == 0).tolist() == (membrane == 1).tolist()
    grown = rand_error.cells(membrane, grow=True)
    assert (grown > 0).all() and (grown == found)[membrane == 0].all()
    assert not rand_error.cells(np.ones((3, 3)), grow=True).any()


def test_a_thick_membrane_costs_nothing_and_a_gap_in_it_much():
    truth = np.zeros((40, 41), int)
    truth[:, 20] = 1
    thick = truth.copy()
    thick[:, 18:23] = 1
    gap = truth.copy()
    gap[10:12] = 0
    real = rand_error.cells(truth)
    errors = [rand_error.adapted_rand_error(real, rand_error.cells(one, grow=True))
              for one in (truth, thick, gap)]
    assert errors[0] == errors[1] == 0 and errors[2] == pytest.approx(1 / 3, abs=0.01)


def test_a_gap_is_closed_by_a_lower_threshold(monkeypatch):
    mask = np.zeros((40, 41), np.uint8)
    mask[:, 20] = 1
    sure = np.where(mask, np.float32(0.9), np.float32(0))
    sure[10:12, 20] = 0.25
    monkeypatch.setattr(rand_error.prediction, "predict", lambda unet, image: sure)
    found = rand_error.measure(None, [(mask, mask)] * 2)
    assert found[0.2] == (1, 0) and found[0.01] == (1, 0)
    assert found[0.5][0] == pytest.approx(38 / 39)
    assert found[0.5][1] == pytest.approx(1 / 3, abs=0.01)
    assert list(found) == sorted(rand_error.THRESHOLDS)
