"""Pictures that a model of frontal chests was not made for, drawn by code: (H, W) uint8."""

import cv2
import numpy as np

from unet_lib import phantom

SIZE = 256  # px


def blurred(rng, cells):
    """A smooth random field in [0, 1]."""
    field = cv2.resize(rng.random((cells, cells), np.float32), (SIZE, SIZE),
                       interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1)


def photograph(rng):
    """A sky that brightens downward, ground, round and square things, their texture."""
    picture = np.tile(np.linspace(90, 220, SIZE, dtype=np.float32)[:, None], (1, SIZE))
    horizon = int(rng.uniform(.4, .8) * SIZE)
    picture[horizon:] = rng.uniform(30, 120) + 40 * blurred(rng, 12)[horizon:]
    for _ in range(rng.integers(3, 9)):
        place, size = rng.integers(0, SIZE, 2).tolist(), int(rng.integers(8, 60))
        tone = float(rng.uniform(0, 255))
        if rng.random() < .5:
            cv2.circle(picture, place, size, tone, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, place, [place[0] + size, place[1] + 2 * size], tone, -1)
    return np.uint8(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255))


def clouds(rng):
    """Noise whose power falls with the square of the frequency, as it does in photographs."""
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    waves[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / waves)
    return np.uint8(np.clip(128 + 50 * (field - field.mean()) / field.std(), 0, 255))


def hand(rng):
    """An X-ray of a hand: bones as bright capsules in grey flesh on black."""
    flesh, bones = np.zeros((2, SIZE, SIZE), np.float32)
    palm = np.array([.5, .72]) + rng.normal(0, .02, 2)
    for turn, reach in zip((-.95, -.35, -.1, .15, .4), (.42, .56, .62, .58, .48), strict=True):
        way = np.array([np.sin(turn), -np.cos(turn)])
        joints = [palm + way * reach * step for step in (.1, .5, .73, .9, 1.02)]
        points = [tuple(np.int32(joint * SIZE).tolist()) for joint in joints]
        for k, (start, end) in enumerate(zip(points, points[1:], strict=False)):
            cv2.line(flesh, start, end, 70, 26 - 3 * k, cv2.LINE_AA)
            gap = (np.array(end) - start) // 8
            cv2.line(bones, tuple((start + gap).tolist()), tuple((end - gap).tolist()), 130,
                     11 - 2 * k, cv2.LINE_AA)
    wrist = tuple(np.int32(palm * SIZE).tolist())
    cv2.ellipse(flesh, wrist, (42, 48), 0, 0, 360, 80, -1, cv2.LINE_AA)
    cv2.line(flesh, wrist, (wrist[0], SIZE), 75, 56)
    for side in (-12, 12):
        cv2.line(bones, (wrist[0] + side, wrist[1] + 36), (wrist[0] + side, SIZE), 130, 17)
    picture = cv2.GaussianBlur(flesh + bones, (0, 0), 1.2) + 8 + rng.normal(0, 3, flesh.shape)
    return np.uint8(np.clip(picture, 0, 255))


def lateral(rng):
    """A chest from the side: one large dark field over a dome, the spine along one edge."""
    picture = np.full((SIZE, SIZE), 25, np.float32)
    shift = int(rng.integers(-12, 13))
    cv2.ellipse(picture, (130 + shift, 140), (88, 150), 0, 0, 360, 165, -1, cv2.LINE_AA)
    field = np.array([(118, 40), (165, 60), (185, 120), (188, 178), (140, 165), (96, 195),
                      (72, 205), (66, 130), (84, 60)]) + (shift, 0) + rng.normal(0, 4, (9, 2))
    cv2.fillPoly(picture, [np.int32(field)], 70, cv2.LINE_AA)
    cv2.ellipse(picture, (158 + shift, 148), (26, 34), 20, 0, 360, 150, -1, cv2.LINE_AA)
    for k in range(12):
        centre = (int(64 + shift + 6 * np.cos(k / 2)), 20 + 21 * k)
        cv2.rectangle(picture, (centre[0] - 11, centre[1]), (centre[0] + 11, centre[1] + 15), 205,
                      -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 3) + 12 * blurred(rng, 20)
    return np.uint8(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255))


def text(rng):
    """A page: dark lines of letters on white."""
    picture = np.full((SIZE, SIZE), 245, np.uint8)
    for y in range(20, SIZE - 10, 14):
        words = ["".join(rng.choice(list("abcdeilmnorstu"), rng.integers(2, 9))) for _ in range(7)]
        cv2.putText(picture, " ".join(words), (14, y), cv2.FONT_HERSHEY_SIMPLEX, .32, 20, 1,
                    cv2.LINE_AA)
    return cv2.rectangle(picture, (SIZE - 22, 0), (SIZE, SIZE), 245, -1)


def slice_of_ct(rng):
    """A slice across the chest: a bright ring on black, two dark lungs, spine below the middle."""
    picture = np.full((SIZE, SIZE), 0, np.float32)
    cv2.ellipse(picture, (128, 130), (112, 82), 0, 0, 360, 150, -1, cv2.LINE_AA)
    for side in (-1, 1):
        size = (int(rng.integers(34, 44)), int(rng.integers(48, 60)))
        cv2.ellipse(picture, (128 + 54 * side, 128), size, 0, 0, 360, 20, -1, cv2.LINE_AA)
    cv2.ellipse(picture, (140, 112), (34, 28), 20, 0, 360, 160, -1, cv2.LINE_AA)
    cv2.circle(picture, (128, 182), 14, 250, -1, cv2.LINE_AA)
    return np.uint8(np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255))


def chest(rng, variety="usual"):
    """A phantom."""
    return phantom.draw(int(rng.integers(2**32)), size=SIZE, variety=variety)[0]


DRAWN = {
    "photograph": photograph,
    "clouds": clouds,
    "hand": hand,
    "lateral": lateral,
    "text": text,
    "slice of a CT": slice_of_ct,
    "even noise": lambda rng: rng.integers(0, 256, (SIZE, SIZE), np.uint8),
    "normal noise": lambda rng: np.uint8(np.clip(rng.normal(128, 40, (SIZE, SIZE)), 0, 255)),
    "black": lambda rng: np.zeros((SIZE, SIZE), np.uint8),
    "white": lambda rng: np.full((SIZE, SIZE), 255, np.uint8),
}
CHANGED = {  # what is done to a chest
    "inverted": lambda image: 255 - image,
    "turned by 90 degrees": lambda image: np.rot90(image).copy(),
    "turned by 270 degrees": lambda image: np.rot90(image, 3).copy(),
    "upside down": lambda image: image[::-1, ::-1].copy(),
    "left half": lambda image: image[:, : image.shape[1] // 2].copy(),
    "right half": lambda image: image[:, image.shape[1] // 2 :].copy(),
}
