"""What is kept of each image: a few figures, whatever its size."""

import dataclasses

import numpy as np
import pytest
from made_sets import LUNGS, WHITE, chest, dicom, encode, make_set, put, turned

from unet_lib.intake import looks, reading
from unet_lib.intake.tree import Tree, find_tree


def pair(folder, image, mask=WHITE):
    """Return the look of one pair."""
    tree = Tree(folder, "flat", {"P": put(folder / "P.png", image)},
                {"P": (put(folder / "P_mask.png", mask),)})  # fmt: skip
    return looks.look_at_all(tree)["P"], tree


def test_a_plain_pair(tmp_path):
    look, tree = pair(tmp_path, chest(0))
    assert look.shape == look.stored == (64, 64) and look.kind == "PNG" and look.usable
    assert (look.settled, look.depth, look.notes) == (False, None, [])
    assert look.levels == len(np.unique(chest(0)))
    (path, label), counts = next(iter(look.counts.items()))
    assert (path, label) == (tree.masks["P"][0], "") and counts.pixels[255] == LUNGS.sum()
    assert look.plain == {tree.images["P"], tree.masks["P"][0]}
    assert look.small.shape == (256,) and np.linalg.norm(look.small) == pytest.approx(1)
    assert look.small.mean() == pytest.approx(0, abs=1e-6)


def test_contrast_tells_a_negative(tmp_path):
    assert pair(tmp_path / "a", chest(0))[0].contrast > 1
    assert pair(tmp_path / "b", 255 - chest(0))[0].contrast < -1
    inverted = pair(tmp_path / "c", chest(0), 255 - WHITE)[0]  # what the border is not is drawn
    assert inverted.contrast > 1
    assert pair(tmp_path / "d", chest(0), WHITE * 0)[0].contrast is None
    assert pair(tmp_path / "e", np.full((64, 64), 7, np.uint8))[0].contrast is None


def test_contrast_of_left_and_right_in_two_files_is_that_of_both(tmp_path):
    grey = np.full((64, 64), 100, np.uint8)
    grey[12:52, 8:27] = 180  # one side bright, one dark
    grey[12:52, 37:56] = 20
    sides = [put(tmp_path / f"{n}.png", side * np.uint8(255)) for n, side in enumerate(
        (LUNGS & (np.arange(64) < 32), LUNGS & (np.arange(64) >= 32)))]  # fmt: skip
    tree = Tree(tmp_path, "flat", {"P": put(tmp_path / "P.png", grey)}, {"P": tuple(sides)})
    both = looks.look_at_all(tree)["P"].contrast
    assert abs(both) < 0.1


@pytest.mark.parametrize(("image", "mask", "plain"), [
    (chest(0), encode(WHITE, "bmp"), "image"), (encode(chest(0), "bmp"), WHITE, "mask"),
    (np.dstack([chest(0)] * 3), np.dstack([WHITE] * 3), ""), (chest(0), WHITE // 255, "image"),
    (chest(0).astype(np.uint16) * 9, WHITE, "mask"), (chest(0), turned(np.rot90(WHITE)), "image"),
    (turned(np.rot90(chest(0))), WHITE, "mask"), (chest(0), turned(WHITE, 1), "image mask"),
    (chest(0), WHITE.repeat(2, 0).repeat(2, 1), "image"), (chest(0), WHITE * 0, "image mask"),
])  # fmt: skip
def test_only_what_is_plain_is_copied_as_it_is(image, mask, plain, tmp_path):
    look, tree = pair(tmp_path, image, mask)
    names = {tree.images["P"]: "image", tree.masks["P"][0]: "mask"}
    assert sorted(names[path] for path in look.plain) == plain.split() and look.usable


def test_a_mask_on_the_stored_pixels_of_a_film_that_are_not_square(tmp_path):
    film = dicom(chest(0) * np.uint16(16), PixelAspectRatio=[2, 1])
    look, _ = pair(tmp_path, film)
    assert look.usable and look.shape == (128, 64) and look.stored == (64, 64)
    assert [fault for fault, *_ in look.notes] == ["non-square pixels"]
    assert pair(tmp_path / "b", film, WHITE.repeat(2, 0))[0].usable
    assert not pair(tmp_path / "c", film, WHITE.repeat(2, 1))[0].usable


def test_test_images_come_first_and_have_no_mask(tmp_path):
    make_set(tmp_path, count=3)
    put(tmp_path / "test/T.png", chest(9))
    steps = []
    found = looks.look_at_all(find_tree(tmp_path), lambda *step: steps.append(step))
    assert list(found) == ["T", "P00", "P01", "P02"] and steps == [(n, 4) for n in range(1, 5)]
    assert found["T"].usable and found["T"].counts == {}


def test_a_damaged_file_costs_its_own_pair_alone(tmp_path):
    make_set(tmp_path, count=3)
    (tmp_path / "images/P00.png").write_bytes(encode(chest(0))[:-40])
    (tmp_path / "masks/P01.png").write_text("hello")
    found = looks.look_at_all(find_tree(tmp_path))
    assert [look.usable for look in found.values()] == [False, False, True]
    assert [path.name for look in found.values() for _, path, _ in look.notes] == [
        "P00.png", "P01.png"]  # fmt: skip
    assert found["P01"].notes[0][1].parent.name == "masks"
    why = [look.notes[0][2] for look in found.values() if look.notes]
    assert all(text.startswith(": ") and len(text) > 15 and "None" not in text for text in why), why


def test_an_interrupt_does_not_wait_for_the_rest(tmp_path, monkeypatch):
    make_set(tmp_path, count=40)
    read, real = [], reading.read_image
    monkeypatch.setattr(reading, "read_image", lambda path: read.append(path) or real(path))

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looks.look_at_all(find_tree(tmp_path), interrupt)
    assert len(read) < 40


def test_a_look_is_small(tmp_path):
    """Ten thousand of them are to stay in memory."""
    look, _ = pair(tmp_path, chest(0, 1024), WHITE.repeat(16, 0).repeat(16, 1))
    arrays = [v for v in dataclasses.asdict(look).values() if isinstance(v, np.ndarray)]
    assert sum(array.nbytes for array in arrays) <= 1024


def test_the_hash_knows_shape_and_pixels_only():
    """Manifests of earlier releases hold it."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert looks.hash_pixels(pixels) == looks.hash_pixels(np.asfortranarray(pixels)) == (
        "208ad48e12fd6fd6bf1a54d5a15ffad828843d198fd7139e057f23fdf0f8fc84")
    assert looks.hash_pixels(pixels) != looks.hash_pixels(pixels.reshape(4, 3))
