"""Calibration: cases worked out by hand, and probabilities spoiled on purpose."""

import numpy as np
import pytest

from unet_lib import calibration


def test_reliability_of_a_case_worked_out_by_hand():
    probabilities = np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 1.0, 0.0])
    masks = np.array([0, 1, 0, 0, 1, 0, 1, 0])
    found = calibration.reliability(masks, probabilities, bins=2)
    assert found["said"] == pytest.approx([0.4 / 5, 2.6 / 3])
    assert found["found"] == pytest.approx([1 / 5, 2 / 3])
    assert found["share"] == pytest.approx([5 / 8, 3 / 8])
    assert found["error"] == pytest.approx(5 / 8 * 0.12 + 3 / 8 * 0.2)


def test_temperature_recovers_the_one_that_spoiled_the_probabilities():
    rng = np.random.default_rng(0)
    honest = rng.beta(0.5, 0.5, 200_000)
    masks = rng.random(honest.size) < honest
    assert calibration.reliability(masks, honest)["error"] < 0.005
    for temperature in (0.4, 1.0, 2.5):
        spoiled = calibration.apply_temperature(honest, 1 / temperature)
        assert calibration.fit_temperature(masks, spoiled) == pytest.approx(temperature, rel=0.05)
        mended = calibration.apply_temperature(spoiled, temperature)
        assert calibration.reliability(masks, mended)["error"] < 0.005
    surer = calibration.apply_temperature(honest, 0.4)
    assert calibration.reliability(masks, surer)["error"] > 0.02
    assert ((calibration.apply_temperature(honest, 5) >= 0.5) == (honest >= 0.5)).all()
    assert np.isfinite(calibration.apply_temperature([0.0, 1.0], 2)).all()
    ends = calibration.apply_temperature([0.0, 1.0], 1)
    assert ends == pytest.approx([1e-7, 1 - 1e-7], rel=1e-9, abs=1e-12)  # kept off 0 and 1


def test_a_probability_on_the_edge_of_two_bins_is_in_the_upper_one():
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    found = calibration.reliability(np.array([0, 0, 0, 1, 1]), edges, bins=4)
    assert found["share"].tolist() == [0.2, 0.2, 0.2, 0.4]
    assert found["said"].tolist() == [0.0, 0.25, 0.5, 0.875]
    assert found["found"].tolist() == [0, 0, 0, 1]
    below = calibration.reliability(np.zeros(4), np.nextafter(edges[1:], 0), bins=4)
    assert below["share"].tolist() == [0.25] * 4
    assert np.allclose(below["said"], edges[1:])


def test_an_empty_bin_is_nan_and_counts_nothing():
    found = calibration.reliability(np.array([0, 1]), np.array([0.1, 0.1]))
    assert found["share"].tolist() == [0, 1] + [0] * 13
    assert np.isnan(found["said"]).tolist() == [True, False] + [True] * 13
    assert np.isnan(found["found"]).tolist() == [True, False] + [True] * 13
    assert found["error"] == pytest.approx(0.4)


@pytest.mark.parametrize(("says", "bound"), [(0.9, 0.05), (0.1, 20)])
def test_a_temperature_stays_between_a_twentieth_and_twenty(says, bound):
    masks = np.array([1, 0])  # always right: surer is better without end; always wrong: less sure
    probabilities = np.array([says, 1 - says])
    assert calibration.fit_temperature(masks, probabilities) == pytest.approx(bound, rel=1e-3)


def test_a_temperature_divides_the_logit():
    odds = 9 ** (1 / 2)
    assert calibration.apply_temperature([0.9, 0.5], 2) == pytest.approx([odds / (1 + odds), 0.5])
