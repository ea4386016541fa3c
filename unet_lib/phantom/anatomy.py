"""The parts of a chest: each a thickness or an attenuation along the ray, (H, W) float32."""

import numpy as np

from unet_lib.phantom.frame import smooth_corners

SIDES = (-1, 1)  # the patient's right and left
_LUNG = [(.12, .12), (.14, .02), (.32, -.03), (.54, .0), (.74, .12), (.87, .30), (.945, .53),
         (.98, .75), (1., .93), (1., 1.07), (.9, 1.2), (.5, 1.2), (.17, 1.2), (.13, .6)]
_HEART = [(-.11, .05), (.11, .05), (.13, .15), (.19, .20), (.20, .26), (.16, .31), (.18, .38),
          (.26, .46), (.36, .55), (.47, .67), (.53, .80), (.53, .94), (.3, 1.), (-.1, .99),
          (-.28, .93), (-.29, .78), (-.22, .60), (-.18, .44), (-.15, .2)]
_DOME = [(1.3, 1.3), (1.04, 1.04), (.98, 1.), (.82, .91), (.6, .855), (.4, .85), (.2, .88),
         (0, .93), (0, 2.2), (1.3, 2.2)]
_TORSO = [(.3, -.7), (.29, -.26), (.36, -.18), (.75, -.11), (1.2, -.07), (1.5, .06), (1.5, .3),
          (1.36, .45), (1.24, .60), (1.17, .78), (1.1, 1.), (1.05, 1.3), (1.08, 2.)]
_HEAD = [(-.35, -1.4), (-.4, -.9), (-.3, -.55), (0, -.4), (.3, -.55), (.4, -.9), (.35, -1.4)]
_ARM = [(1.15, .05), (1.5, 0), (1.72, .15), (2.1, .9), (2.2, 2), (1.7, 2), (1.65, .9), (1.3, .5)]
_BREAST = [(-1, -1), (1, -1), (1.1, 0), (0, .5), (-1, .1)]
_SCAPULA = [(1.28, .16), (1.16, .30), (1.10, .48), (1.02, .66), (.94, .62), (.84, .42), (.80, .18),
            (.88, .07), (1.06, .05), (1.30, .03), (1.44, .06), (1.42, .12), (1.28, .16)]
_CLAVICLE = [(.1, .14), (.3, .11), (.6, .08), (.95, -.01), (1.25, 0)]
_HUMERUS = [(1.42, .1), (1.47, .18), (1.9, 1.)]
_HILUM = [(-.06, -.1), (.06, -.08), (.08, .1), (-.04, .14)]
_BUBBLE = [(-1, .5), (-.8, -.5), (0, -.8), (.8, -.5), (1, .5)]


def vary(rng, points, amount: float = .014, *, side: int = 1, shift=(0, 0)) -> np.ndarray:
    """Move an outline, and each of its points at random; side -1 mirrors it."""
    return (np.asarray(points) + shift + rng.normal(0, amount, (len(points), 2))) * (side, 1)


def soft_tissue(frame, rng) -> np.ndarray:
    """Thickness of torso, neck, arms and breasts: about 1 in the middle of the torso."""
    right = np.asarray(_TORSO) + (rng.uniform(-.04, .15), 0)
    torso = frame.fill(np.vstack([right, right[::-1] * (-1, 1)]))
    thick = frame.bulge(torso, rng.uniform(.35, .6))
    head = frame.fill(vary(rng, _HEAD, .03, shift=(0, rng.uniform(-.5, .15))))
    thick += .4 * frame.bulge(head, .3)
    breast, place = max(0, rng.uniform(-.3, .2)), (.62, rng.uniform(.75, .95))
    shape = np.array(_BREAST) * (rng.uniform(.3, .45), .25)
    for side in SIDES:
        arm = frame.fill(vary(rng, _ARM, side=side, shift=(rng.uniform(-.3, .4), 0)))
        thick = np.maximum(thick, .8 * frame.bulge(arm, .4))
        if breast:
            fold = frame.fill(vary(rng, shape, .02, side=side, shift=place))
            thick += breast * frame.bulge(fold, .3)
    return frame.smooth(thick, 2) * (1 + .05 * frame.noise(rng, 7))


def chest(frame, rng, label: int, spread: float = 1, recess: float = .93) -> tuple:
    """Lungs in sight (bool), share of the ray in air, heart and abdomen: (H, W) each.

    Shapes vary `spread` times as much as they usually do; the domes hide so much of the air.
    """
    full, abdomen = 0, 0
    for side in SIDES:
        outline = np.array(_LUNG) * (.985 - .015 * side, 1)
        full += frame.fill(vary(rng, outline, .014 * spread, side=side))
        height = rng.normal(.015 * side - .015, .025 * spread)
        dome = vary(rng, _DOME, .01, shift=(0, height))
        if label and rng.random() < .2:  # effusion: fluid that climbs the outer wall
            dome[1:5, 1] -= np.array([1, .8, .35, .1]) * rng.uniform(.05, .35)
        abdomen = np.maximum(abdomen, frame.fill(dome * (side, 1), 1.5))
    shape = np.array(_HEART) * (rng.normal(1, .12 * spread), 1)
    heart = frame.fill(vary(rng, shape, .012 * spread), 1.5)
    air = frame.bulge(full, .22) * (1 - rng.uniform(.6, .85) * heart) * (1 - recess * abdomen)
    y = (np.arange(frame.shape[0], dtype=np.float32)[:, None] - frame.origin[1]) / frame.unit[1]
    air *= np.float32(np.clip(rng.uniform(.3, .7) + 4 * y, 0, 1))  # the tops are thin
    return (full > .5) & (heart < .5) & (abdomen < .5), frame.smooth(air, 1), heart, abdomen


def bones(frame, rng, abdomen: np.ndarray) -> np.ndarray:
    """Attenuation of all bones; the ribs are fainter over the abdomen."""
    chest_wall = spine(frame, rng) + ribs(frame, rng) * (1 - .4 * abdomen)
    return chest_wall + shoulders(frame, rng)


def inside(frame, rng, label: int) -> np.ndarray:
    """Attenuation of what lies in the lungs: vessels, and opacities where the label is 1."""
    return vessels(frame, rng) + (opacities(frame, rng) if label else 0)


def spine(frame, rng) -> np.ndarray:
    """Attenuation of the vertebrae, less that of the air in the windpipe."""
    y = np.arange(-.6, 1.7, .085)[:, None, None]
    body, knobs = np.array([(-.07, 0), (.07, 0)]), []
    for x, length in ((-.07, .01), (.07, .01), (0, .03)):
        knobs.extend(np.array([(x, 0), (x, length)]) * (.85 + .25 * y) + y * (0, 1))
    blocks = body * (.85 + .25 * y) + y * (0, 1)
    column = frame.lines(([[(0, -.7), (0, 1.8)]], .22, 1), blur=4)
    bone = frame.lines((blocks, .1, .55), (blocks, .08, .8), (knobs, .035, 1), blur=1)
    ways = [[(-.02, .28), (.1 * side, .37), (.25 * side, .42)] for side in SIDES]
    forks = [smooth_corners(way, False) for way in ways]
    tube = frame.lines(([[(0, -.6), (-.02, .3)]], .1, 1), (forks, .06, .7), blur=2)
    return rng.uniform(.2, .4) * column + .22 * bone - .3 * tube


def ribs(frame, rng) -> np.ndarray:
    """Attenuation of the ribs: back parts, and fainter front parts that fall to the middle."""
    slope, width, k = rng.uniform(.1, .2), rng.uniform(.07, .09), np.arange(12)
    y = -.06 + .093 * k + rng.normal(0, .005, 12)
    fall = slope + .04 * np.minimum(k, 3)
    wall = np.array(_LUNG[3:10])
    reach = np.interp(y + fall, wall[:, 1], wall[:, 0]) + .005
    back = [(.1 / reach, 0), (.25, -.03 / fall), (.55, 0), (.85, .45), (.98, .85), (1, 1.2),
            (1, 1.5)]
    front = [(1, 1.1), (.97, 1.5), (.85, 1.95), (.62, 2.35), (.42, 2.5)]
    total = 0
    for curve, strength in ((back, rng.uniform(.15, .3)), (front, rng.uniform(.08, .2))):
        line = np.stack([np.stack([x * reach, y + down * fall], 1) for x, down in curve], 1)
        pair = smooth_corners(np.concatenate([line * (side, 1) for side in SIDES]), False)
        total += strength * frame.lines((pair, width, 1), (pair, .8 * width, .55))
    return total


def shoulders(frame, rng) -> np.ndarray:
    """Attenuation of collar bones, shoulder blades and upper arm bones."""
    shift = np.array([rng.uniform(-.05, .12), rng.uniform(-.04, .04)])
    blades = [vary(rng, _SCAPULA, side=side, shift=shift) for side in SIDES]
    arms = [vary(rng, _HUMERUS, side=side, shift=shift) for side in SIDES]
    collar = [vary(rng, _CLAVICLE, side=side, shift=shift * (0, 1)) for side in SIDES]
    blades, collar = smooth_corners(blades, False), smooth_corners(collar, False)
    heads = [arm[:2] for arm in arms]
    bones = frame.lines((blades, .02, .6), (arms, .14, .8), (arms, .1, .5), (heads, .2, .7))
    return (.25 * bones + .08 * frame.fill(blades[0]) + .08 * frame.fill(blades[1])
            + .28 * frame.lines((collar, .075, 1), (collar, .055, .55)))


def vessels(frame, rng) -> np.ndarray:
    """Attenuation of the hila, of the vessels that fork from them, and of finer structure."""
    side = np.repeat(SIDES, 6)
    start = np.stack([.2 * side, np.repeat(rng.uniform(.38, .46, 2), 6)], 1)
    hila = frame.fill(start[0] + _HILUM, 8) + frame.fill(start[6] + _HILUM, 8)
    angle = np.tile([-1.3, -.6, 0, .5, .95, 1.3], 2) + rng.normal(0, .25, 12)
    length, width, strokes = rng.uniform(.06, .18, 12), rng.uniform(.025, .045), []
    for level in range(5):
        end = start + np.stack([side * np.cos(angle), .6 * np.sin(angle)], 1) * length[:, None]
        strokes.insert(0, (np.stack([start, end], 1), width, 1 - .12 * level))
        side, start, length = np.tile(side, 2), np.tile(end, (2, 1)), np.tile(length, 2)
        angle = np.concatenate([angle - .3, angle + .3]) + rng.normal(0, .2, len(side))
        length, width = length * rng.uniform(.6, 1, len(side)), width * .65
    tree = rng.uniform(.12, .27) * frame.lines(*strokes)
    fine = .02 * frame.noise(rng, 70) + .03 * frame.noise(rng, 250)
    return tree + rng.uniform(.1, .3) * hila + fine


def opacities(frame, rng) -> np.ndarray:
    """Attenuation of disease in the lungs: infiltrates, nodules, cavities, consolidations."""
    total = 0
    for _ in range(rng.integers(1, 4)):
        centre = np.array([rng.uniform(.3, .8) * rng.choice(SIDES), rng.beta(2, 3)])
        kind, strength = rng.integers(4), rng.uniform(.2, .5)
        if kind == 0:  # infiltrate: many small spots
            spots = centre + rng.normal(0, .08, (30, 1, 2)) + rng.normal(0, .01, (30, 2, 2))
            total += strength * frame.lines((spots, .05, .6), (spots, .02, 1), blur=3)
        elif kind == 1:  # consolidation: a large cloud
            turn = np.arange(8) * np.pi / 4
            cloud = np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(.08, .3, (8, 1))
            total += strength * frame.fill(centre + cloud, 10)
        else:  # a nodule, or a cavity: a nodule with air inside
            spot, width = [[centre, centre + .01]], rng.uniform(.05, .2)
            hole = ((spot, .7 * width, .2),) if kind == 3 else ()
            total += strength * frame.lines((spot, width, 1), *hole, blur=2)
    return total


def gas(frame, rng) -> np.ndarray:
    """Attenuation that is missing where stomach and bowel hold gas."""
    total = 0
    for k in range(rng.integers(0, 6)):
        low, high = ((.3, .93), (.7, 1.05)) if k < 2 else ((-.5, 1.15), (.8, 1.5))
        size = rng.uniform(.06, .25, 2) * (1, .4) if k < 2 else rng.uniform(.03, .1, 2) * (1, .6)
        bubble = vary(rng, _BUBBLE, .15) * size + rng.uniform(low, high)
        total = np.maximum(total, rng.uniform(.3, 1) * frame.fill(bubble, 2))
    return total
