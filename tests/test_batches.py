"""Arrays on disk, whatever the disk does, and the batches that are read from them."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf

from unet_lib import batches, datasets, phantom, pixels, workspace
from unet_lib.augmentation import Augmentation
from unet_lib.intake import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small data set as notebook 01 makes it."""
    root = tmp_path_factory.mktemp("batches")
    phantom.write_primary_tree(root / "source", train=5, test=1, seed=2)
    prepare.restructure(root / "source", root / "data", val_fraction=0.2)
    return root / "data"


def ramp(count=7, size=16):
    """`count` different pairs: image k is all k, mask k has k rows of lung."""
    levels = np.arange(count, dtype=np.uint8)
    stack = np.broadcast_to(levels[:, None, None], (count, size, size)).copy()
    masks = (np.arange(size)[None, :, None] < stack).astype(np.uint8)
    return stack, masks


def as_arrays(stream):
    return [(image.numpy(), mask.numpy()) for image, mask in stream]


def test_arrays_are_bytes_on_disk_in_the_order_asked_for(folder):
    ids = datasets.load_manifest(folder)["split"]["train"][::-1]
    stack, masks = batches.open_arrays(folder, ids, image_size=32)
    assert isinstance(stack, np.memmap) and isinstance(masks, np.memmap)
    assert (
        stack.shape == masks.shape == (len(ids), 32, 32) and stack.dtype == masks.dtype == np.uint8
    )
    first = datasets.read_image(folder / "train" / "images" / f"{ids[0]}.png")
    assert (stack[0] == pixels.resize_image(first, 32)).all()
    assert set(np.unique(masks)) == {0, 1}
    with pytest.raises(ValueError, match="read-only"):
        stack[0, 0, 0] = 1


def test_arrays_are_written_once_and_500_pairs_of_512_px_stay_below_300_mb(folder):
    ids = datasets.load_manifest(folder)["split"]["train"]
    batches.open_arrays(folder, ids, image_size=16)
    files = sorted((folder / "arrays").glob("16px-*"))
    before = [f.stat().st_mtime_ns for f in files]
    batches.open_arrays(folder, ids, image_size=16)
    assert [f.stat().st_mtime_ns for f in files] == before and len(files) == 2
    assert not list((folder / "arrays").glob(".partial*"))
    per_pixel = (sum(f.stat().st_size for f in files) - 2 * 128) / (len(ids) * 16 * 16)
    assert per_pixel == 2 and 500 * 512 * 512 * per_pixel < 300e6


def test_evaluation_batches_hold_each_pair_once_in_order():
    found = as_arrays(batches.evaluation_batches(*ramp(), batch_size=3))
    assert [len(image) for image, _ in found] == [3, 3, 1]
    image = np.concatenate([image for image, _ in found])
    mask = np.concatenate([mask for _, mask in found])
    assert image.shape == mask.shape == (7, 16, 16, 1) and image.dtype == mask.dtype == np.float32
    assert image[:, 0, 0, 0] * 255 == pytest.approx(range(7))
    assert mask.sum(axis=(1, 2, 3)).tolist() == [16 * k for k in range(7)]


def test_training_batches_shuffle_each_epoch_anew_and_keep_pairs_together():
    found = as_arrays(batches.training_batches(*ramp(), batch_size=3, epochs=4, seed=1))
    assert len(found) == 4 * batches.steps_per_epoch(7, 3) == 12
    orders = []
    for epoch in range(4):
        image = np.concatenate([i for i, _ in found[3 * epoch : 3 * epoch + 3]])
        mask = np.concatenate([m for _, m in found[3 * epoch : 3 * epoch + 3]])
        order = np.round(image[:, 0, 0, 0] * 255).astype(int).tolist()
        assert sorted(order) == list(range(7))
        assert mask.sum(axis=(1, 2, 3)).tolist() == [16 * k for k in order]
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("augment", [None, Augmentation()])
def test_a_resumed_stream_repeats_the_uninterrupted_one_bit_for_bit(augment):
    options = {"batch_size": 3, "epochs": 4, "seed": 5, "augment": augment}
    whole = as_arrays(batches.training_batches(*ramp(), **options))
    rest = as_arrays(batches.training_batches(*ramp(), first_epoch=2, **options))
    assert len(rest) == 6
    for (image, mask), (image_again, mask_again) in zip(whole[6:], rest, strict=True):
        assert (image == image_again).all() and (mask == mask_again).all()
    other = as_arrays(batches.training_batches(*ramp(), **{**options, "seed": 6}))
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=True))


def test_no_two_batches_of_a_training_are_augmented_alike():
    def tell(image, mask, *, seed, place):
        return image, tf.zeros_like(mask) + tf.cast(seed[1], tf.float32)

    options = {"batch_size": 3, "epochs": 4, "seed": 5, "augment": tell}
    steps = [mask.max() for _, mask in as_arrays(batches.training_batches(*ramp(), **options))]
    assert steps == list(range(12))


@pytest.mark.parametrize("augment", [None, Augmentation(flip=True)])
def test_the_pieces_of_all_processes_are_the_whole_batches(augment):
    """Each process reads its own piece, augmented as in the whole batch; full batches alone."""
    how = {"batch_size": 6, "epochs": 2, "seed": 3, "augment": augment, "full_batches": True}
    whole = as_arrays(batches.training_batches(*ramp(20), **how))
    pieces = [as_arrays(batches.training_batches(*ramp(20), **how, part=(k, 3))) for k in range(3)]
    assert len(whole) == 6 and {image.shape[0] for image, _ in whole} == {6}
    for step, (image, mask) in enumerate(whole):
        own = [part[step] for part in pieces]
        assert all(len(image) == len(mask) == 2 for image, mask in own)
        assert np.concatenate([i for i, _ in own]) == pytest.approx(image, abs=1e-6)
        assert (np.concatenate([m for _, m in own]) == mask).all()
    seen = {round(255 * float(i.max())) for image, _ in whole[:3] for i in image}
    assert augment or len(seen) == 18  # 18 of 20 in an epoch, no pair twice


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    with pytest.raises(ValueError, match="a multiple of 4, .* got 6; use 8"):
        batches.training_batches(*ramp(8), batch_size=6, epochs=1, seed=0, full_batches=True,
                                 part=(0, 4))  # fmt: skip


def test_batches_train_a_keras_model_in_bounded_memory_shapes():
    spec = batches.training_batches(*ramp(), batch_size=3, epochs=1, seed=0).element_spec
    assert [s.shape.as_list() for s in spec] == [[None, 16, 16, 1]] * 2
    assert all(s.dtype == tf.float32 for s in spec)


def test_pairs_are_read_in_order_at_their_own_size(tmp_path):
    pairs = {}
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    for k in range(8):
        image, mask = np.zeros((2, 40 + k, 32), np.uint8)
        image[:, : 8 + k], mask[:, :16] = 255, 1
        pairs[f"P{k}"] = image, mask
        for kind, array in (("images", image), ("masks", mask * np.uint8(255))):
            assert cv2.imwrite(str(tmp_path / "source" / kind / f"P{k}.png"), array)
    prepare.restructure(tmp_path / "source", tmp_path / "data")
    found = datasets.read_pairs(tmp_path / "data", ["P5", "P1"])
    for name, (image, mask) in zip(("P5", "P1"), found, strict=True):
        assert np.array_equal(image, pairs[name][0]) and np.array_equal(mask, pairs[name][1])


# ------------------------------------------------------------------- what may happen to the arrays


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the data set without arrays, its training ids, and what its arrays should hold."""
    shutil.copytree(folder, tmp_path / "data", ignore=shutil.ignore_patterns("arrays"))
    ids = datasets.load_manifest(folder)["split"]["train"]
    pairs = [datasets.read_pair(folder, name) for name in ids]
    wanted = [
        np.array([pixels.resize_image(image, 16) for image, _ in pairs]),
        np.array([pixels.resize_mask(mask, 16) for _, mask in pairs]),
    ]
    return tmp_path / "data", ids, wanted


def listing(folder):
    return sorted(p.name for p in (folder / "arrays").iterdir())


def assert_equal(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other) and one.dtype == other.dtype


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def no_bytes(file):
    file.write_bytes(b"")


def cut_in_the_header(file):
    file.write_bytes(file.read_bytes()[:40])


def other_shape(file):
    array = np.load(file)
    np.save(file, array.reshape(len(array), 32, 8))


def other_type(file):
    np.save(file, np.load(file).astype(np.int8))


def too_long(file):
    file.write_bytes(file.read_bytes() + b"x")


def torn(file):
    content = file.read_bytes()
    file.write_bytes(content.replace(b"(", b"[[", 1)[: len(content)])


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize(
    "damage", [cut, no_bytes, cut_in_the_header, other_shape, other_type, too_long, torn]
)
def test_a_damaged_array_file_is_named_and_made_anew(copy, capsys, damage, kind):
    folder, ids, wanted = copy
    batches.open_arrays(folder, ids, image_size=16)
    before = listing(folder)
    (file,) = (folder / "arrays").glob(f"*-{kind}.npy")
    damage(file)
    assert capsys.readouterr().out == ""
    found = batches.open_arrays(folder, ids, image_size=16)
    assert_equal(found, wanted)
    word = f"{workspace.shown(file)} is cut off or damaged; it is made anew"
    assert set(capsys.readouterr().out.splitlines()) == {word}
    assert listing(folder) == before


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EINVAL])
def test_where_files_cannot_be_mapped_they_are_read_with_a_word(copy, capsys, monkeypatch, number):
    folder, ids, wanted = copy

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    monkeypatch.setattr(np, "memmap", refuse)  # newer NumPy keeps the former elsewhere
    found = batches.open_arrays(folder, ids, image_size=16)
    assert_equal(found, wanted)
    for array in found:
        assert type(array) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("this file system cannot map files" in line for line in lines)


def test_too_small_a_disk_is_refused_before_anything_is_written(copy, monkeypatch):
    folder, ids, wanted = copy
    needed = 2 * len(ids) * 16 * 16
    free = {"bytes": needed - 1}
    usage = batches.shutil.disk_usage
    monkeypatch.setattr(
        batches.shutil, "disk_usage", lambda path: usage(path)._replace(free=free["bytes"])
    )
    read, reads = datasets.read_pair, []
    monkeypatch.setattr(datasets, "read_pair", lambda *a: reads.append(a) or read(*a))
    message = r"no space left on the disk of .*: the arrays need 1 MB, 0 MB are free; make room"
    with pytest.raises(OSError, match=message) as caught:
        batches.open_arrays(folder, ids, image_size=16)
    assert caught.value.errno == errno.ENOSPC and "UNET_LOWERED_WORKSPACE" in str(caught.value)
    assert listing(folder) == [] and reads == []
    free["bytes"] = needed
    assert_equal(batches.open_arrays(folder, ids, image_size=16), wanted)


@pytest.mark.parametrize("where", ["third pair", "sync"])
@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "no space left .* MB"), (errno.EIO, "^.Errno 5. broken")]
)
def test_a_disk_that_fails_in_the_middle_leaves_no_half_file(
    copy, monkeypatch, where, number, message
):
    folder, ids, wanted = copy
    calls, resize = itertools.count(), pixels.resize_mask

    def fail(*arguments):
        if arguments[1:] and next(calls) < 2:
            return resize(*arguments)
        raise OSError(number, "broken")

    if where == "sync":
        monkeypatch.setattr(workspace.os, "fsync", fail)
    else:
        monkeypatch.setattr(pixels, "resize_mask", fail)
    with pytest.raises(OSError, match=message):
        batches.open_arrays(folder, ids, image_size=16)
    assert listing(folder) == []
    monkeypatch.undo()
    assert_equal(batches.open_arrays(folder, ids, image_size=16), wanted)


WRITER = """
import sys
from pathlib import Path
from unet_lib import batches

write = batches._write_arrays
def slowly(*arguments):
    print("writing", flush=True)
    sys.stdin.readline()
    write(*arguments)

batches._write_arrays = slowly
batches.open_arrays(Path(sys.argv[1]), sys.argv[2:], image_size=16)
print("done", flush=True)
"""


def test_two_processes_at_once_make_the_arrays_once(copy, monkeypatch):
    folder, ids, wanted = copy
    other = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), *ids], cwd=workspace.PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with other:
        assert other.stdout.readline() == "writing\n"
        lock = batches.workspace.alone

        def go_on(path):  # this process is about to wait: let the other one write
            other.stdin.write("\n")
            other.stdin.close()
            return lock(path)

        monkeypatch.setattr(batches, "workspace", SimpleNamespace(**vars(workspace)))
        monkeypatch.setattr(batches.workspace, "alone", go_on)
        monkeypatch.setattr(batches, "_write_arrays", lambda *a: pytest.fail("written twice"))
        assert_equal(batches.open_arrays(folder, ids, image_size=16), wanted)
        assert other.stdout.read() == "done\n"
    assert len(listing(folder)) == 2


def test_numbers_of_classes_reach_the_batches(tmp_path):
    phantom.write_primary_tree(tmp_path / "source", train=3, test=0, seed=2, sides=True)
    made = prepare.restructure(
        tmp_path / "source", tmp_path / "data", val_fraction=0.3, mask_values=datasets.SIDES)
    ids = made["split"]["train"]
    stack, masks = batches.open_arrays(tmp_path / "data", ids, image_size=32)
    assert set(np.unique(masks)) == {0, 1, 2}
    augment = Augmentation(classes=("right lung", "left lung"))
    stream = batches.training_batches(stack, masks, batch_size=2, epochs=1, seed=0, augment=augment)
    for batch in (batches.evaluation_batches(stack, masks, batch_size=2), stream):
        ((_, numbers),) = as_arrays(batch)
        assert numbers.shape == (2, 32, 32, 1) and numbers.dtype == np.float32
        assert set(np.unique(numbers)) == {0, 1, 2}
