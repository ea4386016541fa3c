"""What lies along the edge of a mask: a frame of 0 around it is none of it."""

import cv2
import numpy as np

_HOLES = 0.15  # of its area may be enclosed by a mask that is no inverted one
_FRAME = 8  # a frame takes less than this part of a side, at each edge


def along(codes: np.ndarray, places: np.ndarray, labels: tuple) -> tuple[np.ndarray, bool]:
    """Return the codes along the edge of a mask, and whether a frame was left out.

    A frame is what holds 0 alone: a few lines at each edge, or whatever lies around a shape with
    large holes, as an inverted mask is in a round or broad field. What a soft border or JPEG makes
    of a 0 counts as one.

    Args:
        codes: (H, W) uint8 or uint16.
        places: the place of each code's label among the labels.
        labels: what the mask holds.

    Returns:
        The codes, (1, N), and whether there was a frame.
    """
    size = codes.size
    if 0 in labels:
        drawn = (np.asarray(places) != labels.index(0))[codes]
        for _ in range(4):  # a quarter turn each time, until all sides were at the top
            few = drawn.any(1)[: len(drawn) // _FRAME]
            first = few.argmax() if few.size else 0  # 0 as well where none of them is drawn in
            codes, drawn = np.rot90(codes[first:]), np.rot90(drawn[first:])
        step = max(1, min(drawn.shape) // 128)
        rim = _rim(np.ascontiguousarray(drawn[::step, ::step]))
        if rim.any():
            return codes[::step, ::step][rim][None], True
    edge = np.concatenate([codes[0], codes[-1], codes[1:-1, 0], codes[1:-1, -1]])[None]
    return edge, codes.size < size


def _rim(drawn: np.ndarray) -> np.ndarray:
    """Return the pixels of a shape next to what lies around it, if it encloses large holes."""
    _, parts = cv2.connectedComponents((~drawn).astype(np.uint8), connectivity=4)
    outside = np.isin(parts, np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    outside &= ~drawn
    if (~drawn & ~outside).sum() <= _HOLES * drawn.sum():
        return np.zeros_like(drawn)
    return drawn & (cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
