"""A data set appears whole or not at all, and no source is touched."""

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from made_trees import (
    GREY,
    content,
    copy_other_encoding,
    image_of,
    make_tree,
    picture,
    run,
    save,
    state,
)

from unet_lib import datasets, workspace
from unet_lib.intake import prepare, writing


def lose_train(root):
    os.rename(root / "train_images", root.with_name("gone"))


def spoil_all(root):
    for path in root.glob("train_images/*/images/*"):
        path.write_bytes(b"")


def hide_masks(root):
    for path in list(root.glob("train_images/*/masks")):
        path.rename(path.with_name("things"))


FATAL = [
    (lambda r: os.rename(r, r.with_name("gone")), FileNotFoundError,
     "source source does not exist"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.mkdir(), ValueError, "Found: nothing (files"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.write_text("PK"), ValueError,
     "Found: a file, source, not a folder (unpack an archive first)"),
    (hide_masks, ValueError, "Found: test_images/, train_images/ (files in all folders: 18 .png)"),
    (spoil_all, ValueError,
     "unreadable file: 8, such as train_images/P_00_0/images/P_00_0.png: empty"),
    (lose_train, ValueError, "2 pictures, but neither folders nor names tell of masks"),
]  # fmt: skip


@pytest.mark.parametrize("damage, kind, text", FATAL)
def test_a_fatal_fault_stops_before_anything_is_written(damage, kind, text, source, target):
    damage(source)
    before = state(target.parents[1])
    with pytest.raises(kind) as caught:
        prepare.restructure(source, target)
    assert text in str(caught.value)
    assert "Expected is a folder that holds one of these trees" in str(caught.value)
    assert "train_images/<id>/masks/<id>.png, test_images/<id>/<id>.png" in str(caught.value)
    assert state(target.parents[1]) == before


def test_source_and_target_must_lie_apart(source, target):
    before = state(source)
    for a, b in [(source, source), (source, source / "x"), (source / "train_images", source)]:
        with pytest.raises(ValueError, match="must not hold each other.*another dataset name"):
            prepare.restructure(a, b)
    assert state(source) == before


def test_a_folder_of_the_user_is_never_replaced(source, tmp_path):
    mine = make_tree(tmp_path / "data" / "mine", layout="usable")
    before = state(mine)
    with pytest.raises(FileExistsError, match="data/mine holds files but no manifest.json"):
        prepare.restructure(source, mine)
    assert state(mine) == before


def test_the_second_run_changes_nothing_and_says_so(source, target):
    first = prepare.restructure(source, target)
    (target / "arrays").mkdir()
    before = state(target.parent)
    second = prepare.restructure(source, target, progress=lambda *_: 1 / 0)  # decodes nothing
    assert first["written"] is True and second["written"] is False
    assert state(target.parent) == before
    assert {**second, "written": True} == first


def made_of_kaggle(source, target, **options):
    """Make a data set whose manifest says that it came from Kaggle."""
    return prepare.restructure(source, target, asked="kaggle", **options)


def test_a_made_data_set_is_enough_without_asking_anyone(source, target, no_network, capsys):
    made = made_of_kaggle(source, target, split_seed=3)
    before = state(target)
    options = {"val_fraction": 0.15, "split_seed": 3, "split": "stratified"}
    found = prepare.find_source("kaggle", target, **options)
    assert found == target and no_network == []
    assert capsys.readouterr().out == (
        "unchanged: data/xrays is there; its source, kaggle, is not cached and was not asked\n"
    )
    again = prepare.restructure(found, target, asked="kaggle", **options)
    assert again == made | {"written": False} and state(target) == before


@pytest.mark.parametrize("other", ["kaggle:some-one/lungs", "split_seed", "bytes", "nothing made"])
def test_any_other_data_set_is_not(other, source, target, no_network):
    made_of_kaggle(source, target)
    asked = other if ":" in other else "kaggle"
    if other == "bytes":
        save(target / "train/masks/P_00_0.png", GREY)
    if other == "nothing made":
        target = target.with_name("none")
    with pytest.raises(RuntimeError, match="could not be downloaded"):
        prepare.find_source(asked, target, split_seed=int(other == "split_seed"))
    assert no_network


def test_a_source_at_hand_is_read_whatever_is_made(source, target):
    made_of_kaggle(source, target)
    assert prepare.find_source(source, target) == source


def test_a_data_set_is_not_its_own_source(source, target):
    """Only `find_source` may say so: then the manifest names the source that was asked for."""
    made_of_kaggle(source, target)
    for options in ({}, {"asked": "kaggle", "split_seed": 1}):
        with pytest.raises(ValueError, match="must not hold each other"):
            prepare.restructure(target, target, **options)


@pytest.mark.parametrize(
    "change", ["split_seed", "val_fraction", "split", "source", "stray", "lost", "edited"]
)
def test_a_changed_source_option_or_copy_is_made_anew(change, source, target):
    first = prepare.restructure(source, target)
    (target / "arrays").mkdir()
    options = {
        "split_seed": {"split_seed": 1},
        "val_fraction": {"val_fraction": 0.5},
        "split": {"split": "last"},
    }
    if change == "source":
        save(image_of(source, "P_00_0"), picture("new"))
    elif change == "stray":
        (source / "notes.txt").touch()
    elif change == "lost":
        (target / "train/masks/P_00_0.png").unlink()
    elif change == "edited":
        save(target / "train/masks/P_00_0.png", GREY)
    second = prepare.restructure(source, target, **options.get(change, {}))
    assert second["written"] is True and not (target / "arrays").exists()
    same = change in ("stray", "lost", "edited")
    assert (second["data_sha256"] == first["data_sha256"]) == same
    assert prepare.restructure(source, target, **options.get(change, {}))["written"] is False
    assert [p.name for p in target.parent.iterdir()] == ["xrays"]


def test_the_data_hash_knows_pixels_not_their_encoding(source, target):
    first = prepare.restructure(source, target)
    copy_other_encoding(source / "train.png", image_of(source, "P_00_0"))
    os.replace(source / "train.png", image_of(source, "P_00_0"))
    second = prepare.restructure(source, target)
    assert second["written"] and second["data_sha256"] == first["data_sha256"]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from unet_lib.intake import prepare, writing
source, target, point = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def die_at(module, name, number, after):
    real, calls = getattr(module, name), []
    def call(*args, **options):
        calls.append(1)
        if len(calls) == number and not after: os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if len(calls) == number: os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)
name, number, after = point.split()
module = {"_put": writing, "rename": os, "write_text": Path, "rmtree": shutil}[name]
die_at(module, name, int(number), after == "after")
prepare.restructure(source, target, split_seed=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_kill_9_at_any_point_and_the_rerun_completes(source, tmp_path):
    whole = tmp_path / "whole" / "xrays"
    prepare.restructure(source, whole, split_seed=1)
    points = ["_put 1 before", "_put 9 after", "write_text 1 before", "write_text 1 after",
              "rename 1 before", "rename 1 after", "rename 2 after"]  # fmt: skip
    folders = {(point, old): tmp_path / f"{n}{old}" / "xrays"
               for n, point in enumerate(points) for old in (False, True)}  # fmt: skip
    for (_, old), target in folders.items():
        if old:  # a complete data set is there, made with another seed
            prepare.restructure(source, target)
    killed = {key: run(KILLED, source, target, key[0]) for key, target in folders.items()}
    for (point, old), target in folders.items():
        process = killed[point, old]
        process.communicate()
        if process.returncode != -9:  # without an old data set there is no second rename
            assert (point, old) == ("rename 2 after", False) and process.returncode == 0
            continue
        if target.exists() and (old or point == "rename 1 after"):
            seed = datasets.load_manifest(target)["split_seed"]
            new = point == ("rename 2 after" if old else "rename 1 after")
            assert seed == (1 if new else 0), (point, old)
        else:
            with pytest.raises(FileNotFoundError, match="01_restructure_dataset"):
                datasets.load_manifest(target)
        prepare.restructure(source, target, split_seed=1)
        assert content(target) == content(whole), (point, old)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_an_old_data_set_survives_a_kill_in_the_swap(source, target, monkeypatch):
    prepare.restructure(source, target)
    before = content(target)
    run(KILLED, source, target, "rename 1 after").communicate()
    assert not target.exists() and (target.parent / ".xrays.old").exists()
    monkeypatch.setattr(writing, "build", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # the next run gives it back before it builds
        prepare.restructure(source, target, split_seed=1)
    assert content(target) == before
    assert [p.name for p in target.parent.iterdir()] == ["xrays"]


@pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")
def test_two_runs_at_once_do_not_disturb_each_other(source, target):
    script = (
        "import sys; from unet_lib.intake import prepare; sys.stderr.write("
        "str(prepare.restructure(sys.argv[1], sys.argv[2])['written']))"
    )
    runs = [run(script, source, target) for _ in range(3)]
    said = sorted(process.communicate()[1] for process in runs)
    assert said == ["False", "False", "True"]
    assert prepare.restructure(source, target)["written"] is False


def test_a_full_disk_is_told_and_leaves_the_old_data_set(source, target, monkeypatch):
    prepare.restructure(source, target)
    before, real, calls = state(target.parent), Path.write_bytes, []

    def write_bytes(path, data):
        calls.append(path)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="cannot write data/xrays: .*No space left.*make room"):
        prepare.restructure(source, target, split_seed=1)
    assert state(target.parent) == before


def test_a_place_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write file/xrays: .*UNET_LOWERED_WORKSPACE"):
        prepare.restructure(source, tmp_path / "file" / "xrays")


def test_memory_does_not_grow_with_the_number_of_pairs(tmp_path, target):
    for number in range(24):
        image = np.full((500, 500), number, np.uint8)
        save(tmp_path / f"s/images/{number}.png", image)
        image[100:200] = 255
        save(tmp_path / f"s/masks/{number}.png", (image == 255) * np.uint8(255))
    tracemalloc.start()
    prepare.restructure(tmp_path / "s", target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 500 * 500  # 24 pairs hold 48 times 500 x 500 bytes
