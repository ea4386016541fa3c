"""Where the body lies in the image.

Shapes are given in body coordinates: x = 0 is the midline, x = -1 and 1 are the outer edges of the
lungs (the patient's right is on the left of the image); y = 0 is the top of the lungs and y = 1
their lowest point, the costophrenic angle. Outlines hold few points; `smooth_corners` rounds them.
"""

import cv2
import numpy as np


class Frame:
    """Where the body lies in the image; draws areas and lines given in body coordinates."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int]):
        height, width = self.shape = shape
        child = max(0, rng.uniform(-6, 1))  # 0 adult ... 1 infant: short chest, low in the image
        scale = rng.normal(1, .07)
        self.unit = np.array([
            .365 * width * scale * rng.normal(1, .05),
            .67 * height * np.clip(scale * rng.normal(1 - .15 * child, .08), .65, 1.25),
        ])  # px per body unit
        top = np.clip(rng.normal(.135, .035) + .06 * child, .04, .3)
        self.origin = np.array([rng.normal(.507, .02) * width, top * height])
        self.angle = rng.normal(0, .02 + .02 * child)
        self.waves = rng.normal(0, .02, (2, 2, 2)), rng.uniform(0, 6.28, (2, 2, 2))

    def pixels(self, points) -> np.ndarray:
        """(..., 2) body coordinates -> (..., 2) int32 in 1/16 px: bent a little, scaled, turned."""
        points = np.asarray(points, float)
        height, phase = self.waves
        waves = height * np.sin(np.multiply.outer(points, [1.5, 3.])[..., None, :, :] + phase)
        bent = (points + waves.sum((-2, -1))) * self.unit
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.round((bent @ [[c, s], [-s, c]] + self.origin) * 16).astype(np.int32)

    def fill(self, outline, blur: float = 0) -> np.ndarray:
        """Inside of an outline with its corners rounded: (H, W) float32 in [0, 1]."""
        layer = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(layer, [self.pixels(smooth_corners(outline))], 255, cv2.LINE_AA, 4)
        return self.smooth(layer, blur)

    def lines(self, *strokes, blur: float = .7) -> np.ndarray:
        """Strokes (lines, width in body units, value), drawn in turn: (H, W) float32 in [0, 1].

        Lines are an array (N, P, 2): N lines of P points.
        """
        layer = np.zeros(self.shape, np.uint8)
        for lines, width, value in strokes:
            thickness = max(1, round(width * self.unit[0]))
            pixels = self.pixels(lines)
            cv2.polylines(layer, list(pixels), False, int(255 * value), thickness, cv2.LINE_AA, 4)
        return self.smooth(layer, blur)

    def smooth(self, layer: np.ndarray, blur: float) -> np.ndarray:
        """Blur by `blur` px per 512 px of width; uint8 in [0, 255] becomes float32 in [0, 1]."""
        if blur:
            layer = cv2.GaussianBlur(layer, (0, 0), blur * self.shape[1] / 512)
        return layer if layer.dtype == np.float32 else layer * np.float32(1 / 255)

    def noise(self, rng: np.random.Generator, cells: int) -> np.ndarray:
        """Smooth random field (H, W) float32, about normal, with so many cells a side."""
        coarse = rng.standard_normal((cells, cells), np.float32)
        return cv2.resize(coarse, self.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def bulge(self, area: np.ndarray, depth: float) -> np.ndarray:
        """Thickness in [0, 1] of a rounded body over an area, full at `depth` from its edge."""
        inside = cv2.copyMakeBorder(np.uint8(area > .5), 9, 9, 9, 9, cv2.BORDER_REPLICATE)
        edge = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)[9:-9, 9:-9]
        rise = np.minimum(edge / np.float32(depth * self.unit[0]), 1)
        return np.sqrt(rise * (2 - rise))


def smooth_corners(points, closed: bool = True) -> np.ndarray:
    """Cut all corners of (..., P, 2) points three times, which smooths them (Chaikin's way)."""
    points = np.asarray(points, float)
    for _ in range(3):
        after = np.roll(points, -1, -2)
        cut = np.stack([.75 * points + .25 * after, .25 * points + .75 * after], -2)
        cut = cut.reshape(*points.shape[:-2], -1, 2)
        ends = points[..., :1, :], cut[..., :-2, :], points[..., -1:, :]
        points = cut if closed else np.concatenate(ends, -2)
    return points
