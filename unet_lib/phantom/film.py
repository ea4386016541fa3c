"""From attenuation to a picture with its marks, and from the lungs in sight to a traced mask."""

import cv2
import numpy as np


def expose(frame, rng, depth: np.ndarray) -> np.ndarray:
    """Noise, sharpening and display curve: attenuation -> (H, W) uint8."""
    depth = np.maximum(frame.smooth(depth.astype(np.float32), .4), 0) * rng.normal(1, .06)
    small = cv2.resize(depth, None, fx=.125, fy=.125, interpolation=cv2.INTER_AREA)
    around = cv2.resize(frame.smooth(small, 3), depth.shape[::-1])
    depth += rng.uniform(.05, .25) * (depth - around)
    depth += rng.uniform(.015, .035) * rng.standard_normal(frame.shape, np.float32)
    floor = 5 + 90 * rng.beta(1, 6) + 3 * frame.noise(rng, 5)  # scattered rays
    dark = np.exp(-np.maximum(depth, 0) ** rng.uniform(1, 1.4))
    image = floor * dark + 244 * (1 - dark)
    image += rng.uniform(1, 2.5) * rng.standard_normal(frame.shape, np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def stamp(rng, image: np.ndarray) -> np.ndarray:
    """Add the side marker and the black edges of the collimator."""
    height, width = image.shape
    words, x = (["L", "pa"], rng.uniform(.75, .93))
    if rng.random() < .25:
        words, x = (["R"], rng.uniform(.02, .2))
    y, scale = rng.uniform(.05, .12), rng.uniform(.5, .9) * width / 512
    for line, word in enumerate(words):
        place, size = (int(x * width), int((y + .05 * line) * height)), scale * (1 - .4 * line)
        thickness = 1 + int(size > .6)
        cv2.putText(image, word, place, cv2.FONT_HERSHEY_SIMPLEX, size, 245, thickness, cv2.LINE_AA)
    left, top, right, bottom = np.maximum(rng.normal(0, .006, (4, 2)), 0) * width
    corners = [(left[0], top[0]), (width - right[0], top[1]),
               (width - right[1], height - bottom[0]), (left[1], height - bottom[1])]
    field = cv2.fillPoly(np.zeros_like(image), [np.round(corners).astype(np.int32)], 255)
    return cv2.min(image, field)


def trace(rng, lung: np.ndarray) -> np.ndarray:
    """Trace the two lungs as by hand: polygons of few, slightly misplaced corners.

    Returns:
        (H, W) uint8: 1 on the lung whose middle lies further left in the picture (the patient's
        right one), 2 on the other; a single one is the right lung if it lies in the left half.
    """
    mask = np.zeros(lung.shape, np.uint8)
    scale, step = lung.shape[1] / 512, rng.uniform(1, 4)
    outlines = cv2.findContours(np.uint8(lung), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    kept = sorted(outlines, key=cv2.contourArea)[-2:]
    places = [outline[..., 0].mean() for outline in kept]
    middle = np.mean(places) if len(kept) > 1 else lung.shape[1] / 2
    for outline, place in zip(kept, places, strict=True):
        corners = cv2.approxPolyDP(outline, step * scale, True)
        corners = corners + rng.normal(0, 1.2 * scale, corners.shape)
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1 if place < middle else 2)
    return mask
