"""Limits, exact conversion and silence."""

import logging
import threading
import warnings

import numpy as np
import pytest

from unet_lib.intake import raster


def test_a_size_is_judged_before_anything_is_decoded():
    raster.check_size("PNG", 25_000, 10_000)
    with pytest.raises(raster.Refused, match="PNG file that claims 25000 x 10001 pixels; at most"):
        raster.check_size("PNG", 25_000, 10_001)
    with pytest.raises(raster.Refused, match=r"damaged \(a header that claims 0 x 5 pixels\) BMP"):
        raster.check_size("BMP", 0, 5)


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int16, np.float32, np.float64])
def test_whole_numbers_of_any_type_keep_their_value(dtype):
    most = 32767 if dtype == np.int16 else 65535
    values = np.array([[0, 1, 4096, most]], dtype)
    kept = raster.as_16_bit("TIFF", values)
    assert kept.dtype == np.uint16 and kept.tolist() == [[0, 1, 4096, most]]


@pytest.mark.parametrize(
    "value, came",
    [(0.5, "0 to 0.5"), (-1, "-1 to 0"), (65536, "0 to 65536"), (np.nan, "some that are no number"),
     (np.inf, "some that are no number")],
)  # fmt: skip
def test_other_values_are_refused_with_the_remedy(value, came):
    with pytest.raises(raster.Refused) as caught:
        raster.as_16_bit("TIFF", np.array([0, value], np.float32))
    text = f"TIFF file with 32-bit values ({came}); expected whole numbers from 0 to 65535: scale"
    assert str(caught.value).startswith(text)


def test_inside_nothing_is_said_and_outside_all_is_as_before(recwarn, caplog):
    filters = list(warnings.filters)
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with raster.quiet():
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with raster.quiet():
        other.start()
        entered.wait(10)
        warnings.warn("name of a patient", UserWarning, stacklevel=1)
    # The other one is still inside: restored is what the first had found, by the last to leave.
    warnings.warn("name of a patient", UserWarning, stacklevel=1)
    logging.getLogger("pydicom").warning("name of a patient")
    leave.set()
    other.join()
    assert not recwarn.list and not caplog.records
    assert warnings.filters == filters
    logging.getLogger("pydicom").warning("heard")
    assert caplog.messages == ["heard"]
