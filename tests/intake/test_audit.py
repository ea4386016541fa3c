"""The table of faults: each is found, told and kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_trees import (
    BOX,
    GREY,
    IDS,
    SOFT,
    TESTS,
    content,
    copy_other_encoding,
    finding,
    image_of,
    mask_of,
    picture,
    save,
    state,
    trained,
)

from unet_lib import datasets
from unet_lib.intake import prepare
from unet_lib.intake.faults import FAULTS


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def link_out(path):
    outside = save(path.parents[4] / "outside" / "secret.png", GREY)
    path.unlink()
    path.symlink_to(outside)


AGAIN = "; copy it again from its origin"
DOUBLE = BOX.repeat(2, 0).repeat(2, 1) * np.uint8(255)

# fault, what breaks the tree, an example that is told, the ids that go missing
BREAKS = [
    ("image without mask", lambda r: mask_of(r, "P_00_0").unlink(),
     "train_images/P_00_0/images/P_00_0.png", ["P_00_0"]),
    ("mask without image", lambda r: image_of(r, "P_01_1").unlink(),
     "train_images/P_01_1/masks/P_01_1.png", ["P_01_1"]),
    ("unreadable file", lambda r: truncate(image_of(r, "P_02_0")),
     "train_images/P_02_0/images/P_02_0.png: truncated PNG file" + AGAIN, ["P_02_0"]),
    ("unreadable file", lambda r: mask_of(r, "P_03_1").write_bytes(b""),
     "train_images/P_03_1/masks/P_03_1.png: empty file of 0 bytes" + AGAIN, ["P_03_1"]),
    ("unreadable file", lambda r: image_of(r, "P_03_1").write_text("hello"),
     "train_images/P_03_1/images/P_03_1.png: no picture: text", ["P_03_1"]),
    ("unreadable file", lambda r: (r / "test_images/T_1/T_1.png").write_bytes(b""),
     "test_images/T_1/T_1.png: empty file of 0 bytes" + AGAIN, ["T_1"]),
    ("image and mask of different size",
     lambda r: save(mask_of(r, "P_04_0"), np.eye(9, dtype=np.uint8) * 255),
     "train_images/P_04_0/masks/P_04_0.png (image 20 x 24, mask 9 x 9)", ["P_04_0"]),
    ("mask of another size", lambda r: save(mask_of(r, "P_04_0"), DOUBLE),
     "train_images/P_04_0/masks/P_04_0.png (40 x 48 to 20 x 24)", []),
    ("empty mask", lambda r: save(mask_of(r, "P_05_1"), np.zeros((20, 24), np.uint8)),
     "train_images/P_05_1/masks/P_05_1.png", ["P_05_1"]),
    ("full mask", lambda r: save(mask_of(r, "P_05_1"), np.full((20, 24), 255, np.uint8)),
     "train_images/P_05_1/masks/P_05_1.png", ["P_05_1"]),
    ("mask with a soft border", lambda r: save(mask_of(r, "P_06_0"), SOFT.astype(np.uint8)),
     "train_images/P_06_0/masks/P_06_0.png (144 px)", []),
    ("mask is a grey picture", lambda r: save(mask_of(r, "P_06_0"), picture("P_06_0")),
     "train_images/P_06_0/masks/P_06_0.png (469 px hold no label)", ["P_06_0"]),
    ("mask of 0 and 1", lambda r: save(mask_of(r, "P_06_0"), BOX * np.uint8(1)),
     "train_images/P_06_0/masks/P_06_0.png", []),
    ("same image twice in train",
     lambda r: copy_other_encoding(image_of(r, "P_07_1"), image_of(r, "P_00_0")),
     "P_07_1 = P_00_0", ["P_07_1"]),
    ("same image in train and test",
     lambda r: copy_other_encoding(image_of(r, "P_07_1"), r / "test_images/T_2/T_2.png"),
     "P_07_1 = T_2", ["P_07_1"]),
    ("same id in train and test",
     lambda r: save(r / "test_images/P_07_1/P_07_1.png", picture("other")), "P_07_1", []),
    ("stray file", lambda r: (r / "train_images/P_00_0/images/.DS_Store").write_bytes(b"x"),
     "train_images/P_00_0/images/.DS_Store", []),
    ("stray file", lambda r: (r / "test_images/Thumbs.db").write_bytes(b"x"),
     "test_images/Thumbs.db", []),
    ("stray file", lambda r: (r / "notes.txt").write_bytes(b"x"), "notes.txt", []),
    ("stray file", lambda r: save(r / "train_images/P_00_0/masks/other.png", GREY),
     "train_images/P_00_0/masks/other.png", []),
    ("path leads outside the source", lambda r: link_out(mask_of(r, "P_00_0")),
     "train_images/P_00_0/masks/P_00_0.png", ["P_00_0"]),
    ("two files with one id",
     lambda r: save(r / "train_images/P_00_0/images/P_00_0.PNG", picture("other")),
     "train_images/P_00_0/images/P_00_0.png (train_images/P_00_0/images/P_00_0.PNG is used)", []),
]  # fmt: skip


@pytest.mark.parametrize("fault, damage, example, lost", BREAKS)
def test_a_fault_is_found_told_and_kept(fault, damage, example, lost, source, target):
    damage(source)
    before = state(source)
    manifest = prepare.restructure(source, target, val_fraction=0.3)
    assert state(source) == before
    found = finding(manifest, fault)
    assert found["count"] == 1 and found["examples"] == found["cases"] == [example]
    assert (found["decision"], found["remedy"]) == FAULTS[fault]
    left = trained(manifest) + manifest["test"]
    assert sorted({*IDS, *TESTS} - set(left)) == lost
    assert {Path(name).stem for name in content(target) if name.endswith(".png")} == set(left)
    assert (
        json.loads((target / "manifest.json").read_text("utf-8"))["findings"]
        == (manifest["findings"])
    )


def test_a_test_image_wins_over_a_pair_of_the_same_id(source, target):
    save(source / "test_images/P_07_1/P_07_1.png", picture("other"))
    steps = []
    manifest = prepare.restructure(source, target, progress=lambda *step: steps.append(step))
    assert steps[-1] == (10, 10)  # the pair is not even examined
    assert "P_07_1" in manifest["test"] and "P_07_1" not in trained(manifest)
    np.testing.assert_array_equal(datasets.read_image(target / "test/P_07_1.png"), picture("other"))


def test_a_thousand_faults_are_counted_and_named_and_five_are_examples(source, target):
    for number in range(1000):
        (source / f"{number:03d}.txt").touch()
    found = finding(prepare.restructure(source, target), "stray file")
    assert found["count"] == 1000 and len(found["examples"]) == 5
    assert found["cases"] == sorted(f"{number:03d}.txt" for number in range(1000))


def test_progress_counts_every_file_once(source, target):
    steps = []
    prepare.restructure(source, target, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 10) for number in range(1, 11)]
