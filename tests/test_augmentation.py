"""Augmentation: the stated ranges, one geometry for image and mask, the same at each seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from unet_lib.augmentation import Augmentation, affine_rows, change_grey, move

STATED = {  # as the docstring says it
    "rotation": (-6, 6), "zoom": (0.88, 1.12), "shift": (-0.06, 0.06),
    "contrast": (0.75, 1.25), "brightness": (-0.1, 0.1), "gamma": (0.75, 1.33),
}  # fmt: skip
GEOMETRY, INTENSITY = {"rotation", "zoom", "shift"}, {"contrast", "brightness", "gamma"}


def noise(count=6, height=48, width=48):
    """Smooth random images and masks, different for each pair."""
    grey = np.random.default_rng(0).uniform(0, 1, (count, height // 4, width // 4))
    image = ndimage.zoom(grey, (1, 4, 4), order=1)[..., np.newaxis].astype(np.float32)
    return image, (image > 0.5).astype(np.float32)


def drawn(augment, count=4000, seed=(7, 3)):
    return {name: values.numpy() for name, values in augment.draw(count, seed=seed).items()}


def composed(rotation, zoom, shift, height, width):
    """Compose from elementary maps the one that carries a pixel (x, y) to its new place."""
    (angle,), (centre_x, centre_y) = np.radians(rotation), ((width - 1) / 2, (height - 1) / 2)
    to_centre = np.array([[1, 0, -centre_x], [0, 1, -centre_y], [0, 0, 1]])
    turn = np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    there = np.array([[1, 0, shift[0] * width], [0, 1, shift[1] * height], [0, 0, 1]])
    return there @ np.linalg.inv(to_centre) @ np.diag([*zoom, 1]) @ turn @ to_centre


def reference(pair, forward, outside=0.0):
    """Move one (H, W) array by an inverse map in (row, column), with scipy."""
    swap = np.eye(3)[[1, 0, 2]]
    inverse = swap @ np.linalg.inv(forward) @ swap
    options = {"order": 1, "mode": "grid-constant", "cval": outside}
    return ndimage.affine_transform(pair.astype(np.float64), inverse, **options)


def test_the_ranges_are_the_stated_ones_by_default():
    ranges = Augmentation().ranges
    assert list(ranges) == list(STATED)
    for name, span in STATED.items():
        assert ranges[name] == pytest.approx(span, abs=0.004 if name == "gamma" else 1e-9)
    assert set(Augmentation("geometry").ranges) == GEOMETRY
    assert set(Augmentation("intensity").ranges) == INTENSITY


@pytest.mark.parametrize("strength", [1.0, 0.5, 2.0, 3.9])
def test_draws_fill_their_ranges_and_never_leave_them(strength):
    draws = drawn(Augmentation(strength=strength) if strength != 1 else Augmentation())
    assert list(draws) == list(STATED)
    for name, values in draws.items():
        low, high = np.array(STATED[name], float)
        if name == "gamma":  # 0.75 and its inverse, 1.33
            values, (low, high) = np.log(values), np.log([0.75, 1 / 0.75])
        middle = (low + high) / 2
        place = (values - middle) / (strength * (high - low) / 2)  # -1 to 1 if uniform in the range
        assert values.shape == (4000, 2 if name in ("zoom", "shift") else 1)
        assert values.dtype == np.float32
        for column in place.T:
            assert -1 - 1e-5 <= column.min() < -0.99 and 0.99 < column.max() <= 1 + 1e-5
            assert np.quantile(column, [0.25, 0.5, 0.75]) == pytest.approx([-0.5, 0, 0.5], abs=0.05)


def test_each_draw_has_its_own_stream():
    draws = drawn(Augmentation())
    both = np.corrcoef(np.concatenate(list(draws.values()), axis=1).T)
    assert np.abs(both - np.eye(8)).max() < 0.06
    for kind in ("geometry", "intensity"):  # a half draws what it draws in the whole
        for name, values in drawn(Augmentation(kind)).items():
            assert (values == draws[name]).all()


def test_the_seed_alone_decides_and_both_its_numbers_count():
    first = drawn(Augmentation(), count=5, seed=(1, 2))
    assert (drawn(Augmentation(), count=5, seed=(1, 2))["zoom"] == first["zoom"]).all()
    tensors = (tf.constant(1), tf.constant(2, tf.int64))  # as tf.data counts its steps
    assert (drawn(Augmentation(), count=5, seed=tensors)["zoom"] == first["zoom"]).all()
    others = [(2, 1), (1, 3), (2, 2), (-1, 2), (1 + 2**32, 2), (65, 2)]
    for name, values in first.items():
        for seed in others:
            assert not np.isin(values, drawn(Augmentation(), count=5, seed=seed)[name]).any()


def test_the_matrix_turns_zooms_and_shifts_within_the_stated_ranges():
    draws = drawn(Augmentation("geometry"))
    size = tf.constant([300, 200])
    rows = affine_rows(draws["rotation"], draws["zoom"], draws["shift"], size=size).numpy()
    assert rows.shape == (4000, 8) and rows.dtype == np.float32 and (rows[:, 6:] == 0).all()
    backward = rows[:, :6].reshape(-1, 2, 3).astype(float)
    angle = np.degrees(np.arctan2(backward[:, 1, 0], backward[:, 0, 0]))
    assert 5.98 < np.abs(angle).max() < 6.001
    zoom = 1 / np.hypot(backward[:, 0, :2], backward[:, 1, :2])
    assert zoom.min(0) == pytest.approx([0.88, 0.88], abs=2e-4) and zoom.min() > 0.88 - 1e-5
    assert zoom.max(0) == pytest.approx([1.12, 1.12], abs=2e-4) and zoom.max() < 1.12 + 1e-5
    centre = np.array([99.5, 149.5])
    place = np.linalg.solve(backward[:, :, :2], (centre - backward[:, :, 2])[..., None])[..., 0]
    shift = np.abs(place - centre).max(0)  # 6 % of 200 and of 300 px
    assert shift == pytest.approx([12, 18], rel=2e-3) and (shift < [12.001, 18.001]).all()
    assert (np.linalg.det(backward[:, :, :2]) > 0).all()  # no flip


def test_one_interpolation_moves_image_and_mask_as_scipy_does():
    image, mask = noise(count=4, height=40, width=56)
    augment = Augmentation("geometry", strength=1.5)
    moved, moved_mask = (a.numpy()[..., 0] for a in augment(image, mask, seed=(0, 4)))
    draws = drawn(augment, count=4, seed=(0, 4))
    for k in range(4):
        forward = composed(draws["rotation"][k], draws["zoom"][k], draws["shift"][k], 40, 56)
        assert moved[k] == pytest.approx(reference(image[k, ..., 0], forward), abs=1e-4)
        wanted = reference(mask[k, ..., 0], forward)
        sure = np.abs(wanted - 0.5) > 1e-3  # rounding decides at the threshold itself
        assert sure.mean() > 0.99 and (moved_mask[k] == (wanted >= 0.5))[sure].all()


def test_image_and_mask_have_the_same_geometry_to_the_bit():
    image, _ = noise()
    draws = Augmentation("geometry").draw(len(image), seed=(1, 1))
    one, other = move(image, image, draws["rotation"], draws["zoom"], draws["shift"])
    assert (one.numpy() == other.numpy()).all() and (one.numpy() != image).any()


def test_each_pair_has_its_own_transformation_and_values_stay_in_range():
    image = np.zeros((12, 64, 64, 1), np.float32)
    image[:, 20:44, 24:40] = 1.0
    moved, masks = (a.numpy() for a in Augmentation(strength=3)(image, image, seed=(0, 0)))
    assert moved.dtype == masks.dtype == np.float32 and moved.shape == masks.shape == image.shape
    assert moved.min() >= 0 and moved.max() <= 1 and set(np.unique(masks)) == {0, 1}
    for batch in (moved, masks):
        assert len({one.tobytes() for one in batch}) == 12


@pytest.mark.parametrize("kind", ["geometry", "both"])
def test_what_the_geometry_uncovers_is_black(kind):
    white = np.ones((20, 32, 32, 1), np.float32)
    augment = Augmentation(kind, strength=2)
    moved, masks = (a.numpy()[..., 0] for a in augment(white, white, seed=(2, 0)))
    draws = drawn(augment, count=20, seed=(2, 0))
    uncovered = np.zeros(moved.shape, bool)
    for k in range(20):
        forward = composed(draws["rotation"][k], draws["zoom"][k], draws["shift"][k], 32, 32)
        uncovered[k] = reference(white[k, ..., 0], forward) == 0
    assert uncovered.mean() > 0.02
    assert (moved[uncovered] == 0).all() and (masks[uncovered] == 0).all()
    assert (moved[~uncovered] > 0).all() and moved.max() <= 1


def test_grey_levels_follow_contrast_then_brightness_then_gamma():
    image, mask = noise()
    augment = Augmentation("intensity")
    grey, same = (a.numpy() for a in augment(image, mask, seed=(5, 6)))
    assert (same == mask).all() and (np.abs(grey - image).max(axis=(1, 2, 3)) > 0.01).all()
    draws = drawn(augment, count=len(image), seed=(5, 6))
    for k, before in enumerate(image):
        wanted = (before - before.mean()) * draws["contrast"][k] + before.mean()
        wanted = np.clip(wanted + draws["brightness"][k], 0, 1) ** draws["gamma"][k]
        assert grey[k] == pytest.approx(wanted, abs=1e-5)
    assert grey.min() == 0 and grey.max() == 1  # cut off, and 0 ** gamma is 0 itself
    one = np.ones((1, 1), np.float32)
    assert change_grey(image[:1], one, 0 * one, one).numpy() == pytest.approx(image[:1], abs=1e-6)


def test_both_is_intensity_then_geometry():
    image, mask = noise()
    whole = Augmentation()(image, mask, seed=(3, 3))
    grey, _ = Augmentation("intensity")(image, mask, seed=(3, 3))
    halves = Augmentation("geometry")(grey, mask, seed=(3, 3))
    for one, other in zip(whole, halves, strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=1e-6)


def test_masks_are_thresholded_at_a_half():
    mask = np.array([0.0, 0.49, 0.5, 0.51], np.float32).reshape(1, 2, 2, 1)
    _, binary = Augmentation("intensity")(mask, mask, seed=(0, 0))
    assert binary.numpy().ravel().tolist() == [0, 0, 1, 1]


def test_strength_widens_the_transformations():
    image = np.zeros((40, 64, 64, 1), np.float32)
    image[:, 24:40, 24:40] = 1.0
    overlaps = []
    for strength in (0.5, 1.0, 2.0):
        _, moved = Augmentation(strength=strength)(image, image, seed=(3, 0))
        overlaps.append((moved.numpy() * image).sum() / moved.numpy().sum())
    assert overlaps == sorted(overlaps, reverse=True) and overlaps[0] > overlaps[2] + 0.05


def test_augmentation_never_mirrors_an_image():
    image = np.zeros((40, 32, 32, 1), np.float32)
    image[:, :, :16] = 1.0  # bright on the left
    inner = Augmentation()(image, image, seed=(1, 1))[0].numpy()[:, 8:24]
    assert (inner[:, :, 8:12].mean((1, 2, 3)) > inner[:, :, 20:24].mean((1, 2, 3))).all()


def test_a_map_over_batches_of_any_size_gives_what_a_call_gives():
    image, mask = noise(count=7)
    augment = Augmentation()
    batches = tf.data.Dataset.from_tensor_slices((image, mask)).batch(3).enumerate()
    batches = batches.map(lambda step, pair: augment(*pair, seed=(9, step)))
    assert [s.shape.as_list() for s in batches.element_spec] == [[None, 48, 48, 1]] * 2
    assert all(s.dtype == tf.float32 for s in batches.element_spec)
    for step, pair in enumerate(batches):
        rows = slice(3 * step, 3 * step + 3)
        alone = augment(image[rows], mask[rows], seed=(9, step))
        for one, other in zip(pair, alone, strict=True):
            assert one.numpy() == pytest.approx(other.numpy(), abs=1e-6)


def test_the_dtype_policy_changes_nothing():
    image, mask = noise()
    before, policy = Augmentation()(image, mask, seed=(0, 0)), keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        after = Augmentation()(image, mask, seed=(0, 0))
    finally:
        keras.config.set_dtype_policy(policy)
    for one, other in zip(before, after, strict=True):
        assert other.dtype == tf.float32 and (one.numpy() == other.numpy()).all()


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
        Augmentation(**arguments)


def numbered(count=4, size=48):
    """Images whose grey levels tell where classes 0, 2 and 5 lie, and these."""
    image, _ = noise(count, size, size)
    mask = np.select([image > 0.6, image > 0.4], [5.0, 2.0], 0).astype(np.float32)
    return mask / 5, mask


def test_numbers_of_classes_stay_whole_and_move_with_the_image():
    images, masks = numbered()
    augment = Augmentation("geometry", classes="ab")
    moved_images, moved_masks = (part.numpy() for part in augment(images, masks, seed=(1, 2)))
    assert set(np.unique(moved_masks)) == {0, 2, 5} and not np.array_equal(moved_masks, masks)
    assert np.mean(np.abs(moved_images * 5 - moved_masks) < 0.5) > 0.7  # but for outlines
    one, _ = Augmentation("geometry")(images, masks, seed=(1, 2))
    assert np.array_equal(one, moved_images)  # the same geometry, whatever the classes


def test_a_flip_exchanges_left_and_right_in_about_half_of_the_pairs_and_in_both_alike():
    images, masks = numbered(64, 16)
    usual = Augmentation("intensity", classes="ab")(images, masks, seed=(3, 4))
    turned = Augmentation("intensity", classes="ab", flip=True)(images, masks, seed=(3, 4))
    kinds = []
    for k in range(64):
        grey, mask = turned[0][k].numpy(), turned[1][k].numpy()
        flipped = not np.array_equal(mask, masks[k])
        assert np.array_equal(mask, masks[k, :, ::-1] if flipped else masks[k])
        before = usual[0][k].numpy()
        np.testing.assert_allclose(grey, before[:, ::-1] if flipped else before, atol=1e-5)
        kinds.append(flipped)
    assert 20 < sum(kinds) < 44
    again = Augmentation("intensity", classes="ab", flip=True)(images, masks, seed=(3, 4))
    assert np.array_equal(again[1], turned[1])
    other = Augmentation("intensity", classes="ab", flip=True)(images, masks, seed=(3, 5))
    assert not np.array_equal(other[1], turned[1])
