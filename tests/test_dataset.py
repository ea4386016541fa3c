"""The data set: every fault is found and told, no source is touched, nothing is half made."""

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tracemalloc
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from unet_lib import dataset, workspace

IDS = [f"P_{number:02d}_{number % 2}" for number in range(8)]
TESTS = ["T_1", "T_2"]


def picture(name: str) -> np.ndarray:
    """Return the image that belongs to an id: (20, 24) uint8, different for each."""
    return np.random.default_rng(list(os.fsencode(name))).integers(0, 256, (20, 24), dtype=np.uint8)


def truth(name: str) -> np.ndarray:
    """Return the mask that belongs to an id: (20, 24) bool with a box in it."""
    mask = np.zeros((20, 24), bool)
    mask[5:15, 3 : 10 + len(name) % 3] = True
    return mask


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


PLACES = {
    "primary": ("train_images/{0}/images/{0}.png", "train_images/{0}/masks/{0}.png",
                "test_images/{0}/{0}.png"),
    "primary, test in images": ("train_images/{0}/images/{0}.png", "train_images/{0}/masks/{0}.png",
                                "test_images/{0}/images/{0}.png"),
    "usable": ("train/images/{0}.png", "train/masks/{0}.png", "test/{0}.png"),
    "flat": ("images/{0}.png", "masks/{0}.png", None),
    "flat, _mask": ("images/{0}.png", "masks/{0}_mask.png", None),
}  # fmt: skip


def make_tree(root: Path, *, layout: str = "primary", ids=IDS, tests=TESTS) -> Path:
    image_at, mask_at, test_at = PLACES[layout]
    for name in ids:
        save(root / image_at.format(name), picture(name))
        save(root / mask_at.format(name), truth(name) * np.uint8(255))
    for name in tests if test_at else []:
        save(root / test_at.format(name), picture(name))
    return root


def state(folder: Path) -> dict:
    """Return everything about a folder: names, links, bytes and times of change."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def content(folder: Path) -> dict:
    return {name: data for name, (_, data) in state(folder).items()}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))


@pytest.fixture
def source(tmp_path):
    return make_tree(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "xrays"


def trained(manifest: dict) -> list[str]:
    return sorted(manifest["split"]["train"] + manifest["split"]["validation"])


# Trees and formats


@pytest.mark.parametrize("layout", PLACES)
def test_every_tree_becomes_the_usable_tree(layout, tmp_path, target):
    manifest = dataset.restructure(make_tree(tmp_path / "s", layout=layout), target)
    tests = [] if layout.startswith("flat") else TESTS
    assert manifest["layout"] == layout.split(",")[0] and trained(manifest) == IDS
    assert manifest["test"] == tests
    assert manifest["test_layout"] == [p.format("<id>") for p in PLACES[layout][2:] if p]
    names = [f"train/{kind}/{i}.png" for kind in ("images", "masks") for i in IDS]
    names += [f"test/{i}.png" for i in tests]
    assert {p for p in content(target) if p.endswith(".png")} == set(names)
    for name in IDS:
        image = cv2.imread(str(target / f"train/images/{name}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(target / f"train/masks/{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, picture(name))
        np.testing.assert_array_equal(mask, truth(name) * 255)
        item = manifest["items"][name]
        assert (item["height"], item["width"], item["class"]) == (20, 24, int(name[-1]))
    assert all(f["count"] == 0 for f in manifest["findings"])
    assert [f["fault"] for f in manifest["findings"]] == list(dataset.FAULTS)


def test_both_forms_of_the_test_folder_may_be_mixed(source, target):
    save(source / "test_images/T_3/images/T_3.png", picture("T_3"))
    save(source / "test_images/T_3/masks/T_3.png", truth("T_3") * np.uint8(255))
    manifest = dataset.restructure(source, target)
    assert manifest["test"] == ["T_1", "T_2", "T_3"] and len(manifest["test_layout"]) == 2
    assert finding(manifest, "mask of a test image")["count"] == 1


def test_a_tree_may_lie_deeper_but_must_be_the_only_one(tmp_path, target):
    make_tree(tmp_path / "download" / "archive" / "lungs")
    assert len(trained(dataset.restructure(tmp_path / "download", target))) == 8
    make_tree(tmp_path / "download" / "archive" / "lungs2", layout="usable")
    with pytest.raises(ValueError, match="several trees; name one: .*lungs, .*lungs2"):
        dataset.restructure(tmp_path / "download", target)


GREY = picture("x")
COLOUR = np.stack([GREY, np.roll(GREY, 3, 0), np.roll(GREY, 3, 1)], -1)  # blue, green, red
LUMINANCE = COLOUR @ [0.114, 0.587, 0.299]
ALPHA = np.arange(480, dtype=np.uint16).reshape(20, 24, 1)


@pytest.mark.parametrize(
    "pixels, expected, fault",
    [
        (GREY, GREY, None),
        (GREY * np.uint16(257), GREY, "16-bit image"),
        (GREY.astype(np.uint16) * 16, GREY * (16 / 4095 * 255), "16-bit image"),
        (GREY.astype(np.uint16), GREY, "16-bit image"),
        (np.repeat(GREY[..., None], 3, -1), GREY, None),
        (COLOUR, LUMINANCE, "colour image"),
        (np.dstack([COLOUR, ALPHA.astype(np.uint8)]), LUMINANCE, "colour image"),
        (COLOUR * np.uint16(257), LUMINANCE, "16-bit image"),
        (np.dstack([COLOUR * np.uint16(257), ALPHA * 130]), LUMINANCE, "colour image"),
        (np.repeat(GREY[..., None], 4, -1), GREY, None),
    ],
    ids="grey8 grey16 grey12 grey8in16 rgb rgb-colour rgba rgb16 rgba16 rgba-grey".split(),
)
def test_every_pixel_format_becomes_8_bit_grey(pixels, expected, fault, source, target):
    path = save(source / "train_images/P_00_0/images/P_00_0.png", pixels)
    manifest = dataset.restructure(source, target)
    written = cv2.imread(str(target / "train/images/P_00_0.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint8 and written.shape == (20, 24)
    # A brightest pixel below 4095 or 65535 stretches the grey values by less than a hundredth.
    np.testing.assert_allclose(written, expected, atol=3 if "16" in str(fault) else 1)
    np.testing.assert_array_equal(dataset.read_image(path), written)
    noted = {f["fault"] for f in manifest["findings"] if f["count"]}
    assert fault in noted if fault else not noted


def test_the_real_depth_of_16_bits_is_told(source, target):
    shades = (np.arange(480).reshape(20, 24) * 4095 // 479).astype(np.uint16)
    save(source / "train_images/P_00_0/images/P_00_0.png", shades)
    found = finding(dataset.restructure(source, target), "16-bit image")
    assert found["examples"] == ["train_images/P_00_0/images/P_00_0.png (12 bits used)"]
    image = dataset.read_image(target / "train/images/P_00_0.png")
    assert image.min() == 0 and image.max() == 255 and abs(int(image[10, 0]) - 127.8) < 1


def test_a_large_image_is_read(tmp_path):
    large = np.tile(np.arange(4000, dtype=np.uint16) % 251, (4000, 1)).astype(np.uint8)
    np.testing.assert_array_equal(dataset.read_image(save(tmp_path / "large.png", large)), large)


BOX = truth("x")
SOFT = cv2.GaussianBlur(BOX * 255.0, (5, 5), 1.5)


@pytest.mark.parametrize(
    "pixels, expected, fault",
    [
        (BOX * np.uint8(255), BOX, None),
        (BOX * np.uint8(1), BOX, "mask of 0 and 1"),
        (SOFT.astype(np.uint8), SOFT > 127.5, "mask neither 0/1 nor 0/255"),
        (BOX * np.uint8(128), BOX, "mask neither 0/1 nor 0/255"),
        (BOX * np.uint16(65535), BOX, "mask neither 0/1 nor 0/255"),
        (np.repeat((BOX * np.uint8(255))[..., None], 3, -1), BOX, None),
        (np.dstack([BOX * np.uint8(255)] * 3 + [np.full_like(GREY, 255)]), BOX, None),
    ],
    ids="0/255 0/1 soft 0/128 16-bit rgb rgba".split(),
)
def test_every_mask_becomes_binary(pixels, expected, fault, source, target):
    path = save(source / "train_images/P_00_0/masks/P_00_0.png", pixels)
    manifest = dataset.restructure(source, target)
    written = cv2.imread(str(target / "train/masks/P_00_0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, expected * 255)
    np.testing.assert_array_equal(dataset.read_mask(path), expected)
    assert dataset.read_mask(path).dtype == np.uint8
    noted = [f["fault"] for f in manifest["findings"] if f["count"]]
    assert noted == [fault] * (fault is not None)


@pytest.mark.parametrize(
    "data, reason",
    [(b"", "empty file of 0 bytes"), (b"GIF89a", "not a PNG file"), (-40, "truncated PNG file"),
     ("flip", "damaged PNG file")],
)  # fmt: skip
def test_an_unreadable_file_is_named_with_the_reason(data, reason, tmp_path):
    path = save(tmp_path / "Röntgen.png", GREY)
    whole = path.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    path.write_bytes(whole[:data] if isinstance(data, int) else flipped if data == "flip" else data)
    for read in (dataset.read_image, dataset.read_mask):
        with pytest.raises(ValueError, match=f"Röntgen.png cannot be read: {reason}"):
            read(path)


# The table of faults


def finding(manifest: dict, fault: str) -> dict:
    return next(f for f in manifest["findings"] if f["fault"] == fault)


def image_of(root, name):
    return root / f"train_images/{name}/images/{name}.png"


def mask_of(root, name):
    return root / f"train_images/{name}/masks/{name}.png"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def copy_other_encoding(path, origin):
    pixels = cv2.imread(str(origin), cv2.IMREAD_UNCHANGED)
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
    assert path.read_bytes() != origin.read_bytes()


def link_out(path):
    outside = save(path.parents[4] / "outside" / "secret.png", GREY)
    path.unlink()
    path.symlink_to(outside)


# fault, what breaks the tree, an example that is told, the ids that go missing
BREAKS = [
    ("image without mask", lambda r: mask_of(r, "P_00_0").unlink(),
     "train_images/P_00_0/images/P_00_0.png", ["P_00_0"]),
    ("mask without image", lambda r: image_of(r, "P_01_1").unlink(),
     "train_images/P_01_1/masks/P_01_1.png", ["P_01_1"]),
    ("unreadable file", lambda r: truncate(image_of(r, "P_02_0")),
     "train_images/P_02_0/images/P_02_0.png: truncated PNG file", ["P_02_0"]),
    ("unreadable file", lambda r: mask_of(r, "P_03_1").write_bytes(b""),
     "train_images/P_03_1/masks/P_03_1.png: empty file of 0 bytes", ["P_03_1"]),
    ("unreadable file", lambda r: image_of(r, "P_03_1").write_text("hello"),
     "train_images/P_03_1/images/P_03_1.png: not a PNG file", ["P_03_1"]),
    ("unreadable file", lambda r: (r / "test_images/T_1/T_1.png").write_bytes(b""),
     "test_images/T_1/T_1.png: empty file of 0 bytes", ["T_1"]),
    ("image and mask of different size",
     lambda r: save(mask_of(r, "P_04_0"), np.eye(9, dtype=np.uint8) * 255),
     "P_04_0 (image 20 x 24, mask 9 x 9)", ["P_04_0"]),
    ("empty mask", lambda r: save(mask_of(r, "P_05_1"), np.zeros((20, 24), np.uint8)),
     "train_images/P_05_1/masks/P_05_1.png", ["P_05_1"]),
    ("full mask", lambda r: save(mask_of(r, "P_05_1"), np.full((20, 24), 255, np.uint8)),
     "train_images/P_05_1/masks/P_05_1.png", ["P_05_1"]),
    ("mask neither 0/1 nor 0/255", lambda r: save(mask_of(r, "P_06_0"), SOFT.astype(np.uint8)),
     "train_images/P_06_0/masks/P_06_0.png (0 to 254)", []),
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
     "train_images/P_00_0/images/P_00_0.png", []),
]  # fmt: skip


@pytest.mark.parametrize("fault, damage, example, lost", BREAKS)
def test_a_fault_is_found_told_and_kept(fault, damage, example, lost, source, target):
    damage(source)
    before = state(source)
    manifest = dataset.restructure(source, target, val_fraction=0.3)
    assert state(source) == before
    found = finding(manifest, fault)
    assert found["count"] == 1 and found["examples"] == [example]
    assert found["decision"] == dataset.FAULTS[fault]
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
    manifest = dataset.restructure(source, target, progress=lambda *step: steps.append(step))
    assert steps[-1] == (10, 10)  # the pair is not even examined
    assert "P_07_1" in manifest["test"] and "P_07_1" not in trained(manifest)
    np.testing.assert_array_equal(dataset.read_image(target / "test/P_07_1.png"), picture("other"))


def test_a_thousand_faults_are_counted_and_five_are_named(source, target):
    for number in range(1000):
        (source / f"{number:03d}.txt").touch()
    found = finding(dataset.restructure(source, target), "stray file")
    assert found["count"] == 1000 and len(found["examples"]) == 5


@pytest.mark.parametrize("layout", PLACES)
def test_odd_names_are_handled(layout, tmp_path, target):
    names = ["mit Leer zeichen", "Ärztin_Über", "胸部", "a.b.c", "e\u0301tude", "[x]{0}*?'\u3000"]
    root = make_tree(tmp_path / "quelle [1] é", layout=layout, ids=names, tests=["tëst 1"])
    for path in sorted(root.rglob("*a.b.c*.png")):
        path.rename(path.with_suffix(".PNG"))
    manifest = dataset.restructure(root, target, val_fraction=0.5)
    assert trained(manifest) == sorted([*names[:4], "étude", names[5]])
    assert dataset.load_manifest(target) == {k: v for k, v in manifest.items() if k != "written"}
    for name, origin in [("Ärztin_Über", "Ärztin_Über"), ("étude", "e\u0301tude")]:
        read = dataset.read_image(target / "train" / "images" / f"{name}.png")
        np.testing.assert_array_equal(read, picture(origin))


@pytest.mark.skipif(os.name == "nt", reason="these names cannot exist on Windows")
@pytest.mark.parametrize("name", ["..\\..\\evil", "line\nbreak", "\udcff"])
def test_an_id_that_could_lead_outside_is_refused(name, tmp_path, target):
    root = make_tree(tmp_path / "source", ids=[*IDS, name])
    before = state(root)
    manifest = dataset.restructure(root, target)
    assert trained(manifest) == IDS and state(root) == before
    found = finding(manifest, "path leads outside the source")
    assert found["count"] == 2 and found["decision"] == "refused"
    assert finding(manifest, "stray file")["count"] == 0


def test_a_folder_without_permission_is_told(source, target, monkeypatch):
    # Not by chmod: the superuser, who runs tests in containers, may look everywhere.
    closed = source / "train_images" / "P_00_0"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    found = finding(dataset.restructure(source, target), "unreadable file")
    assert found["examples"] == ["train_images/P_00_0: no permission to look into this folder"]


def test_links_that_stay_inside_are_followed(source, target):
    image_of(source, "P_00_0").rename(source / "kept.png")
    image_of(source, "P_00_0").symlink_to(source / "kept.png")
    assert trained(dataset.restructure(source, target)) == IDS


def test_a_linked_folder_is_refused_and_a_loop_is_survived(source, target, tmp_path):
    other = make_tree(tmp_path / "other", ids=["Q_1"], tests=[])
    (source / "train_images/Q_1").symlink_to(other / "train_images/Q_1")
    (source / "train_images/loop.png").symlink_to(source / "train_images/loop.png")
    manifest = dataset.restructure(source, target)
    assert trained(manifest) == IDS
    assert finding(manifest, "path leads outside the source")["count"] == 2


# Fatal faults


def wipe_train(root):
    os.rename(root / "train_images", root / "training")


def spoil_all(root):
    for path in root.glob("train_images/*/images/*"):
        path.write_bytes(b"")


def to_jpeg(root):
    for path in list(root.glob("train_images/*/*/*.png")):
        path.rename(path.with_suffix(".jpg"))


FATAL = [
    (lambda r: os.rename(r, r.with_name("gone")), FileNotFoundError,
     "source source does not exist"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.mkdir(), ValueError, "Found: nothing (files"),
    (lambda r: os.rename(r, r.with_name("gone")) or r.write_text("PK"), ValueError,
     "Found: a file, source, not a folder (unpack an archive first)"),
    (wipe_train, ValueError, "Found: test_images/, training/ (files in all folders: 18 .png)"),
    (spoil_all, ValueError,
     "unreadable file: 8, such as train_images/P_00_0/images/P_00_0.png: empty"),
    (to_jpeg, ValueError, "Found: test_images/, train_images/ (files in all folders: 16 .jpg"),
]  # fmt: skip


@pytest.mark.parametrize("damage, kind, text", FATAL)
def test_a_fatal_fault_stops_before_anything_is_written(damage, kind, text, source, target):
    damage(source)
    before = state(target.parents[1])
    with pytest.raises(kind) as caught:
        dataset.restructure(source, target)
    assert text in str(caught.value)
    assert "Expected is a folder that holds one of these trees" in str(caught.value)
    assert "train_images/<id>/masks/<id>.png, test_images/<id>/<id>.png" in str(caught.value)
    assert state(target.parents[1]) == before


def test_source_and_target_must_lie_apart(source, target):
    before = state(source)
    for a, b in [(source, source), (source, source / "x"), (source / "train_images", source)]:
        with pytest.raises(ValueError, match="must not hold each other.*another dataset name"):
            dataset.restructure(a, b)
    assert state(source) == before


def test_a_folder_of_the_user_is_never_replaced(source, tmp_path):
    mine = make_tree(tmp_path / "data" / "mine", layout="usable")
    before = state(mine)
    with pytest.raises(FileExistsError, match="data/mine holds files but no manifest.json"):
        dataset.restructure(source, mine)
    assert state(mine) == before


# Run twice, interrupted, changed


def test_the_second_run_changes_nothing_and_says_so(source, target):
    first = dataset.restructure(source, target)
    (target / "arrays").mkdir()
    before = state(target.parent)
    second = dataset.restructure(source, target, progress=lambda *_: 1 / 0)  # decodes nothing
    assert first["written"] is True and second["written"] is False
    assert state(target.parent) == before
    assert {**second, "written": True} == first


@pytest.mark.parametrize(
    "change", ["seed", "val_fraction", "split", "source", "stray", "lost", "edited"]
)
def test_a_changed_source_option_or_copy_is_made_anew(change, source, target):
    first = dataset.restructure(source, target)
    (target / "arrays").mkdir()
    options = {
        "seed": {"seed": 1},
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
    second = dataset.restructure(source, target, **options.get(change, {}))
    assert second["written"] is True and not (target / "arrays").exists()
    same = change in ("stray", "lost", "edited")
    assert (second["data_sha256"] == first["data_sha256"]) == same
    assert dataset.restructure(source, target, **options.get(change, {}))["written"] is False
    assert [p.name for p in target.parent.iterdir()] == ["xrays"]


def test_the_data_hash_knows_pixels_not_their_encoding(source, target):
    first = dataset.restructure(source, target)
    copy_other_encoding(source / "train.png", image_of(source, "P_00_0"))
    os.replace(source / "train.png", image_of(source, "P_00_0"))
    second = dataset.restructure(source, target)
    assert second["written"] and second["data_sha256"] == first["data_sha256"]


KILLED = """
import os, signal, sys
from pathlib import Path
from unet_lib import dataset
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
module = {"_put": dataset, "rename": os, "write_text": Path, "rmtree": dataset.shutil}[name]
die_at(module, name, int(number), after == "after")
dataset.restructure(source, target, seed=1)
"""


def run(script: str, *arguments) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(workspace.PROJECT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_kill_9_at_any_point_and_the_rerun_completes(source, tmp_path):
    whole = tmp_path / "whole" / "xrays"
    dataset.restructure(source, whole, seed=1)
    points = ["_put 1 before", "_put 9 after", "write_text 1 before", "write_text 1 after",
              "rename 1 before", "rename 1 after", "rename 2 after"]  # fmt: skip
    folders = {(point, old): tmp_path / f"{n}{old}" / "xrays"
               for n, point in enumerate(points) for old in (False, True)}  # fmt: skip
    for (_, old), target in folders.items():
        if old:  # a complete data set is there, made with another seed
            dataset.restructure(source, target)
    killed = {key: run(KILLED, source, target, key[0]) for key, target in folders.items()}
    for (point, old), target in folders.items():
        process = killed[point, old]
        process.communicate()
        if process.returncode != -9:  # without an old data set there is no second rename
            assert (point, old) == ("rename 2 after", False) and process.returncode == 0
            continue
        if target.exists() and (old or point == "rename 1 after"):
            seed = dataset.load_manifest(target)["seed"]
            new = point == ("rename 2 after" if old else "rename 1 after")
            assert seed == (1 if new else 0), (point, old)
        else:
            with pytest.raises(FileNotFoundError, match="01_restructure_dataset"):
                dataset.load_manifest(target)
        dataset.restructure(source, target, seed=1)
        assert content(target) == content(whole), (point, old)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_an_old_data_set_survives_a_kill_in_the_swap(source, target, monkeypatch):
    dataset.restructure(source, target)
    before = content(target)
    run(KILLED, source, target, "rename 1 after").communicate()
    assert not target.exists() and (target.parent / ".xrays.old").exists()
    monkeypatch.setattr(dataset, "_build", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # the next run gives it back before it builds
        dataset.restructure(source, target, seed=1)
    assert content(target) == before
    assert [p.name for p in target.parent.iterdir()] == ["xrays"]


@pytest.mark.skipif(dataset.fcntl is None, reason="needs flock")
def test_two_runs_at_once_do_not_disturb_each_other(source, target):
    script = (
        "import sys; from unet_lib import dataset; sys.stderr.write("
        "str(dataset.restructure(sys.argv[1], sys.argv[2])['written']))"
    )
    runs = [run(script, source, target) for _ in range(3)]
    said = sorted(process.communicate()[1] for process in runs)
    assert said == ["False", "False", "True"]
    assert dataset.restructure(source, target)["written"] is False


@pytest.mark.parametrize("spoil", ["absent", "empty", "cut", "edited", "lost"])
def test_a_data_set_without_a_valid_manifest_is_never_taken_for_whole(spoil, source, target):
    if spoil != "absent":
        dataset.restructure(source, target)
    path = target / "manifest.json"
    text = path.read_text("utf-8") if path.exists() else ""
    if spoil == "lost":
        (target / "test/T_1.png").unlink()
    elif spoil != "absent":
        wrong = {"empty": "", "cut": text[:-50], "edited": text.replace('"class": 0', '"class": 1')}
        path.write_text(wrong[spoil], "utf-8")
    with pytest.raises(FileNotFoundError) as caught:
        dataset.load_manifest(target)
    assert "data/xrays holds no complete data set" in str(caught.value)
    assert "notebooks/01_restructure_dataset.ipynb" in str(caught.value)
    dataset.restructure(source, target)
    assert len(dataset.load_manifest(target)["items"]) == 10


def test_a_full_disk_is_told_and_leaves_the_old_data_set(source, target, monkeypatch):
    dataset.restructure(source, target)
    before, real, calls = state(target.parent), Path.write_bytes, []

    def write_bytes(path, data):
        calls.append(path)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="cannot write data/xrays: .*No space left.*make room"):
        dataset.restructure(source, target, seed=1)
    assert state(target.parent) == before


def test_a_place_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write file/xrays: .*UNET_LOWERED_WORKSPACE"):
        dataset.restructure(source, tmp_path / "file" / "xrays")


def test_memory_does_not_grow_with_the_number_of_pairs(tmp_path, target):
    for number in range(24):
        image = np.full((500, 500), number, np.uint8)
        save(tmp_path / f"s/images/{number}.png", image)
        image[100:200] = 255
        save(tmp_path / f"s/masks/{number}.png", (image == 255) * np.uint8(255))
    tracemalloc.start()
    dataset.restructure(tmp_path / "s", target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 500 * 500  # 24 pairs hold 48 times 500 x 500 bytes


def test_progress_counts_every_file_once(source, target):
    steps = []
    dataset.restructure(source, target, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 10) for number in range(1, 11)]


# The split


NAMES = [f"CHNCXR_{number:04d}_{int(number > 210)}" for number in range(500)]


def test_500_pairs_are_split_425_to_75_in_the_classes_proportion():
    split = dataset.split_ids(NAMES)
    assert (len(split["train"]), len(split["validation"])) == (425, 75)
    assert sorted(split["train"] + split["validation"]) == NAMES
    sick = sum(name.endswith("_1") for name in split["validation"])
    assert abs(sick - 75 * 289 / 500) < 1


def test_the_split_is_blind_to_the_order_and_led_by_the_seed():
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    assert dataset.split_ids(shuffled, seed=3) == dataset.split_ids(NAMES, seed=3)
    assert dataset.split_ids(NAMES, seed=3) != dataset.split_ids(NAMES, seed=4)


def test_the_split_ranks_by_sha256_of_seed_and_id():
    names = [f"n{number}" for number in range(40)]  # no classes: one group
    ranked = sorted(names, key=lambda i: hashlib.sha256(f"7:{i}".encode()).hexdigest())
    assert dataset.split_ids(names, seed=7)["validation"] == sorted(ranked[:6])


def test_the_last_15_percent_of_the_sorted_ids():
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    split = dataset.split_ids(shuffled, split="last")
    assert split == {"train": NAMES[:425], "validation": NAMES[425:]}


@pytest.mark.parametrize("count, fraction, expected", [(2, 0.5, 1), (7, 0.3, 2), (120, 0.15, 18)])
def test_the_total_is_rounded_once_not_per_class(count, fraction, expected):
    names = [f"{number:03d}_{number % 2}" for number in range(count)]
    assert len(dataset.split_ids(names, val_fraction=fraction)["validation"]) == expected


@pytest.mark.parametrize(
    "options, text",
    [
        ({"val_fraction": 0}, "val_fraction must lie between 0 and 1 .* got 0"),
        ({"val_fraction": 15}, "val_fraction must lie between 0 and 1 .* got 15"),
        ({"val_fraction": 0.01}, "val_fraction 0.01 of 8 pairs gives 0 for validation and 8"),
        ({"val_fraction": 0.99}, "gives 8 for validation and 0 for training; each side needs one"),
        ({"split": "random"}, "split must be 'stratified' or 'last', got 'random'"),
    ],
)
def test_an_impossible_split_is_refused(options, text, source, target):
    before = state(target.parents[1])
    with pytest.raises(ValueError, match=text):
        dataset.restructure(source, target, **options)
    assert state(target.parents[1]) == before


# Sources that are made or fetched


def test_a_folder_starts_at_the_project(tmp_path):
    assert dataset.resolve_source("some/tree") == workspace.PROJECT / "some" / "tree"
    assert dataset.resolve_source(tmp_path) == tmp_path


def test_the_phantoms_are_drawn_once_and_whole(tmp_path, monkeypatch):
    from unet_lib import phantom

    drawn = []

    def write(folder, *, train):
        assert train == 120
        drawn.append(folder)
        make_tree(Path(folder))
        if len(drawn) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(phantom, "write_primary_tree", write)
    with pytest.raises(KeyboardInterrupt):
        dataset.resolve_source("phantom")
    assert not (tmp_path / "data" / "phantom-source").exists()
    folder = dataset.resolve_source("phantom")
    assert folder == tmp_path / "data" / "phantom-source" and len(drawn) == 2
    before = state(folder)
    assert dataset.resolve_source("phantom") == folder and len(drawn) == 2
    assert state(folder) == before
    (tmp_path / "data" / ".phantom-source.sha256").write_text("another version of the code")
    dataset.resolve_source("phantom")
    assert len(drawn) == 3 and content(folder).keys() == before.keys()
    shutil.rmtree(folder)
    dataset.resolve_source("phantom")
    assert len(drawn) == 4 and content(folder).keys() == before.keys()


def test_another_number_of_phantoms_gets_a_folder_of_its_own(tmp_path):
    folder = dataset.resolve_source("phantom", phantoms=2)
    assert folder == tmp_path / "data" / "phantom-source-2"
    assert len(list((folder / "train_images").iterdir())) == 2
    with pytest.raises(ValueError, match="train"):
        dataset.resolve_source("phantom", phantoms=-1)


KILLED_WHILE_DRAWING = """
import os, signal
from unet_lib import dataset, phantom
phantom._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
dataset.resolve_source("phantom")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_what_a_kill_while_drawing_leaves_goes_with_the_next_run(tmp_path, monkeypatch):
    from unet_lib import phantom

    process = run(KILLED_WHILE_DRAWING)
    process.communicate()
    left = [p.name for p in (tmp_path / "data").iterdir()]
    assert process.returncode == -9 and len(left) == 1 and left[0] != "phantom-source"
    monkeypatch.setattr(phantom, "write_primary_tree", lambda folder, train: make_tree(folder))
    dataset.resolve_source("phantom")
    left = {p.name for p in (tmp_path / "data").iterdir()}
    assert left == {"phantom-source", ".phantom-source.sha256"}


def answer(kind: type, status: int | None) -> Exception:
    error = kind("the server's own words")
    error.response = types.SimpleNamespace(status_code=status) if status else None
    return error


@pytest.mark.parametrize(
    "error, text",
    [
        (answer(ConnectionError, None), "no connection to Kaggle, or no room: the server's own"),
        (answer(OSError, 403), "Kaggle refuses access (403)"),
        (answer(OSError, 401), "Kaggle refuses access (401)"),
        (answer(OSError, 404), "OSError: the server's own words"),
        (ImportError("No module named 'kagglehub'"), "the package kagglehub is missing"),
    ],
)
def test_a_failed_download_tells_the_manual_steps(error, text, monkeypatch):
    def fail(slug):
        raise error

    module = types.SimpleNamespace(dataset_download=fail)
    monkeypatch.setitem(sys.modules, "kagglehub", None if "missing" in text else module)
    with pytest.raises(RuntimeError) as caught:
        dataset.resolve_source("kaggle")
    assert text in str(caught.value)
    assert f"https://www.kaggle.com/datasets/{dataset.KAGGLE_SLUG}" in str(caught.value)
    assert 'source = "data/kaggle-download"' in str(caught.value)


def test_a_download_is_used_as_it_is(tmp_path, target, monkeypatch):
    make_tree(tmp_path / "cache" / "versions" / "1" / "lungs")
    before = state(tmp_path / "cache")
    fetched = []

    def download(slug):
        fetched.append(slug)
        return str(tmp_path / "cache" / "versions" / "1")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=download))
    manifest = dataset.restructure(dataset.resolve_source("kaggle"), target)
    assert fetched == [dataset.KAGGLE_SLUG] and trained(manifest) == IDS
    assert state(tmp_path / "cache") == before
