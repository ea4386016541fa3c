"""The quarter-width U-Net: the functions that notebook 03 builds, and their sum, `build_unet`."""

import re
from collections import Counter

import keras

from unet_lib import parameters


def convolve(features, filters: int, size: int = 3, *, normalization: str = "none"):
    """Convolve under `same` padding with He-normal weights, and cut off below zero (ReLU).

    Args:
        features: (N, H, W, C) tensor.
        filters: number of output channels.
        size: side of the kernel in px.
        normalization: "batch" puts batch normalization between convolution and ReLU.

    Returns:
        (N, H, W, filters) tensor.
    """
    options = {"padding": "same", "kernel_initializer": "he_normal"}
    if normalization == "none":
        return keras.layers.Conv2D(filters, size, activation="relu", **options)(features)
    # the normalization brings a bias of its own
    features = keras.layers.Conv2D(filters, size, use_bias=False, **options)(features)
    # Keras' momentum of 0.99 would need more steps than a small data set has in an epoch
    features = keras.layers.BatchNormalization(momentum=0.9)(features)
    return keras.layers.ReLU()(features)


def block(features, filters: int, **options):
    """Convolve twice, 3x3; see `convolve` for the options."""
    return convolve(convolve(features, filters, **options), filters, **options)


def encode(features, width: int, *, dropout: float = 0.5, **options):
    """Go down: five blocks with a pooling between each two.

    Args:
        features: (N, S, S, C) tensor, S a multiple of 16.
        width: filters of the first block; each deeper one has twice as many.
        dropout: share of values dropped behind the two deepest blocks while training.
        **options: of `convolve`.

    Returns:
        The bottom, (N, S/16, S/16, 16 width), and the four skips, the largest first.
    """
    skips = []
    for level in range(4):
        features = block(features, width * 2**level, **options)
        if level == 3:
            features = keras.layers.Dropout(dropout)(features)
        skips.append(features)
        features = keras.layers.MaxPooling2D()(features)
    features = block(features, width * 16, **options)
    return keras.layers.Dropout(dropout)(features), skips


def step_up(features, skip, filters: int, **options):
    """Go up one level: upsample, 2x2 convolution, the skip beside it, block.

    Args:
        features: (N, H, W, C) tensor.
        skip: (N, 2H, 2W, D) tensor.
        filters: number of output channels.
        **options: of `convolve`.

    Returns:
        (N, 2H, 2W, filters) tensor.
    """
    features = keras.layers.UpSampling2D()(features)
    features = convolve(features, filters, size=2, **options)
    features = keras.layers.Concatenate()([skip, features])
    return block(features, filters, **options)


def assemble(
    image_size: int,
    *,
    width: int,
    head: str,
    dropout: float = 0.5,
    standardize: bool = False,
    classes: int = 1,
    **options,
) -> keras.Model:
    """Put encoder, decoder and head together; arguments as for `build_unet`, unchecked."""
    image = keras.Input((image_size, image_size, 1), name="input_1")
    features = _standardize(image) if standardize else image
    features, skips = encode(features, width, dropout=dropout, **options)
    for level in (3, 2, 1, 0):
        features = step_up(features, skips[level], width * 2**level, **options)
    if head == "original":
        features = convolve(features, 2 if classes == 1 else width)
    channels, activation = (1, "sigmoid") if classes == 1 else (classes + 1, "softmax")
    # float32 also under mixed precision: the loss needs it
    output = keras.layers.Conv2D(channels, 1, activation=activation, dtype="float32")
    return keras.Model(image, output(features), name="unet_lowered")


def build_unet(
    image_size: int = 512,
    *,
    width: int = 16,
    head: str = "original",
    normalization: str = "none",
    dropout: float = 0.5,
    standardize: bool = False,
    classes: int = 1,
) -> keras.Model:
    """Build a U-Net that maps a grey image to the probability of lung at each pixel.

    Args:
        image_size: side of the square input in px, a multiple of 16.
        width: filters of the first level; each deeper level doubles them.
        head: "original" puts a 3x3 convolution with two ReLU filters before the sigmoid, "direct"
            does not. For several classes it has `width` filters: of so few as classes all die out.
        normalization: "batch" puts batch normalization between each convolution and its ReLU, save
            in the head.
        dropout: share of values dropped at the two deepest levels while training, in [0, 1).
        standardize: bring each image to mean 0 and standard deviation 1 before anything else, so
            that the answer does not depend on brightness and contrast. No parameters.
        classes: how many classes of foreground to tell apart, up to 100.

    Returns:
        An uncompiled model: (N, image_size, image_size, 1) float in [0, 1] in, the same shape
        float32 in [0, 1] out; of several classes (N, image_size, image_size, classes + 1), the
        softmax over background, which comes first, and classes. The defaults give 1,941,093
        parameters. Layers are named as in the original's table, whatever Keras has built before.

    Raises:
        ValueError: an argument is outside what is said above.

    Source:
        Ronneberger et al., arXiv:1505.04597, as "U-Net Lowered with TF-Keras" (2021) changed it: a
        quarter of the filters, `same` padding instead of `valid`, upsampling and a 2x2 convolution
        for each up-convolution, one sigmoid output instead of a two-class softmax.
    """
    options = {"head": head, "normalization": normalization, "dropout": dropout}
    parameters.check(image_size=image_size, width=width, standardize=standardize, **options)
    if not isinstance(classes, int) or not 1 <= classes <= 100:
        raise ValueError(f"classes must be a whole number, 1 to 100, got {classes!r}; use 1")
    unet = assemble(image_size, width=width, standardize=standardize, classes=classes, **options)
    _number_layers(unet)
    return unet


def _standardize(image):
    """Bring each image to mean 0 and deviation 1: one group over all its pixels, in float32."""
    scale = {"groups": 1, "center": False, "scale": False, "epsilon": 1e-6}
    return keras.layers.GroupNormalization(**scale, dtype="float32")(image)


def _number_layers(unet: keras.Model) -> None:
    """Name layers conv2d, conv2d_1, ...: Keras' own way, but counted anew for each model."""
    counts = Counter()
    for layer in unet.layers[1:]:
        kind = re.sub(r"_\d+$", "", layer.name)
        layer.name = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
