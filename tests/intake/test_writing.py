"""What becomes of images and masks in a data set's files."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from made_sets import LEFT, LUNGS, RIGHT, WHITE, alpha, chest, dicom, encode, make_set, met, put
from made_trees import content, state

from unet_lib import datasets, phantom
from unet_lib.intake import looks, manifest, prepare, writing


def stray(value):
    mask = LUNGS.astype(np.uint8)
    mask[5, 5:8] = value
    return lambda number: mask if number == 0 else LUNGS.astype(np.uint8)


def soft(number):
    return encode(WHITE, "jpeg", quality=75)

PLAIN = [  # a kind of masks, what is found and in how many files
    ("0 and 255", WHITE, "", 0),
    ("0 and 1", LUNGS.astype(np.uint8), "mask of 0 and 1", 8),
    ("both", lambda n: WHITE if n % 2 else WHITE // 255, "mask of 0 and 1", 4),
    ("16 bits", LUNGS * np.uint16(65535), "mask of other values", 8),
    ("one colour", np.dstack([WHITE, WHITE * 0, WHITE * 0]), "coloured mask", 8),
    ("JPEG", soft, "mask with a soft border", 8),
    ("alpha", alpha((255, 255, 255), (255, 255, 255)), "mask in the alpha channel", 8),
    ("stray 3", stray(3), "stray value in a mask", 1),
    ("stray 255", stray(255), "stray value in a mask", 1),
]


@pytest.mark.parametrize(("mask", "fault", "count"), [row[1:] for row in PLAIN],
                         ids=[row[0] for row in PLAIN])  # fmt: skip
def test_plain_masks_are_stored_as_0_and_255(mask, fault, count, tmp_path):
    root = make_set(tmp_path / "source", mask)
    before = state(root)
    manifest = prepare.restructure(root, tmp_path / "data/made")
    assert state(root) == before
    found = met(manifest)
    assert len(found.get(fault, [])) == count and (found if count else not found)
    for name, item in manifest["items"].items():
        file = tmp_path / f"data/made/train/masks/{name}.png"
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(pixels)) == {0, 255} and pixels.shape == (64, 64)
        held = datasets.read_mask(file)
        assert looks.hash_pixels(held) == item["mask_sha256"]
        assert (held != LUNGS).mean() < (0.01 if mask is soft else 1e-9)
        origin = root / f"masks/{name}.png"
        plain = not fault
        assert (file.read_bytes() == origin.read_bytes()) == plain
        image = tmp_path / f"data/made/train/images/{name}.png"
        assert image.read_bytes() == (root / f"images/{name}.png").read_bytes()


def test_left_and_right_are_joined(tmp_path):
    for number in range(8):
        put(tmp_path / f"s/CXR_png/P{number}.png", chest(number))
        put(tmp_path / f"s/ManualMask/leftMask/P{number}.png", LEFT * np.uint8(255))
        put(tmp_path / f"s/ManualMask/rightMask/P{number}.png", RIGHT * np.uint8(255))
    manifest = prepare.restructure(tmp_path / "s", tmp_path / "made")
    assert len(manifest["items"]) == 8 and met(manifest) == {}
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "made/train/masks/P3.png"), LUNGS)


def test_the_data_hash_of_a_plain_set_is_that_of_its_files(tmp_path):
    """As in the first release: nothing that is read differently changes a run's data."""
    root = make_set(tmp_path / "s")
    manifest = prepare.restructure(root, tmp_path / "made")
    for name, item in manifest["items"].items():
        image, mask = (cv2.imread(str(root / kind / f"{name}.png"), cv2.IMREAD_UNCHANGED)
                       for kind in ("images", "masks"))  # fmt: skip
        assert item["image_sha256"] == hashlib.sha256(b"(64, 64)" + image.tobytes()).hexdigest()
        mask = (mask > 127).astype(np.uint8)
        assert item["mask_sha256"] == hashlib.sha256(b"(64, 64)" + mask.tobytes()).hexdigest()
    assert manifest["data_sha256"] == datasets.data_hash(manifest)


def test_no_name_of_a_patient_is_copied(tmp_path):
    root = make_set(tmp_path / "s")
    for number in range(8):
        film = dicom(chest(number) * np.uint16(16), PatientName="Doe^Jane", PatientID="4711")
        put(root / f"images/P{number:02d}.png", film)
    prepare.restructure(root, tmp_path / "made")
    for data in content(tmp_path / "made").values():
        data = data if isinstance(data, bytes) else data.encode()
        assert b"Doe" not in data and b"4711" not in data and b"DICM" not in data


def test_the_truth_of_test_phantoms_is_set_aside_and_that_of_others_is_unknown(tmp_path):
    root = tmp_path / "s"
    phantom.write_primary_tree(root, train=4, test=2)
    aside, made = tmp_path / "made" / "test_truth", tmp_path / "made"
    manifest = prepare.restructure(root, made, asked="phantom (4 pairs)", val_fraction=0.5)
    assert sorted(p.stem for p in aside.iterdir()) == sorted(manifest["test"])
    for name in manifest["test"]:
        image, mask = phantom.redraw(name)
        assert np.array_equal(datasets.read_mask(aside / f"{name}.png"), mask // 255)
        assert np.array_equal(datasets.read_image(made / "test" / f"{name}.png"), image)
    assert not any("test_truth" in name for name in datasets.files(manifest))
    prepare.restructure(root, tmp_path / "own", val_fraction=0.5)
    assert not (tmp_path / "own" / "test_truth").exists()
    first = root / "test_images" / manifest["test"][0] / f"{manifest['test'][0]}.png"
    first.write_bytes(encode(np.zeros((400, 400), np.uint8)))  # not what was drawn
    prepare.restructure(root, tmp_path / "odd", asked="phantom (4 pairs)", val_fraction=0.5)
    assert [p.stem for p in (tmp_path / "odd/test_truth").iterdir()] == manifest["test"][1:]


def test_named_values_become_classes_by_number(tmp_path):
    root = make_set(tmp_path / "s", lambda n: np.uint8(5) * RIGHT + np.uint8(9) * LEFT)
    line = "left lung=9, right lung=5"
    made = prepare.restructure(root, tmp_path / "made", mask_values=line)
    assert made["classes"] == ["left lung", "right lung"] and made["mask_values"] == line
    name = made["split"]["train"][0]
    stored = cv2.imread(str(tmp_path / f"made/train/masks/{name}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, np.uint8(1) * LEFT + np.uint8(2) * RIGHT)
    np.testing.assert_array_equal(datasets.read_pair(tmp_path / "made", name)[1], stored)
    assert "classes" not in prepare.restructure(root, tmp_path / "one", mask_values="5,9")


# ---------------------------------------------------------------------------- each by itself


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_a_digest_knows_names_and_bytes_but_no_order(tmp_path):
    a, b = put(tmp_path / "a.txt", "one"), put(tmp_path / "b/c.txt", "two")
    told = b"[]" + f"a.txt {sha(b'one')}\nb/c.txt {sha(b'two')}\n".encode()
    assert writing.digest(tmp_path, [a, b]) == writing.digest(tmp_path, [b, a]) == sha(told)
    assert writing.digest(tmp_path, [a, b, tmp_path / "gone"]) == sha(told)
    assert writing.digest(tmp_path / "b", [b]) == sha(b"[]" + f"c.txt {sha(b'two')}\n".encode())
    assert writing.digest(tmp_path, [], {"b": 1, "a": 2}) == sha(b'[{"a": 2, "b": 1}]')


def test_what_can_be_read_before_is_what_is_written(tmp_path):
    root = make_set(tmp_path / "s", lambda n: np.uint8(5) * RIGHT + np.uint8(9) * LEFT,
                    image=lambda n: chest(n) * np.uint16(16))  # fmt: skip
    put(root / "test/T.png", chest(99))
    options = {"mask_values": "right=5, left=9", "invert": "yes", "intensity": "0,4095"}
    tree, audited = prepare.examine(root, manifest.Options(**options))
    prepare.restructure(root, tmp_path / "made", **options)
    for name, folder in (("P03", "train/images"), ("T", "test")):
        image = writing.read_image(tree, audited, name)
        grey = chest(3) * (16.0 / 4095 * 255) if name == "P03" else chest(99)
        np.testing.assert_array_equal(image, 255 - np.rint(grey))
        kept = datasets.read_image(tmp_path / f"made/{folder}/{name}.png")
        np.testing.assert_array_equal(image, kept)
    mask = writing.read_mask(tree, audited, "P03")
    np.testing.assert_array_equal(mask, np.uint8(1) * RIGHT + np.uint8(2) * LEFT)
    np.testing.assert_array_equal(mask, datasets.read_mask(tmp_path / "made/train/masks/P03.png"))


def test_a_whole_set_is_built_and_the_manifest_comes_last(tmp_path):
    root = make_set(tmp_path / "s", lambda n: WHITE if n else WHITE // 255, count=3, name="É_{}")
    put(root / "test/T_7.png", chest(9))
    wish = manifest.Options(val_fraction=0.34)
    tree, audited = prepare.examine(root, wish)
    said, made = manifest.describe(tree, audited, wish, source=root), tmp_path / "made"
    writing.build(tree, audited, said, made)
    files = [made / name for name in datasets.files(said)]
    assert {path for path in made.rglob("*.*")} == {*files, made / "manifest.json"}
    assert said["files_sha256"] == writing.digest(made, files)
    lines = (made / "manifest.json").read_text("utf-8").splitlines(keepends=True)
    assert json.loads("".join(lines)) == said and lines[-1] == "}\n"
    assert '  "É_0": {\n' in lines  # a space for each level, letters as they are
    assert list(said)[-3:] == ["items", "data_sha256", "files_sha256"]
    assert {name: item["class"] for name, item in said["items"].items()} == {
        "É_0": 0, "É_1": 1, "É_2": None, "T_7": None}  # fmt: skip
    assert said["items"]["T_7"] == {
        "height": 64, "width": 64, "image_sha256": looks.hash_pixels(chest(9)),
        "mask_sha256": None, "class": None}  # fmt: skip
    newest = max(made.rglob("*.*"), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "manifest.json"


def test_a_true_mask_is_set_aside_only_beside_its_own_image(tmp_path):
    put(tmp_path / "test/a.png", chest(1))
    put(tmp_path / "test/b.png", chest(2))
    writing.set_truth_aside(tmp_path, [])
    assert not (tmp_path / "test_truth").exists()
    writing.set_truth_aside(tmp_path, [("a", chest(1), WHITE), ("b", chest(3), WHITE)])
    assert [path.name for path in (tmp_path / "test_truth").iterdir()] == ["a.png"]
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "test_truth/a.png"), LUNGS)
