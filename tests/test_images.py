"""Resizing, arrays on disk, batches and augmentation."""

import numpy as np
import pytest
import tensorflow as tf

from unet_lib import dataset, images, phantom


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small data set as notebook 01 makes it."""
    root = tmp_path_factory.mktemp("images")
    phantom.write_primary_tree(root / "source", train=5, test=1, seed=2)
    dataset.restructure(root / "source", root / "data", val_fraction=0.2)
    return root / "data"


def ramp(count=7, size=16):
    """`count` different pairs: image k is all k, mask k has k rows of lung."""
    levels = np.arange(count, dtype=np.uint8)
    stack = np.broadcast_to(levels[:, None, None], (count, size, size)).copy()
    masks = (np.arange(size)[None, :, None] < stack).astype(np.uint8)
    return stack, masks


def as_arrays(batches):
    return [(image.numpy(), mask.numpy()) for image, mask in batches]


def test_resized_masks_stay_binary_and_keep_their_area():
    mask = np.zeros((301, 257), np.uint8)
    mask[50:250, 40:170] = 1
    for size in (64, 128, 512):
        small = images.resize_mask(mask, size)
        assert small.shape == (size, size) and set(np.unique(small)) == {0, 1}
        assert small.mean() == pytest.approx(mask.mean(), abs=0.02)


def test_shrinking_averages_areas():
    checker = np.kron([[0, 200], [200, 0]], np.ones((8, 8))).astype(np.uint8)
    assert images.resize_image(checker, 2).tolist() == [[0, 200], [200, 0]]
    fine = np.tile(np.array([[0, 200], [200, 0]], np.uint8), (8, 8))
    assert (images.resize_image(fine, 4) == 100).all()  # nearest neighbour would give 0 or 200


def test_a_probability_comes_back_at_the_images_own_size():
    probability = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4, 1)
    large = images.resize_probability(probability, (20, 30))
    assert large.shape == (20, 30) and large.dtype == np.float32
    assert 0 <= large.min() < large.max() <= 1
    back = images.resize_probability(images.resize_probability(probability, (64, 64)), (4, 4))
    assert back == pytest.approx(probability[..., 0], abs=0.02)


def test_cleaning_up_keeps_the_two_largest_parts_and_fills_holes():
    prediction = np.zeros((12, 20), np.uint8)
    prediction[1:9, 1:7] = 1
    prediction[4:6, 3:5] = 0  # a hole
    prediction[2:8, 10:14] = 1
    prediction[8, 14] = 1  # touches at a corner: same part
    prediction[10:12, 17:19] = 1  # a third, smaller part
    cleaned = images.clean_up(prediction)
    wanted = prediction.astype(bool)
    wanted[4:6, 3:5] = True
    wanted[10:12, 17:19] = False
    assert cleaned.dtype == bool and (cleaned == wanted).all()
    areas = [images.clean_up(prediction, parts=parts).sum() for parts in (1, 9)]
    assert areas == [48, 48 + 25 + 4]
    assert not images.clean_up(np.zeros((3, 3), bool)).any()


def test_arrays_are_bytes_on_disk_in_the_order_asked_for(folder):
    ids = dataset.load_manifest(folder)["split"]["train"][::-1]
    stack, masks = images.open_arrays(folder, ids, image_size=32)
    assert isinstance(stack, np.memmap) and isinstance(masks, np.memmap)
    assert (
        stack.shape == masks.shape == (len(ids), 32, 32) and stack.dtype == masks.dtype == np.uint8
    )
    first = dataset.read_image(folder / "train" / "images" / f"{ids[0]}.png")
    assert (stack[0] == images.resize_image(first, 32)).all()
    assert set(np.unique(masks)) == {0, 1}
    with pytest.raises(ValueError, match="read-only"):
        stack[0, 0, 0] = 1


def test_arrays_are_written_once_and_500_pairs_of_512_px_stay_below_300_mb(folder):
    ids = dataset.load_manifest(folder)["split"]["train"]
    images.open_arrays(folder, ids, image_size=16)
    files = sorted((folder / "arrays").glob("16px-*"))
    before = [f.stat().st_mtime_ns for f in files]
    images.open_arrays(folder, ids, image_size=16)
    assert [f.stat().st_mtime_ns for f in files] == before and len(files) == 2
    assert not list((folder / "arrays").glob("*.partial*"))
    per_pixel = (sum(f.stat().st_size for f in files) - 2 * 128) / (len(ids) * 16 * 16)
    assert per_pixel == 2 and 500 * 512 * 512 * per_pixel < 300e6


def test_evaluation_batches_hold_each_pair_once_in_order():
    batches = as_arrays(images.evaluation_batches(*ramp(), batch_size=3))
    assert [len(image) for image, _ in batches] == [3, 3, 1]
    image = np.concatenate([image for image, _ in batches])
    mask = np.concatenate([mask for _, mask in batches])
    assert image.shape == mask.shape == (7, 16, 16, 1) and image.dtype == mask.dtype == np.float32
    assert image[:, 0, 0, 0] * 255 == pytest.approx(range(7))
    assert mask.sum(axis=(1, 2, 3)).tolist() == [16 * k for k in range(7)]


def test_training_batches_shuffle_each_epoch_anew_and_keep_pairs_together():
    batches = as_arrays(images.training_batches(*ramp(), batch_size=3, epochs=4, seed=1))
    assert len(batches) == 4 * images.steps_per_epoch(7, 3) == 12
    orders = []
    for epoch in range(4):
        image = np.concatenate([i for i, _ in batches[3 * epoch : 3 * epoch + 3]])
        mask = np.concatenate([m for _, m in batches[3 * epoch : 3 * epoch + 3]])
        order = np.round(image[:, 0, 0, 0] * 255).astype(int).tolist()
        assert sorted(order) == list(range(7))
        assert mask.sum(axis=(1, 2, 3)).tolist() == [16 * k for k in order]
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("augment", [None, images.Augmentation()])
def test_a_resumed_stream_repeats_the_uninterrupted_one_bit_for_bit(augment):
    options = {"batch_size": 3, "epochs": 4, "seed": 5, "augment": augment}
    whole = as_arrays(images.training_batches(*ramp(), **options))
    rest = as_arrays(images.training_batches(*ramp(), first_epoch=2, **options))
    assert len(rest) == 6
    for (image, mask), (image_again, mask_again) in zip(whole[6:], rest, strict=True):
        assert (image == image_again).all() and (mask == mask_again).all()
    other = as_arrays(images.training_batches(*ramp(), **{**options, "seed": 6}))
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=True))


def test_augmentation_moves_image_and_mask_together_and_keeps_masks_binary():
    pairs = np.zeros((12, 64, 64, 1), np.float32)
    pairs[:, 20:44, 24:40] = 0.5
    masks = (pairs > 0).astype(np.float32)
    moved, moved_masks = images.Augmentation()(pairs, masks, seed=(0, 0))
    moved, moved_masks = moved.numpy(), moved_masks.numpy()
    assert set(np.unique(moved_masks)) == {0, 1} and moved.min() >= 0 and moved.max() <= 1
    assert len({mask.tobytes() for mask in moved_masks}) == 12  # each pair its own transformation
    for image, mask in zip(moved, moved_masks, strict=True):
        levels = [np.median(image[mask == kind]) for kind in (1, 0)]
        found = image > np.mean(levels)  # contrast and brightness change the levels, not the place
        overlap = 2 * np.sum(found * mask) / (found.sum() + mask.sum())
        assert overlap > 0.93, overlap
    again, _ = images.Augmentation()(pairs, masks, seed=(0, 0))
    assert (again.numpy() == moved).all()


def test_each_half_of_the_augmentation_leaves_the_other_half_alone():
    image = np.random.default_rng(0).uniform(0.3, 0.7, (6, 32, 32, 1)).astype(np.float32)
    mask = (image > 0.5).astype(np.float32)
    grey, same = (a.numpy() for a in images.Augmentation("intensity")(image, mask, seed=(0, 1)))
    assert (same == mask).all() and (np.abs(grey - image).max(axis=(1, 2, 3)) > 0.01).all()
    for one, before in zip(grey, image, strict=True):  # no pixel has moved: the order is kept
        assert (np.diff(one.ravel()[np.argsort(before.ravel())]) >= -1e-6).all()
    flat = np.full((6, 32, 32, 1), 0.4, np.float32)
    moved, _ = images.Augmentation("geometry")(flat, flat, seed=(0, 1))
    inside = moved.numpy()[:, 8:24, 8:24]  # far from what the geometry uncovers
    assert inside == pytest.approx(np.full_like(inside, 0.4), abs=1e-5)


def test_strength_widens_the_transformations():
    image = np.zeros((40, 64, 64, 1), np.float32)
    image[:, 24:40, 24:40] = 0.5
    overlaps = []
    for strength in (0.5, 1.0, 2.0):
        _, moved = images.Augmentation(strength=strength)(image, 2 * image, seed=(3, 0))
        moved = moved.numpy()
        overlaps.append((moved * 2 * image).sum() / moved.sum())
    assert overlaps == sorted(overlaps, reverse=True) and overlaps[0] > overlaps[2] + 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "flip"}, "kind must be 'geometry', 'intensity' or 'both', got 'flip'"),
        ({"strength": 0}, "strength must lie between 0 and 4, got 0; 1.0 is a good start"),
        ({"strength": 4.0}, "strength must lie between 0 and 4, got 4.0"),
    ],
)
def test_augmentation_refuses_what_it_cannot_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        images.Augmentation(**arguments)


def test_augmentation_never_mirrors_an_image():
    image = np.zeros((40, 32, 32, 1), np.float32)
    image[:, :, :16] = 1.0  # bright on the left
    moved, _ = images.Augmentation()(image, image, seed=(1, 1))
    left, right = (
        moved.numpy()[:, 8:24, 8:12].mean((1, 2, 3)),
        moved.numpy()[:, 8:24, 20:24].mean((1, 2, 3)),
    )
    assert (left > right).all()


def test_batches_train_a_keras_model_in_bounded_memory_shapes():
    spec = images.training_batches(*ramp(), batch_size=3, epochs=1, seed=0).element_spec
    assert [s.shape.as_list() for s in spec] == [[None, 16, 16, 1]] * 2
    assert all(s.dtype == tf.float32 for s in spec)
