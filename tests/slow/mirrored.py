"""Called by test_mirrored.py: the same training on one device and on two logical ones.

    python mirrored.py FILE

FILE, JSON: for each variant the losses on one device, those on two, the greatest distance between
their weights (gap), and the greatest that a weight has moved in the training.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from unet_lib import bootstrap

bootstrap.quieten()
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from unet_lib import architecture, batches, losses, training  # noqa: E402

[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
ONE = tf.distribute.get_strategy()
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (9, 32, 32), dtype=np.uint8)
MASKS = (IMAGES > 128).astype(np.uint8)


def train(strategy, normalization="none", *, synchronized=False, full=True):
    """Train two epochs; return losses, weights before and weights after."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        options = {"head": "direct", "dropout": 0.0, "normalization": normalization}
        unet = architecture.build_unet(32, width=2, **options)
        for layer in unet.layers:
            if synchronized and isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # as notebook 11 does
        dice = keras.metrics.MeanMetricWrapper(losses.batch_dice, name="dice")
        unet.compile(keras.optimizers.SGD(0.01), loss=losses.bce_dice, metrics=[dice])
    start = unet.get_weights()
    stream = batches.training_batches(
        IMAGES, MASKS, batch_size=4, epochs=2, seed=0, full_batches=full)
    steps = 2 if full else 3
    pairs = batches.evaluation_batches(IMAGES[:8], MASKS[:8], batch_size=4)
    history = unet.fit(
        stream, epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0,
        validation_data=pairs, callbacks=[training.SeedDropout(0)],
    ).history
    return history["loss"] + history["val_loss"], start, unet.get_weights()


found = {}
for name, how in {
    "none": {}, "batch": {"normalization": "batch"},
    "synchronized": {"normalization": "batch", "synchronized": True},
}.items():
    (one, start, left), (two, _, right) = (train(strategy, **how) for strategy in (ONE, TWO))
    gap, moved = (max(float(np.abs(a - b).max()) for a, b in zip(left, other, strict=True))
                  for other in (right, start))
    found[name] = {"one": one, "two": two, "gap": gap, "moved": moved}
try:
    train(TWO, full=False)  # the last batch is one pair: nothing is left for the second device
except tf.errors.InvalidArgumentError as error:
    found["uneven"] = str(error)
Path(sys.argv[1]).write_text(json.dumps(found), "utf-8")
