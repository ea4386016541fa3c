"""Make unet_lib/weights/lungs.keras again: a model trained on phantoms alone.

    python tools/make_weights.py

It draws the phantoms, trains on them and writes the file, and beside it lungs.json: what is usual
on those phantoms, by which `predict` tells pictures of another kind. `--limits` writes that alone.
The seeds stand below. No X-ray of a patient is read. Processors round differently, so another
machine gives another file that is as good. One phantom and what the model says of it, by which a
test guards the file, go to tests/fixtures. `--out FILE` writes all four into another folder.
"""

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from unet_lib import phantom, pixels
from unet_lib.commands import usual

PHANTOMS = 2400  # number k is drawn from the seeds (DATA_SEED, k)
CHECKED = 100  # phantoms that are not trained on, from (DATA_SEED + 1, k)
DATA_SEED, SEED = 0, 0  # of the phantoms; of weights, order, dropout and augmentation
SIZE, DRAWN = 128, 192  # px: what the model sees, and what it is shrunk from
# Most of the learning happens at half the size, where a step costs a quarter: size in px, epochs,
# learning rate of each stage.
STAGES = ((SIZE // 2, 5, 2e-3), (SIZE, 2, 1e-3))
RECIPE = {
    "width": 16, "head": "direct", "normalization": "batch",
    "standardize": True, "dropout": 0.5, "loss": "bce_dice",
    "schedule": "cosine", "augment": "both", "augmentation_strength": 2.0, "batch_size": 8,
}  # fmt: skip
# A mask with more doubt is to be looked at: 19 of 20 good ones (Dice >= 0.93) have less, among wide
# phantoms and validation X-rays alike (tools/measure_doubt.py).
DOUBT = 0.055
# px: sizes at which `predict` lets the model look; of eight combinations none was better by more
# than 0.0007 on the 100 X-rays of the development set (weights/README.md).
SIZES = (96, 160)
PROJECT = Path(__file__).resolve().parents[1]


def draw(seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one phantom at the model's size: image (S, S) uint8, mask (S, S) uint8 in {0, 1}."""
    cv2.setNumThreads(1)
    image, mask, _ = phantom.draw(seed, size=DRAWN, variety="wide")
    mask = (mask > 0).astype(np.uint8)
    return pixels.resize_image(image, SIZE), pixels.resize_mask(mask, SIZE)


def draw_all(count: int, data_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw many, on all cores: images and masks (N, S, S) uint8."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        pairs = pool.map(draw, [(data_seed, number) for number in range(count)], chunksize=20)
    images, masks = zip(*pairs, strict=True)
    return np.array(images), np.array(masks)


def fold(unet):
    """Return a model without batch normalization that computes the same.

    Each normalization is a factor and an offset for each channel; both go into the convolution
    before it. What stays is the architecture of the original but for its head, and a third less
    time for a prediction. The file is to open in older versions of Keras as well: it names no
    initializer whose settings have grown since.
    """
    from keras import initializers

    from unet_lib import architecture

    plain = architecture.build_unet(SIZE, width=RECIPE["width"], head="direct", standardize=True)
    layers = [layer for layer in unet.layers if layer.weights]
    folded = iter([layer for layer in plain.layers if layer.weights])
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if "normalization" in layer.name:
            continue
        weights = layer.get_weights()
        if len(weights) == 1:  # no bias: a normalization follows
            gamma, beta, mean, variance = after.get_weights()
            factor = gamma / np.sqrt(variance + after.epsilon)
            weights = [weights[0] * factor, beta - mean * factor]
        plainly = next(folded)
        plainly.set_weights(weights)
        plainly.kernel_initializer = initializers.Zeros()
    return plain


def train(arrays: tuple[np.ndarray, np.ndarray]):
    """Train through all stages; images and masks (N, SIZE, SIZE) uint8. Returns the model."""
    from unet_lib import experiments  # loads TensorFlow, which drawing needs not

    unet = None
    for size, epochs, rate in STAGES:
        images = np.array([pixels.resize_image(image, size) for image in arrays[0]])
        masks = np.array([pixels.resize_mask(mask, size) for mask in arrays[1]])
        recipe = RECIPE | {"image_size": size, "learning_rate": rate}
        unet, seconds = experiments.train(
            (images, masks), recipe, epochs=epochs, seed=SEED + size, start=unet
        )
        print(f"{epochs} epochs at {size} px: {seconds:.0f} CPU seconds", flush=True)
    return unet


def guard(unet, square: np.ndarray, folder: Path) -> None:
    """Store a phantom (S, S) uint8 and the model's logits for it, (S, S) float32, in a folder."""
    import keras

    kernel, bias = unet.layers[-1].get_weights()
    before = keras.Model(unet.input, unet.layers[-1].input)
    features = before.predict_on_batch(pixels.to_float(square[np.newaxis]))[0]
    np.save(folder / "lungs_logits.npy", features @ kernel[0, 0, :, 0] + bias[0])
    cv2.imwrite(str(folder / "lungs_phantom.png"), square)


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, fold, save; print how long it took and the Dice on phantoms not trained on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    default = PROJECT / "unet_lib" / "weights" / "lungs.keras"
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--limits", action="store_true", help="write the JSON file alone")
    chosen, started = parser.parse_args(arguments), time.monotonic()
    out = chosen.out
    if out.suffix != ".keras" or out.is_dir():
        parser.error(f"--out must be a file whose name ends in .keras, got {str(out)!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    arrays, checked = draw_all(PHANTOMS, DATA_SEED), draw_all(CHECKED, DATA_SEED + 1)
    print(f"{PHANTOMS} phantoms after {time.monotonic() - started:.0f} s", flush=True)
    limits = usual.learn(
        zip(*arrays, strict=True), doubt=DOUBT, chests=True, sizes=SIZES, keep=2
    )
    usual.write(limits, out.with_suffix(".json"))
    if chosen.limits:
        return
    unet = fold(train(arrays))
    from unet_lib import metrics, prediction

    unet.save(out)
    guard(unet, checked[0][0], PROJECT / "tests" / "fixtures" if out == default else out.parent)
    found = prediction.predict_squares(unet, checked[0]) >= 0.5
    dice = np.mean([metrics.dice(m, p) for m, p in zip(checked[1], found, strict=True)])
    print(f"{out}: {out.stat().st_size} bytes, {unet.count_params()} parameters, Dice {dice:.3f} on"
          f" {CHECKED} other phantoms, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
