"""What the values of a mask mean."""

import cv2
import numpy as np
import pytest
from made_trees import BOX, GREY, SOFT, save

from unet_lib import datasets
from unet_lib.intake import formats, masks, prepare


@pytest.mark.parametrize(
    "pixels, expected, fault",
    [
        (BOX * np.uint8(255), BOX, None),
        (BOX * np.uint8(1), BOX, "mask of 0 and 1"),
        (SOFT.astype(np.uint8), SOFT > 127.5, "mask neither 0/1 nor 0/255"),
        (BOX * np.uint8(128), BOX, "mask neither 0/1 nor 0/255"),
        (BOX * np.uint16(65535), BOX, "mask neither 0/1 nor 0/255"),
        (np.repeat((BOX * np.uint8(255))[..., None], 3, -1), BOX, None),
        (np.dstack([BOX * np.uint8(255)] * 3 + [np.full_like(GREY, 255)]), BOX, None),
    ],
    ids="0/255 0/1 soft 0/128 16-bit rgb rgba".split(),
)
def test_every_mask_becomes_binary(pixels, expected, fault, source, target):
    path = save(source / "train_images/P_00_0/masks/P_00_0.png", pixels)
    manifest = prepare.restructure(source, target)
    written = cv2.imread(str(target / "train/masks/P_00_0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, expected * 255)
    np.testing.assert_array_equal(formats.read(path, masks.judge_mask)[0], expected)
    np.testing.assert_array_equal(datasets.read_mask(target / "train/masks/P_00_0.png"), expected)
    assert formats.read(path, masks.judge_mask)[0].dtype == np.uint8
    noted = [f["fault"] for f in manifest["findings"] if f["count"]]
    assert noted == [fault] * (fault is not None)


def test_a_pixel_at_half_of_the_range_is_background():
    pixels = np.array([[0, 127, 128, 254]], np.uint8)
    assert masks.judge_mask(pixels)[0].tolist() == [[0, 0, 1, 1]]
