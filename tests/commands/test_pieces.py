"""Large pictures piece by piece: no seams, any shape, a batch at a time, the mean of models."""

import tracemalloc
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest

from unet_lib import architecture, prediction
from unet_lib.commands import pieces


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class Mirror:
    """A model that gives back what it sees."""

    def __init__(self, size):
        self.input_shape, self.output_shape = (None, size, size, 1), (None, size, size, 1)
        self.seen = []

    def predict_on_batch(self, batch):
        self.seen.append(np.array(batch[..., 0]))
        return batch


def small_net(size):
    """Two levels; what one output pixel sees reaches 10 px at most to each side."""
    keras.utils.set_random_seed(0)
    conv = {"padding": "same", "activation": "relu", "bias_initializer": "random_normal"}
    image = keras.Input((size, size, 1))
    top = keras.layers.Conv2D(4, 3, **conv)(image)
    low = keras.layers.Conv2D(4, 3, **conv)(keras.layers.MaxPooling2D()(top))
    low = keras.layers.Conv2D(4, 3, **conv)(low)
    up = keras.layers.Concatenate()([top, keras.layers.UpSampling2D()(low)])
    up = keras.layers.Conv2D(4, 3, **conv)(up)
    found = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(up)
    return keras.Model(image, found)


@pytest.mark.parametrize("overlap", [20, 32, 33])
def test_tiles_say_what_the_model_says_of_the_whole(overlap):
    tile, whole, image = small_net(64), small_net(256), noise(256, 256)
    whole.set_weights(tile.get_weights())
    wanted = prediction.predict(whole, image)
    found = pieces.predict([tile], image, overlap=overlap)
    assert found.shape == (256, 256) and found.dtype == np.float32 and np.ptp(wanted) > 0.1
    assert np.abs(found - wanted).max() < 1e-5  # at the border too: both see zeros beyond
    assert np.abs(pieces.predict([tile], image, overlap=0) - wanted).max() > 1e-3


@pytest.mark.parametrize("shape", [(70, 200), (61, 64), (20, 150), (1, 1), (129, 65)])
def test_tiles_cover_images_of_any_shape_once(shape):
    image = noise(*shape)
    for overlap in (0, 7, 32, 48):
        assert np.array_equal(
            pieces.predict([Mirror(64)], image, overlap=overlap), np.float32(image) / 255
        )


def test_away_from_right_and_lower_edge_an_odd_shape_changes_nothing():
    tile, whole, image = small_net(64), small_net(256), noise(256, 256)[:201, :243]
    whole.set_weights(tile.get_weights())
    square = cv2.copyMakeBorder(image, 0, 55, 0, 13, cv2.BORDER_REPLICATE)
    wanted = prediction.predict(whole, square)[:190, :232]
    found = pieces.predict([tile], image)[:190, :232]
    assert np.abs(found - wanted).max() < 1e-5


def test_tiles_of_several_models_are_averaged():
    tiny, big, image = Mirror(32), Mirror(48), noise(100, 90)
    tiny.predict_on_batch, big.predict_on_batch = (lambda x: 0 * x + 0.2), (lambda x: 0 * x + 0.6)
    assert np.allclose(pieces.predict([tiny, big], image), 0.4)


def test_tiles_go_through_the_model_a_batch_at_a_time():
    model = Mirror(64)
    pieces.predict([model], noise(128, 192), overlap=32, batch_size=4)
    assert [len(batch) for batch in model.seen] == [4, 4, 4, 3]  # three rows of five


@pytest.mark.parametrize("overlap", [-1, 49, 64])
def test_an_overlap_that_no_tile_can_have_is_refused(overlap):
    with pytest.raises(ValueError, match=rf"^overlap must be .* 0 to 48 .* 64 px, got {overlap}$"):
        pieces.predict([Mirror(64)], noise(80, 80), overlap=overlap)


def test_pieces_of_several_classes_have_a_channel_for_each():
    unet = architecture.build_unet(32, width=2, head="direct", classes=2)
    assert pieces.predict([unet], noise(70, 40)).shape == (70, 40, 3)


def test_a_large_picture_takes_the_memory_of_its_result_alone():
    """A batch of tiles at a time: the tiles together would be four times the picture."""
    model = SimpleNamespace(input_shape=(None, 64, 64, 1), output_shape=(None, 64, 64, 1),
                            predict_on_batch=lambda batch: batch)
    image = noise(1000, 1500)
    tracemalloc.start()
    found = pieces.predict([model], image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, np.float32(image) / 255)
    assert peak < found.nbytes + 2e6
