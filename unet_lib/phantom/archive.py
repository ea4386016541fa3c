"""How other machines' pictures look: tone, sharpness, noise, margins, letters."""

import cv2
import numpy as np


def develop(frame, rng, image: np.ndarray) -> np.ndarray:
    """Another machine's picture: tone curve, shading, sharpness, noise."""
    light = np.float32(image) / 255
    if rng.random() < .5:  # a window: what is outside it is black or white
        low, high = np.percentile(light, [rng.uniform(0, 15), rng.uniform(85, 100)])
        light = np.clip((light - low) / max(high - low, .2), 0, 1).astype(np.float32)
    light = light ** np.float32(np.exp(rng.normal(0, .35)))
    ends = rng.normal(0, .12, (2, 2, 1)).astype(np.float32)
    light += cv2.resize(ends[..., 0], frame.shape[::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < .4:  # local contrast, as processing of digital detectors has it
        around = cv2.GaussianBlur(light, (0, 0), rng.uniform(8, 50) * frame.shape[1] / 512)
        light += np.float32(rng.uniform(-.3, 1)) * (light - around)
    if rng.random() < .5:
        light = frame.smooth(light, rng.uniform(.3, 2.5))
    light += np.float32(rng.uniform(0, .03)) * rng.standard_normal(frame.shape, np.float32)
    low, high = rng.uniform(0, .12), rng.uniform(.85, 1)
    light = low + (high - low) * np.clip(light, 0, 1)
    if rng.random() < .25:  # the same, driven to its limits in each part of the picture
        cells = int(rng.integers(3, 10))
        return cv2.createCLAHE(rng.uniform(1, 5), (cells, cells)).apply(np.uint8(255 * light))
    return np.uint8(255 * light)


def margins(frame, rng, image: np.ndarray, lung: np.ndarray) -> tuple:
    """Dark or bright margins beyond the collimator, and letters on the film; lungs end there."""
    height, width = frame.shape
    if rng.random() < .35:
        inset = np.maximum(rng.normal(.0, .06, 4), 0) * (width, height, width, height)
        turn = rng.normal(0, .01, 4) * width
        field = np.array([(inset[0], inset[1]), (width - inset[2] + turn[0], inset[1] + turn[1]),
                          (width - inset[2], height - inset[3]),
                          (inset[0] + turn[2], height - inset[3] + turn[3])])
        inside = cv2.fillPoly(np.zeros_like(image), [np.round(field).astype(np.int32)], 255)
        level = rng.uniform(0, 40) if rng.random() < .85 else rng.uniform(150, 255)
        image, lung = np.where(inside > 0, image, np.uint8(level)), lung & (inside > 0)
    for _ in range(rng.poisson(.8)):
        word = "".join(rng.choice(list("ABDEILNPRST0123456789"), rng.integers(1, 8)))
        place = (int(rng.choice([.02, .75]) * width + rng.uniform(0, .15) * width),
                 int(rng.choice([.03, .9]) * height + rng.uniform(0, .08) * height))
        cv2.putText(image, word, place, int(rng.integers(0, 8)), rng.uniform(.3, 1.2) * width / 512,
                    int(rng.choice([0, 230, 255])), 1 + int(rng.random() < .3), cv2.LINE_AA)
    return image, lung
