"""What `draw(variety="wide")` adds: what other archives hold and the usual phantom does not.

The usual phantom is a well-positioned chest on one kind of film. Here are turned views, gas and fat
beside the lungs, whitened lungs whose mask runs through the white, and devices; `archive` adds the
looks of many machines.
"""

import cv2
import numpy as np

from unet_lib.phantom import anatomy, archive, film
from unet_lib.phantom.anatomy import SIDES, vary
from unet_lib.phantom.frame import smooth_corners

_PAD = [(-.1, .55), (.12, .62), (.2, .8), (.3, 1.), (.42, 1.25), (-.1, 1.3)]
_HILUM = [(-.1, .2), (.12, .24), (.2, .36), (.22, .44), (.16, .56), (-.1, .62)]
_ROUND = [(-1, 0), (-.7, -.7), (0, -1), (.7, -.7), (1, 0), (.7, .7), (0, 1), (-.7, .7)]
_LEVEL = [(-1, .6), (-1, -.2), (-.6, -.8), (0, -1), (.6, -.8), (1, -.2), (1, .6), (.4, .62),
          (-.4, .62)]


def take(frame, rng, label: int) -> tuple:
    """Take the picture of a body: image (H, W) uint8 and lungs (H, W) bool, as outlined by hand."""
    reframe(frame, rng)
    tissue = anatomy.soft_tissue(frame, rng) + breasts(frame, rng)
    recess = rng.uniform(.55, .95)
    lung, air, heart, abdomen = anatomy.chest(frame, rng, label, spread=1.6, recess=recess)
    hidden = middle(frame, rng)
    air = air * (1 - rng.uniform(.5, .9) * hidden)
    lung = outline(frame, rng, lung, np.maximum(heart, hidden), abdomen)
    belly = rng.uniform(.2, .9) * frame.bulge(abdomen, .3)
    depth = tissue * (1.4 + belly) + .3 * frame.bulge(heart, .4)
    depth += anatomy.bones(frame, rng, abdomen)
    inside = anatomy.inside(frame, rng, label)
    if rng.random() < .6:
        inside = inside + veils(frame, rng, lung)
    depth += np.minimum(1.2 * air, 1) * inside - rng.uniform(.65, 1.1) * air
    depth -= anatomy.gas(frame, rng)
    lost = beside(frame, rng) + gas(frame, rng, abdomen)
    depth += devices(frame, rng) - lost * (1 - np.minimum(1.5 * air, 1))
    image = film.stamp(rng, film.expose(frame, rng, depth))
    return archive.margins(frame, rng, archive.develop(frame, rng, image), lung)


def reframe(frame, rng) -> None:
    """Place the body with more freedom: turned, bent, larger or smaller, off the middle."""
    frame.angle += rng.normal(0, .03)
    frame.unit = frame.unit * np.clip(rng.normal(1, .06, 2), .8, 1.2)
    frame.origin = frame.origin + rng.normal(0, .03, 2) * frame.shape[::-1]
    frame.waves = frame.waves[0] * rng.uniform(.5, 1.8), frame.waves[1]


def middle(frame, rng) -> np.ndarray:
    """Share of what hides the lungs beside the midline: fat pads, hila, a wide mediastinum."""
    hidden = 0
    for side in SIDES:
        if rng.random() < .8:
            pad = vary(rng, _PAD, .02, side=side) * (rng.uniform(.5, 1.05), 1)
            hidden = np.maximum(hidden, frame.fill(pad + (0, rng.uniform(-.05, .2)), 2))
        if rng.random() < .5:
            root = vary(rng, _HILUM, .02, side=side) * (rng.uniform(.7, 1.3), 1)
            hidden = np.maximum(hidden, frame.fill(root + (0, rng.uniform(-.05, .08)), 2))
    return np.float32(hidden) if np.ndim(hidden) else np.zeros(frame.shape, np.float32)


def outline(frame, rng, lung, hidden: np.ndarray, abdomen: np.ndarray) -> np.ndarray:
    """Lungs as people outline them: out to the ribs, a little off heart and domes; (H, W) bool."""
    grown = [grow(frame, area, rng.uniform(0, most)) for area, most in
             ((lung, .03), (hidden > .5, .04), (abdomen > .5, .06))]
    return grown[0] & ~grown[1] & ~grown[2]


def grow(frame, area: np.ndarray, radius: float) -> np.ndarray:
    """Add what lies within a radius in body units of an area: (H, W) bool."""
    far = cv2.distanceTransform(np.uint8(~area), cv2.DIST_L2, cv2.DIST_MASK_5)
    return far <= radius * frame.unit[0]


def blob(frame, rng, centre, size, blur: float, outline=_ROUND) -> np.ndarray:
    """A turned, uneven spot: (H, W) float32 in [0, 1]."""
    shape = vary(rng, outline, .15) * size
    turn = rng.normal(0, .3)
    c, s = np.cos(turn), np.sin(turn)
    return frame.fill(shape @ [[c, s], [-s, c]] + centre, blur)


def beside(frame, rng) -> np.ndarray:
    """Attenuation that is missing beside the lungs: fat of flanks and armpits, air in folds."""
    total = np.zeros(frame.shape, np.float32)
    for side in SIDES:
        for _ in range(rng.integers(0, 4)):  # armpit and neck
            centre = (side * rng.uniform(1.02, 1.5), rng.uniform(-.1, .6))
            if rng.random() < .25:
                centre = (side * rng.uniform(.1, .6), rng.uniform(-.35, -.08))
            size = rng.uniform(.02, .12, 2) * (1, 1.6)
            total = np.maximum(total, rng.uniform(.1, .5) * blob(frame, rng, centre, size, 3))
        for _ in range(rng.integers(0, 3)):  # flank
            x, y = rng.uniform(.9, 1.15), rng.uniform(.8, 1.1)
            way = [(side * x, y), (side * (x - rng.uniform(-.05, .12)), y + rng.uniform(.1, .6))]
            strip = frame.lines(([way], rng.uniform(.02, .12), 1), blur=rng.uniform(1, 6))
            total = np.maximum(total, rng.uniform(.1, .5) * strip)
    return total


def gas(frame, rng, abdomen: np.ndarray) -> np.ndarray:
    """Attenuation that is missing under the domes: stomach with its level, bowel, mottled gas."""
    below = frame.smooth(np.uint8(255 * ~grow(frame, abdomen < .5, rng.uniform(0, .06))), 1)
    total = np.zeros(frame.shape, np.float32)
    if rng.random() < .6:
        centre, size = (rng.uniform(.2, .85), rng.uniform(.9, 1.15)), rng.uniform(.08, .38, 2)
        outline = _LEVEL if rng.random() < .6 else _ROUND
        spot = blob(frame, rng, centre, size * (1, .6), rng.uniform(.7, 2.5), outline)
        total = rng.uniform(.3, 1.3) * spot
    if rng.random() < .4:  # bowel: a chain of pouches
        start, step = rng.uniform((-1, .95), (1, 1.4)), rng.uniform((-.16, -.06), (.16, .06))
        for k in range(rng.integers(2, 8)):
            spot = blob(frame, rng, start + k * step, rng.uniform(.05, .12, 2), 1.5)
            total = np.maximum(total, rng.uniform(.3, .9) * spot)
    if rng.random() < .4:  # mottled
        spots = rng.uniform((-.9, 1.05), (.9, 1.7), (30, 1, 2)) + rng.normal(0, .02, (30, 2, 2))
        total = np.maximum(total, rng.uniform(.1, .4) * frame.lines((spots, .05, 1), blur=2))
    return total * below


def veils(frame, rng, lung: np.ndarray) -> np.ndarray:
    """Attenuation of smooth whitening that the mask runs through: zones, rims, whole lungs."""
    total = .12 * rng.random() * np.abs(frame.noise(rng, rng.integers(3, 12)))
    y = (np.arange(frame.shape[0], dtype=np.float32)[:, None] - frame.origin[1]) / frame.unit[1]
    for side in SIDES:
        x = (np.arange(frame.shape[1], dtype=np.float32) - frame.origin[0]) / frame.unit[0]
        half = np.float32(1 / (1 + np.exp(-12 * (side * x - .05))))[None]
        kind, strength = rng.random(), rng.uniform(.1, .9)
        if kind < .1:  # lower zone
            depth = (y - rng.uniform(.2, .8)) * rng.uniform(1, 3)
            total += .4 * strength * half * np.clip(depth, 0, 1)
        elif kind < .2:  # upper zone
            total += .6 * strength * half * np.clip((rng.uniform(.1, .5) - y) * 4, 0, 1)
        elif kind < .27:  # all of it
            total += .4 * strength * half
        for _ in range(rng.poisson(.5)):
            centre = (side * rng.uniform(.2, .95), rng.uniform(0, 1.1))
            size, blur = rng.uniform(.06, .35, 2), rng.uniform(4, 16)
            total += rng.uniform(.1, .5) * blob(frame, rng, centre, size, blur)
    if rng.random() < .25:  # along the wall
        rim = 1 - frame.bulge(lung, rng.uniform(.05, .2))
        total += rng.uniform(.1, .6) * frame.smooth(rim, 4)
    return np.float32(total)


def breasts(frame, rng) -> np.ndarray:
    """Thickness of breasts with a sharp lower fold, and of muscles over the outer chest."""
    total = np.zeros(frame.shape, np.float32)
    if rng.random() < .4:
        strength, place = rng.uniform(.1, .6), (rng.uniform(.5, .75), rng.uniform(.7, 1.05))
        size = rng.uniform((.3, .2), (.55, .45))
        for side in SIDES:
            fold = frame.fill(vary(rng, _ROUND, .05) * size + np.array(place) * (side, 1), 1)
            total += strength * frame.bulge(fold, rng.uniform(.15, .5))
    if rng.random() < .3:
        for side in SIDES:
            way = [(side * 1.3, rng.uniform(.1, .4)), (side * rng.uniform(.6, .9), .5)]
            total += rng.uniform(.05, .25) * frame.lines(([way], .4, 1), blur=12)
    return total


def devices(frame, rng) -> np.ndarray:
    """Attenuation of cables, electrodes, tubes, clips, buttons and chains."""
    total = np.zeros(frame.shape, np.float32)
    for _ in range(rng.poisson(.3)):
        ends = rng.uniform((-1.2, -.4), (1.2, 1.4), (3, 2))
        way = smooth_corners(ends[None], False)
        total += rng.uniform(.1, .8) * frame.lines((way, rng.uniform(.006, .018), 1), blur=.7)
    for _ in range(rng.poisson(.5)):
        spot, size = rng.uniform((-1.2, -.2), (1.2, 1.3)), rng.uniform(.015, .09)
        total += rng.uniform(.2, 1.5) * frame.fill(np.array(_ROUND) * size + spot, .6)
    return total
