"""Synthetic chest X-rays with lung masks: free to share, since no patient is on them.

A phantom comes about as an X-ray does. Every structure adds attenuation along the ray (bone, soft
tissue) or takes some away (air); a display curve turns the sum into grey values.

Shapes are given in body coordinates: x = 0 is the midline, x = -1 and 1 are the outer edges of the
lungs (the patient's right is on the left of the image); y = 0 is the top of the lungs and y = 1
their lowest point, the costophrenic angle. Outlines hold few points; `_round` makes them smooth.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

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


def draw(seed: int | Sequence[int], *, size: int | tuple[int, int] = 512) -> tuple:
    """Draw one phantom.

    Args:
        seed: a whole number, or several; each gives another phantom, the same one every time.
        size: side in px of a square image, or (height, width); 64 px or more.

    Returns:
        image: (H, W) uint8, bone and tissue bright, air dark.
        mask: (H, W) uint8, 255 on both lungs, 0 elsewhere. As in the Shenzhen set, polygons drawn
            as by hand, heart and mediastinum left out, ending at the diaphragm.
        label: 0 for a normal chest, 1 for one with opacities.

    Raises:
        ValueError: the size is below 64 px.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 64:
        raise ValueError(f"size must be 64 px or more on each side, got {size}; use 512")
    rng = np.random.Generator(np.random.PCG64(seed))
    label = int(rng.integers(2))
    frame = _Frame(rng, (height, width))
    tissue = _soft_tissue(frame, rng)
    lung, air, heart, abdomen = _chest(frame, rng, label)
    depth = tissue * (1.4 + .7 * frame.bulge(abdomen, .3)) + .3 * frame.bulge(heart, .4)
    depth += _spine(frame, rng) + _ribs(frame, rng) * (1 - .4 * abdomen) + _shoulders(frame, rng)
    inside = _vessels(frame, rng) + (_opacities(frame, rng) if label else 0)
    depth += np.minimum(1.2 * air, 1) * inside - rng.uniform(.65, 1.1) * air - _gas(frame, rng)
    image = _stamp(rng, _expose(frame, rng, depth))
    return image, _trace(rng, lung), label


def write_primary_tree(
    folder: str | Path, *, train: int = 120, test: int = 12, seed: int = 0
) -> list[str]:
    """Write phantoms as the tree that a download gives: the source that notebook 01 restructures.

    `train_images/<id>/images/<id>.png` with `train_images/<id>/masks/<id>.png`, and
    `test_images/<id>/<id>.png` without a mask. Sides measure 400 to 640 px. An id such as
    `PHANTOM_0001_0` ends in the label, 0 normal or 1 with opacities; test numbers begin at 9001.
    Phantom number k of a seed is the same however many are drawn.

    Args:
        folder: where to write. It appears at once and whole, or, after an error, not at all.
        train: number of pairs, 0 to 9000.
        test: number of images without a mask, 0 to 999.
        seed: 0 or above; another seed gives other phantoms.

    Returns:
        The ids: training pairs first, then test images.

    Raises:
        FileExistsError: the folder holds something already; nothing in it is changed.
        ValueError: a number is out of its range.
    """
    folder = Path(folder)
    _check(folder, train, test, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        ids = [_write(draft, seed, number) for number in range(1, train + 1)]
        ids += [_write(draft, seed, 9000 + number) for number in range(1, test + 1)]
        draft.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty; Windows does not replace folders
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ids


def _check(folder: Path, train: int, test: int, seed: int) -> None:
    for name, value, high in (("train", train, 9000), ("test", test, 999), ("seed", seed, 2**32)):
        if not 0 <= value <= high:
            raise ValueError(f"{name} must be from 0 to {high}, got {value}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"phantoms go into a new or empty folder, but {folder} holds something already; "
            "delete it or name another one"
        )


def _write(root: Path, seed: int, number: int) -> str:
    """Write one phantom; numbers above 9000 are test images. Returns its id."""
    sides = np.random.Generator(np.random.PCG64([seed, number, 1])).integers(400, 641, 2)
    image, mask, label = draw([seed, number], size=(int(sides[0]), int(sides[1])))
    name = f"PHANTOM_{number:04d}_{label}"
    files = {f"train_images/{name}/images": image, f"train_images/{name}/masks": mask}
    for place, pixels in ({f"test_images/{name}": image} if number > 9000 else files).items():
        (root / place).mkdir(parents=True)
        (root / place / f"{name}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return name


class _Frame:
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
        cv2.fillPoly(layer, [self.pixels(_round(outline))], 255, cv2.LINE_AA, 4)
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


def _round(points, closed: bool = True) -> np.ndarray:
    """Cut all corners of (..., P, 2) points three times, which smooths them (Chaikin's way)."""
    points = np.asarray(points, float)
    for _ in range(3):
        after = np.roll(points, -1, -2)
        cut = np.stack([.75 * points + .25 * after, .25 * points + .75 * after], -2)
        cut = cut.reshape(*points.shape[:-2], -1, 2)
        ends = points[..., :1, :], cut[..., :-2, :], points[..., -1:, :]
        points = cut if closed else np.concatenate(ends, -2)
    return points


def _vary(rng, points, amount: float = .014, *, side: int = 1, shift=(0, 0)) -> np.ndarray:
    """Move an outline, and each of its points at random; side -1 mirrors it."""
    return (np.asarray(points) + shift + rng.normal(0, amount, (len(points), 2))) * (side, 1)


def _soft_tissue(frame, rng) -> np.ndarray:
    """Thickness of torso, neck, arms and breasts: about 1 in the middle of the torso."""
    right = np.asarray(_TORSO) + (rng.uniform(-.04, .15), 0)
    torso = frame.fill(np.vstack([right, right[::-1] * (-1, 1)]))
    thick = frame.bulge(torso, rng.uniform(.35, .6))
    head = frame.fill(_vary(rng, _HEAD, .03, shift=(0, rng.uniform(-.5, .15))))
    thick += .4 * frame.bulge(head, .3)
    breast, place = max(0, rng.uniform(-.3, .2)), (.62, rng.uniform(.75, .95))
    shape = np.array(_BREAST) * (rng.uniform(.3, .45), .25)
    for side in SIDES:
        arm = frame.fill(_vary(rng, _ARM, side=side, shift=(rng.uniform(-.3, .4), 0)))
        thick = np.maximum(thick, .8 * frame.bulge(arm, .4))
        if breast:
            fold = frame.fill(_vary(rng, shape, .02, side=side, shift=place))
            thick += breast * frame.bulge(fold, .3)
    return frame.smooth(thick, 2) * (1 + .05 * frame.noise(rng, 7))


def _chest(frame, rng, label: int) -> tuple:
    """Lungs in sight (bool), share of the ray in air, heart and abdomen: (H, W) each."""
    full, abdomen = 0, 0
    for side in SIDES:
        full += frame.fill(_vary(rng, np.array(_LUNG) * (.985 - .015 * side, 1), side=side))
        dome = _vary(rng, _DOME, .01, shift=(0, rng.normal(.015 * side - .015, .025)))
        if label and rng.random() < .2:  # effusion: fluid that climbs the outer wall
            dome[1:5, 1] -= np.array([1, .8, .35, .1]) * rng.uniform(.05, .35)
        abdomen = np.maximum(abdomen, frame.fill(dome * (side, 1), 1.5))
    heart = frame.fill(_vary(rng, np.array(_HEART) * (rng.normal(1, .12), 1), .012), 1.5)
    air = frame.bulge(full, .22) * (1 - rng.uniform(.6, .85) * heart) * (1 - .93 * abdomen)
    y = (np.arange(frame.shape[0], dtype=np.float32)[:, None] - frame.origin[1]) / frame.unit[1]
    air *= np.float32(np.clip(rng.uniform(.3, .7) + 4 * y, 0, 1))  # the tops are thin
    return (full > .5) & (heart < .5) & (abdomen < .5), frame.smooth(air, 1), heart, abdomen


def _spine(frame, rng) -> np.ndarray:
    """Attenuation of the vertebrae, less that of the air in the windpipe."""
    y = np.arange(-.6, 1.7, .085)[:, None, None]
    body, knobs = np.array([(-.07, 0), (.07, 0)]), []
    for x, length in ((-.07, .01), (.07, .01), (0, .03)):
        knobs.extend(np.array([(x, 0), (x, length)]) * (.85 + .25 * y) + y * (0, 1))
    blocks = body * (.85 + .25 * y) + y * (0, 1)
    column = frame.lines(([[(0, -.7), (0, 1.8)]], .22, 1), blur=4)
    bone = frame.lines((blocks, .1, .55), (blocks, .08, .8), (knobs, .035, 1), blur=1)
    forks = [_round([(-.02, .28), (.1 * side, .37), (.25 * side, .42)], False) for side in SIDES]
    tube = frame.lines(([[(0, -.6), (-.02, .3)]], .1, 1), (forks, .06, .7), blur=2)
    return rng.uniform(.2, .4) * column + .22 * bone - .3 * tube


def _ribs(frame, rng) -> np.ndarray:
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
        pair = _round(np.concatenate([line * (side, 1) for side in SIDES]), False)
        total += strength * frame.lines((pair, width, 1), (pair, .8 * width, .55))
    return total


def _shoulders(frame, rng) -> np.ndarray:
    """Attenuation of collar bones, shoulder blades and upper arm bones."""
    shift = np.array([rng.uniform(-.05, .12), rng.uniform(-.04, .04)])
    blades = [_vary(rng, _SCAPULA, side=side, shift=shift) for side in SIDES]
    arms = [_vary(rng, _HUMERUS, side=side, shift=shift) for side in SIDES]
    collar = [_vary(rng, _CLAVICLE, side=side, shift=shift * (0, 1)) for side in SIDES]
    blades, collar = _round(blades, False), _round(collar, False)
    heads = [arm[:2] for arm in arms]
    bones = frame.lines((blades, .02, .6), (arms, .14, .8), (arms, .1, .5), (heads, .2, .7))
    return (.25 * bones + .08 * frame.fill(blades[0]) + .08 * frame.fill(blades[1])
            + .28 * frame.lines((collar, .075, 1), (collar, .055, .55)))


def _vessels(frame, rng) -> np.ndarray:
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


def _opacities(frame, rng) -> np.ndarray:
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


def _gas(frame, rng) -> np.ndarray:
    """Attenuation that is missing where stomach and bowel hold gas."""
    total = 0
    for k in range(rng.integers(0, 6)):
        low, high = ((.3, .93), (.7, 1.05)) if k < 2 else ((-.5, 1.15), (.8, 1.5))
        size = rng.uniform(.06, .25, 2) * (1, .4) if k < 2 else rng.uniform(.03, .1, 2) * (1, .6)
        bubble = _vary(rng, _BUBBLE, .15) * size + rng.uniform(low, high)
        total = np.maximum(total, rng.uniform(.3, 1) * frame.fill(bubble, 2))
    return total


def _expose(frame, rng, depth: np.ndarray) -> np.ndarray:
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


def _stamp(rng, image: np.ndarray) -> np.ndarray:
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


def _trace(rng, lung: np.ndarray) -> np.ndarray:
    """Trace the two lungs as by hand: polygons of few, slightly misplaced corners; 0 or 255."""
    mask = np.zeros(lung.shape, np.uint8)
    scale, step = lung.shape[1] / 512, rng.uniform(1, 4)
    outlines = cv2.findContours(np.uint8(lung), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    for outline in sorted(outlines, key=cv2.contourArea)[-2:]:
        corners = cv2.approxPolyDP(outline, step * scale, True)
        corners = corners + rng.normal(0, 1.2 * scale, corners.shape)
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255)
    return mask
