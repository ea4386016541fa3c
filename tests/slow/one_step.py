"""Called by test_jax.py, once for each backend of Keras: what a model says and how it steps.

    python one_step.py FILE

FILE.npz then holds, for each variant, logits, losses and the weights after one step. Weights,
images and masks are drawn by NumPy, so they are the same on every backend.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from unet_lib import architecture, losses

VARIANTS = (
    {"loss": "bce"}, {"loss": "bce_dice", "normalization": "batch", "standardize": True},
    {"loss": "bce_dice", "classes": 2},
)  # fmt: skip


def draw(rng, weight):
    """Draw a weight that might have been learned."""
    fan_in = max(1, np.prod(weight.shape[:-1]))
    values = rng.normal(size=weight.shape) * np.sqrt(2 / fan_in)
    return np.abs(values) + 0.5 if "variance" in weight.path or "gamma" in weight.path else values


def work(*, loss, classes=1, **options):
    """Return what one variant says, pays and becomes."""
    rng = np.random.default_rng(0)
    unet = architecture.build_unet(
        16, width=2, head="direct", dropout=0.0, classes=classes, **options)
    unet.set_weights([draw(rng, weight) for weight in unet.weights])
    images = rng.random((4, 16, 16, 1)).astype(np.float32)
    masks = rng.integers(0, classes + 1, images.shape).astype(np.float32)
    names = ["a", "b"][: classes if classes > 1 else 0]
    dice = keras.metrics.MeanMetricWrapper(losses.batch_dice, name="dice")
    chosen = losses.choose(loss, classes=names)
    unet.compile(optimizer=keras.optimizers.SGD(0.1), loss=chosen, metrics=["accuracy", dice])
    unet.layers[-1].activation, activation = keras.activations.linear, unet.layers[-1].activation
    logits = unet.predict_on_batch(images)
    unet.layers[-1].activation = activation
    said, told = np.asarray(activation(logits)), {"logits": logits}
    for name in losses.LOSSES:
        paid = keras.losses.get(losses.choose(name, classes=names))(masks, said)
        told[name] = np.asarray(paid)
    logs = unet.train_on_batch(images, masks, return_dict=True)
    told |= {f"log_{name}": np.float32(value) for name, value in logs.items()}
    return told | {f"w{k}": np.asarray(w) for k, w in enumerate(unet.get_weights())}


found = {f"{k}/{name}": value for k, v in enumerate(VARIANTS) for name, value in work(**v).items()}
np.savez(sys.argv[1], backend=keras.backend.backend(), **found)
