"""One file to pixels: every format becomes 8-bit grey, and what cannot is named."""

import cv2
import numpy as np
import pytest
from made_trees import GREY, finding, save

from unet_lib import datasets
from unet_lib.intake import formats, masks, prepare

COLOUR = np.stack([GREY, np.roll(GREY, 3, 0), np.roll(GREY, 3, 1)], -1)  # blue, green, red
LUMINANCE = COLOUR @ [0.114, 0.587, 0.299]
ALPHA = np.arange(480, dtype=np.uint16).reshape(20, 24, 1)


@pytest.mark.parametrize(
    "pixels, expected, fault",
    [
        (GREY, GREY, None),
        (GREY * np.uint16(257), GREY, "16-bit image"),
        (GREY.astype(np.uint16) * 16, GREY * (16 / 4095 * 255), "16-bit image"),
        (GREY.astype(np.uint16), GREY, "16-bit image"),
        (np.repeat(GREY[..., None], 3, -1), GREY, None),
        (COLOUR, LUMINANCE, "colour image"),
        (np.dstack([COLOUR, ALPHA.astype(np.uint8)]), LUMINANCE, "colour image"),
        (COLOUR * np.uint16(257), LUMINANCE, "16-bit image"),
        (np.dstack([COLOUR * np.uint16(257), ALPHA * 130]), LUMINANCE, "colour image"),
        (np.repeat(GREY[..., None], 4, -1), GREY, None),
    ],
    ids="grey8 grey16 grey12 grey8in16 rgb rgb-colour rgba rgb16 rgba16 rgba-grey".split(),
)
def test_every_pixel_format_becomes_8_bit_grey(pixels, expected, fault, source, target):
    path = save(source / "train_images/P_00_0/images/P_00_0.png", pixels)
    manifest = prepare.restructure(source, target)
    written = cv2.imread(str(target / "train/images/P_00_0.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint8 and written.shape == (20, 24)
    # A brightest pixel below 4095 or 65535 stretches the grey values by less than a hundredth.
    np.testing.assert_allclose(written, expected, atol=3 if "16" in str(fault) else 1)
    np.testing.assert_array_equal(formats.read(path, formats.judge_image)[0], written)
    noted = {f["fault"] for f in manifest["findings"] if f["count"]}
    assert fault in noted if fault else not noted


def test_the_real_depth_of_16_bits_is_told(source, target):
    shades = (np.arange(480).reshape(20, 24) * 4095 // 479).astype(np.uint16)
    save(source / "train_images/P_00_0/images/P_00_0.png", shades)
    found = finding(prepare.restructure(source, target), "16-bit image")
    assert found["examples"] == ["train_images/P_00_0/images/P_00_0.png (12 bits used)"]
    image = datasets.read_image(target / "train/images/P_00_0.png")
    assert image.min() == 0 and image.max() == 255 and abs(int(image[10, 0]) - 127.8) < 1


def test_a_large_image_is_read(tmp_path):
    large = np.tile(np.arange(4000, dtype=np.uint16) % 251, (4000, 1)).astype(np.uint8)
    path = save(tmp_path / "large.png", large)
    np.testing.assert_array_equal(formats.read(path, formats.judge_image)[0], large)


@pytest.mark.parametrize(
    "data, reason",
    [(b"", "empty file of 0 bytes"), (b"GIF89a", "not a PNG file"), (-40, "truncated PNG file"),
     ("flip", "damaged PNG file")],
)  # fmt: skip
def test_an_unreadable_file_is_named_with_the_reason(data, reason, tmp_path):
    path = save(tmp_path / "Röntgen.png", GREY)
    whole = path.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    path.write_bytes(whole[:data] if isinstance(data, int) else flipped if data == "flip" else data)
    for judge in (formats.judge_image, masks.judge_mask):
        with pytest.raises(ValueError, match=f"Röntgen.png cannot be read: {reason}"):
            formats.read(path, judge)
