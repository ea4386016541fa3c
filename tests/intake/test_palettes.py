"""A palette may hide that two labels differ; then the mask is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from test_values import BOTH, LEFT, RIGHT

from unet_lib.intake import formats

LABELS = np.uint8(1) * RIGHT + np.uint8(2) * LEFT


def drawn(numbers, colours, kind="PNG", **more):
    picture = Image.fromarray(numbers)
    picture.putpalette(sum(colours, ()))
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP"])
def test_two_labels_of_one_colour_are_refused(kind):
    for colours, text in (([BLACK, BLACK, RED], "0 and 1"), ([BLACK, RED, RED], "1 and 2")):
        made = drawn(LABELS, colours, kind)
        with pytest.raises(ValueError, match=f"one colour for the numbers {text}; save its num"):
            formats.decode_mask(made)
        formats.decode(made)  # as a picture it is what one sees


def test_colours_that_differ_are_read_and_those_that_no_pixel_has_play_no_part():
    for colours in ([BLACK, WHITE, RED], [BLACK, WHITE, RED, RED, BLACK]):
        assert formats.decode_mask(drawn(LABELS, colours)).pixels.shape == (*BOTH.shape, 3)
    assert formats.decode_mask(drawn(BOTH, [BLACK, WHITE])).pixels.max() == 255


def test_transparency_tells_two_numbers_apart():
    made = formats.decode_mask(drawn(BOTH, [WHITE, WHITE], transparency=0))
    assert ((made.alpha > 0) == BOTH).all()
