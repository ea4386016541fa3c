"""What the values of a mask mean: lung or not."""

import numpy as np

from unet_lib.intake import formats


def judge_mask(pixels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Return the (H, W) uint8 mask in {0, 1} and its faults with a detail each.

    1 is above half of the mask's own range, so 0/1, 0/255 and anti-aliased masks all come out
    binary. A mask of one value only is all 0 if that value is 0, else all 1. The original never
    thresholds its masks.
    """
    grey, _ = formats.reduce_to_grey(pixels)
    low, high = int(grey.min()), int(grey.max())
    mask = (grey > (low + high) / 2 if low < high else grey > 0).astype(np.uint8)
    if low == high:
        return mask, {"full mask" if high else "empty mask": ""}
    if low or high not in (1, 255) or ((grey != low) & (grey != high)).any():
        return mask, {"mask neither 0/1 nor 0/255": f" ({low} to {high})"}
    return mask, {"mask of 0 and 1": ""} if high == 1 else {}
