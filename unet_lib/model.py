"""The quarter-width U-Net, with every layer named as in the model's published table."""

import numbers

import keras

HEADS = ("seed", "direct")
NORMALIZATIONS = ("none", "batch")


def build_unet(
    image_size: int = 512,
    *,
    width: int = 16,
    head: str = "seed",
    normalization: str = "none",
    dropout: float = 0.5,
    standardize: bool = False,
) -> keras.Model:
    """Build a U-Net that maps a grey image to the probability of lung at each pixel.

    Args:
        image_size: side of the square input in px, a multiple of 16.
        width: filters of the first level; each deeper level doubles them.
        head: "seed" puts a 3x3 convolution with two ReLU filters before the sigmoid, "direct" does
            not.
        normalization: "batch" puts batch normalization between each convolution and its ReLU, save
            in the head.
        dropout: share of units dropped at the two deepest levels while training, in [0, 1).
        standardize: bring each image to mean 0 and standard deviation 1 before anything else, so
            that the answer does not depend on brightness and contrast. No parameters.

    Returns:
        An uncompiled model: (N, image_size, image_size, 1) float in [0, 1] in, the same shape
        float32 in [0, 1] out. The defaults give 1,941,093 parameters.

    Raises:
        ValueError: an argument is outside what is said above.

    Source:
        Ronneberger et al., arXiv:1505.04597, as "U-Net Lowered with TF-Keras" (2021) changed it: a
        quarter of the filters, `same` padding instead of `valid`, upsampling and a 2x2 convolution
        for each up-convolution, one sigmoid output instead of a two-class softmax.
    """
    check_arguments(
        image_size, width=width, head=head, normalization=normalization, dropout=dropout
    )
    layers = _Layers(normalization)
    image = keras.Input((image_size, image_size, 1), name="input_1")
    features, skips = image, []
    if standardize:  # in one group, over all pixels of an image; float32 as the probability below
        scale = {"groups": 1, "center": False, "scale": False, "epsilon": 1e-6}
        features = layers.add("group_normalization", features, **scale, dtype="float32")
    for level in range(5):
        features = layers.convolve(features, width * 2**level)
        features = layers.convolve(features, width * 2**level)
        if level >= 3:
            features = layers.add("dropout", features, rate=dropout)
        if level < 4:
            skips.append(features)
            features = layers.add("max_pooling2d", features)
    for level in (3, 2, 1, 0):
        features = layers.add("up_sampling2d", features)
        features = layers.convolve(features, width * 2**level, kernel_size=2)
        features = layers.add("concatenate", [skips[level], features])
        features = layers.convolve(features, width * 2**level)
        features = layers.convolve(features, width * 2**level)
    if head == "seed":
        features = layers.add("conv2d", features, filters=2, kernel_size=3, **_CONVOLUTION)
    # float32 also under mixed precision: the loss needs it
    sigmoid = {"activation": "sigmoid", "dtype": "float32"}
    probability = layers.add("conv2d", features, filters=1, kernel_size=1, **sigmoid)
    return keras.Model(image, probability, name="unet_lowered")


_CONVOLUTION = {"padding": "same", "kernel_initializer": "he_normal", "activation": "relu"}
_TYPES = {
    "activation": keras.layers.ReLU,
    "batch_normalization": keras.layers.BatchNormalization,
    "concatenate": keras.layers.Concatenate,
    "conv2d": keras.layers.Conv2D,
    "dropout": keras.layers.Dropout,
    "group_normalization": keras.layers.GroupNormalization,
    "max_pooling2d": keras.layers.MaxPooling2D,
    "up_sampling2d": keras.layers.UpSampling2D,
}


class _Layers:
    """Adds layers named conv2d, conv2d_1, ...: Keras' own way, but counted anew for each model."""

    def __init__(self, normalization: str):
        self.normalization = normalization
        self.counts = dict.fromkeys(_TYPES, 0)

    def add(self, name: str, inputs, **options):
        count = self.counts[name]
        self.counts[name] += 1
        return _TYPES[name](name=f"{name}_{count}" if count else name, **options)(inputs)

    def convolve(self, inputs, filters: int, kernel_size: int = 3):
        options = {"filters": filters, "kernel_size": kernel_size, **_CONVOLUTION}
        if self.normalization == "none":
            return self.add("conv2d", inputs, **options)
        # the normalization brings a bias of its own
        features = self.add("conv2d", inputs, **options | {"activation": None, "use_bias": False})
        # Keras' momentum of 0.99 would need more steps than a small data set has in an epoch
        features = self.add("batch_normalization", features, momentum=0.9)
        return self.add("activation", features)


def check_arguments(
    image_size: int, *, width: int, head: str, normalization: str, dropout: float = 0.5
) -> None:
    """Check what `build_unet` would be given, before any work is done.

    Raises:
        ValueError: an argument is outside what `build_unet` says.
    """
    if not _whole(image_size) or image_size < 16 or image_size % 16:
        raise ValueError(
            "image_size must be a multiple of 16 (four poolings halve it), "
            f"got {image_size!r}; use {_nearest(image_size)}"
        )
    if not _whole(width) or width < 1:
        raise ValueError(
            f"width must be a whole number of filters, 1 or more, got {width!r}; use 16"
        )
    choices = {"head": (head, HEADS), "normalization": (normalization, NORMALIZATIONS)}
    for name, (value, valid) in choices.items():
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, valid))}, got {value!r}")
    if not isinstance(dropout, numbers.Real) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a share in [0, 1), got {dropout!r}; the seed uses 0.5")


def _whole(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _nearest(size) -> str:
    if not isinstance(size, numbers.Real) or not size < 2**16:  # no number, NaN or infinite
        return "512"
    low = int(max(size, 0)) // 16 * 16
    return f"{low} or {low + 16}" if low else "16"
