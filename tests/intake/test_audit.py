"""The table of faults: each is found, told and kept."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_sets import LUNGS, RIGHT, WHITE, chest, dicom, make_set, met, put, turned
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

from unet_lib import datasets, phantom
from unet_lib.intake import looks, prepare
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


def test_progress_counts_every_file_once(source, target):
    steps = []
    prepare.restructure(source, target, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 10) for number in range(1, 11)]


# ------------------------------------------------------------------------- decided for the set


def made(root, **options):
    """Return the manifest of a set, what was found in it, and a function that reads an image."""
    target = root.with_name(f"{root.name}-made")
    before = state(root)
    manifest = prepare.restructure(root, target, **options)
    assert state(root) == before
    return manifest, met(manifest), lambda n: datasets.read_image(target / f"train/images/{n}.png")


def deep(number):
    """Return films of a 12-bit detector, four of them odd."""
    film = chest(number).astype(np.uint16) * 18
    if number == 0:
        film[0, 0] = 65535  # a burnt-in marker
    if number == 1:
        film[0, 0] = 4096  # one count too many
    if number == 2:
        film //= 4  # exposed too little
    if number == 3:
        film += 32768  # an offset
    return film


def test_16_bits_are_scaled_together(tmp_path):
    manifest, found, read = made(make_set(tmp_path / "s", count=12, image=deep))
    assert manifest["intensity_rule"].startswith("12 bits, as")
    grey = {n: np.median(read(f"P{n:02d}")) for n in range(12)}
    assert grey[0] == pytest.approx(grey[4], abs=4) and grey[1] == pytest.approx(grey[4], abs=4)
    assert grey[2] == pytest.approx(grey[4] / 4, abs=4)
    low, high = np.percentile(read("P03"), [1, 99])
    assert high - low > 100
    assert found["16-bit picture unlike the rest"][0].startswith("images/P03.png")
    assert len(found["16-bit image"]) == 12
    for name in manifest["items"]:
        file = tmp_path / f"s-made/train/images/{name}.png"
        assert file.read_bytes()[24:26] == b"\x08\x00"  # 8 bits, grey
        assert looks.hash_pixels(read(name)) == manifest["items"][name]["image_sha256"]


def test_a_fixed_range_is_taken_for_all(tmp_path):
    manifest, _, read = made(make_set(tmp_path / "s", image=deep), intensity="0,8191")
    np.testing.assert_array_equal(read("P05"), np.rint(deep(5) / 8191 * 255))
    assert manifest["intensity"] == "0,8191" and "0 to 8191" in manifest["intensity_rule"]


def test_few_grey_levels_are_told(tmp_path):
    def flat(number):
        return (chest(number) // 40 + number).astype(np.uint8) if number < 2 else chest(number)

    _, found, _ = made(make_set(tmp_path / "s", image=flat))
    assert found["few grey levels"] == ["images/P00.png (4 of 256)", "images/P01.png (4 of 256)"]


def quarter(number):
    return chest(number) if number % 4 else 255 - chest(number)


@pytest.mark.parametrize("invert", ["no", "auto", "yes"])
def test_negatives_among_positives(invert, tmp_path):
    root = make_set(tmp_path / "s", image=quarter)
    manifest, found, read = made(root, invert=invert)
    names = ["images/P00.png", "images/P04.png"]
    fault = {"no": "may be a negative", "auto": "negative, turned round"}.get(invert)
    assert found == ({fault: names} if fault else {})
    np.testing.assert_array_equal(read("P00"), quarter(0) if invert == "no" else chest(0))
    np.testing.assert_array_equal(read("P01"), 255 - chest(1) if invert == "yes" else chest(1))
    for name in ("P00", "P01"):
        assert looks.hash_pixels(read(name)) == manifest["items"][name]["image_sha256"]


def test_half_negatives_are_told_and_more_than_half_are_not(tmp_path):
    """Of more than half nobody knows which are right: the foreground may be no lung."""
    for number, told in ((4, 4), (5, 0)):
        root = make_set(tmp_path / str(number),
                        image=lambda n, most=number: 255 - chest(n) if n < most else chest(n))
        _, found, read = made(root, invert="auto")
        assert {f: len(cases) for f, cases in found.items()} == (
            {"negative, turned round": told} if told else {})
        assert (read("P00") == (chest(0) if told else 255 - chest(0))).all()


def test_a_16_bit_picture_of_one_value_is_told(tmp_path):
    """Without a common depth each has a range of its own, and this one's has no width."""
    root = make_set(tmp_path / "s", image=lambda n: chest(n) * np.uint16(1 + 254 * (n % 2)))
    for number in range(0, 8, 2):  # 10, 12 and 14 bits beside the 16 of the others
        put(root / f"images/P{number:02d}.png", chest(number) * np.uint16(4 ** (number // 2)))
    put(root / "images/P00.png", np.full(chest(0).shape, 3000, np.uint16))
    put(root / "images/P01.png", np.full(chest(0).shape, 700, np.uint16))
    put(root / "images/P03.png", chest(3) * np.uint16(2))
    put(root / "images/P05.png", chest(5) * np.uint16(32))
    manifest, found, _ = made(root)
    assert "each by its own range" in manifest["intensity_rule"]
    assert found["few grey levels"] == ["images/P00.png (1 of 256)", "images/P01.png (1 of 256)"]


def test_a_set_of_negatives_alone_is_taken_as_it_is(tmp_path):
    _, found, read = made(make_set(tmp_path / "s", image=lambda n: 255 - chest(n)), invert="auto")
    assert found == {} and (read("P00") == 255 - chest(0)).all()


def test_dicom_is_never_turned(tmp_path):
    root = make_set(tmp_path / "s")
    for number in range(8):
        film = (255 - chest(number)) if number == 0 else chest(number)
        put(root / f"images/P{number:02d}.png", dicom(film * np.uint16(16)))
    seen = {}
    for invert in ("no", "auto", "yes"):
        _, found, read = made(root, invert=invert)
        seen[invert] = read("P00"), read("P01")
        told = found.get("DICOM may be a negative", [])  # invert would not help: another remedy
        assert told == ([] if invert == "yes" else ["images/P00.png"])
        assert "may be a negative" not in found
    for images in seen.values():
        assert (images[0] == seen["no"][0]).all() and (images[1] == seen["no"][1]).all()


def films(number):
    return chest(number // 3) + np.uint8(number % 3)


def test_near_copies_of_one_patient(tmp_path):
    root = make_set(tmp_path / "s", count=30, image=films)
    for path in sorted(root.glob("*/*.png")):
        number = int(path.stem[1:])
        path.rename(path.with_name(f"{number // 3:04d}_{number % 3}.png"))
    manifest, found, _ = made(root)
    sides = [{name[:4] for name in manifest["split"][side]} for side in ("train", "validation")]
    assert sides[0] & sides[1]
    told = found["near copies that share a prefix"]
    assert len(told) == 20 and told[0] == "0000_0 and 0000_1 (prefix 0000)"
    manifest, found, _ = made(root, group_by=r"^(\d+)_")
    sides = [{name[:4] for name in manifest["split"][side]} for side in ("train", "validation")]
    assert not sides[0] & sides[1] and sides[1] and found == {}
    assert manifest["groups"]["0003_1"] == "0003" and manifest["group_by"] == r"^(\d+)_"


def test_near_copies_are_named_once_each_however_many_there_are(tmp_path):
    root = make_set(tmp_path / "s", count=40, name="A-{}", image=lambda n: chest(0) + np.uint8(n))
    make_set(root, count=2, name="B-{}")
    _, found, _ = made(root)
    assert len(found["near copies that share a prefix"]) <= 41


def test_a_patient_in_train_and_test_is_told(tmp_path):
    root = make_set(tmp_path / "s", name="P{}_1", count=9)
    (tmp_path / "train").mkdir()
    for folder in ("images", "masks"):
        (root / folder).rename(tmp_path / "train" / folder)
    (tmp_path / "train").rename(root / "train")
    for number in (3, 20, 21):
        put(root / f"test/P{number}_2.png", chest(min(number, 20)) + np.uint8(1))
    _, found, _ = made(root)
    told = ["P3_1 and P3_2, a test image (prefix P3)"]
    assert found["near copies that share a prefix"] == told


def test_another_form_of_a_set_beside_it_is_told(tmp_path):
    make_set(tmp_path / "s/lungs", image=lambda n: chest(n, 128))
    def small(number):
        return cv2.resize(chest(number, 128), (64, 64), interpolation=cv2.INTER_AREA)
    make_set(tmp_path / "s/lungs small", image=small)
    _, found, _ = made(tmp_path / "s")
    told = found["near copies that share a name"]
    assert len(told) == 8 and told[0] == "lungs small_P00 and lungs_P00 (name P00)"


@pytest.mark.parametrize("place, count", [("image", 4), ("image", 8), ("1-1", 8)])
def test_a_name_that_each_patients_picture_bears_tells_nothing(place, count, tmp_path):
    """Neither is each picture compared with each, nor are patients called forms of one set."""
    root, near = tmp_path / "s", "near copies that share a name"
    for number in range(count):
        put(root / f"images/P{number}/{place}.png", chest(0) + np.uint8(number))
        put(root / f"masks/P{number}/{place}.png", WHITE)
    for number in range(3):
        put(root / f"test/T{number}.png", chest(50 + number))
    manifest, found, _ = made(root)
    assert len(manifest["items"]) == count + 3 and near not in found


def test_a_prefix_of_all_pairs_tells_nothing_whatever_test_images_are_called(tmp_path):
    make_set(tmp_path / "s/train", name="img_{:02d}", image=lambda n: chest(0) + np.uint8(n))
    for number in range(3):
        put(tmp_path / f"s/test/t{number}.png", chest(50 + number))
    _, found, _ = made(tmp_path / "s")
    assert found == {}


TALL = np.zeros((64, 64), np.uint8)
TALL[4:40, 6:22], TALL[10:36, 34:60] = 255, 255


def lopsided(number):
    """A chest whose lungs are those of TALL, brighter below; like no turn of itself."""
    return (chest(number, 64) * 0 + 190 - 90 * (TALL > 0) + np.uint8(number)).astype(np.uint8)


@pytest.mark.parametrize(
    "turn, way",
    [(np.flipud, "upside down"), (np.fliplr, "mirrored"), (np.transpose, "on its side"),
     (np.rot90, "on its side"), (lambda mask: np.rot90(mask, 2), "upside down")],
)  # fmt: skip
@pytest.mark.parametrize("turned_ones", [[3], range(8)], ids=["one", "all"])
def test_masks_that_lie_otherwise_than_their_pictures(turned_ones, turn, way, tmp_path):
    """As a flag of orientation leaves them that only one of both obeys, or pixels by columns."""
    def mask(number):
        return np.ascontiguousarray(turn(TALL) if number in turned_ones else TALL)
    _, found, _ = made(make_set(tmp_path / "s", mask, image=lopsided))
    told = found["mask may be turned"]
    assert told == [f"masks/P{n:02d}.png (P{n:02d}: {way} it fits better)" for n in turned_ones]


@pytest.mark.parametrize("ways", [(), (np.flipud, np.fliplr, np.transpose, np.fliplr)])
def test_masks_that_fit_or_that_fit_in_no_common_way_are_not_called_turned(ways, tmp_path):
    def mask(number):
        return np.ascontiguousarray(ways[number](TALL) if number < len(ways) else TALL)
    _, found, _ = made(make_set(tmp_path / "s", mask, image=lopsided))
    assert "mask may be turned" not in found


def part_of(structure):
    """Return a mask of something else in the chest, by the number of the picture."""
    def mask(number):
        drawn = phantom.draw([3, number], size=64)[1]
        if structure == "heart":
            return cv2.circle(drawn * 0, (37, 41), 7, 255, -1)
        drawn[:, :: 1 - 2 * (number % 2)][:, 32:] = 0  # one lung, of which the cap
        drawn[np.flatnonzero(drawn.any(1))[0] + 6 :] = 0
        return drawn
    return mask


@pytest.mark.parametrize("structure", ["heart", "cap of a lung"])
def test_where_masks_generally_show_no_contrast_none_is_called_turned(structure, tmp_path):
    root = make_set(tmp_path / "s", part_of(structure), count=24,
                    image=lambda n: phantom.draw([3, n], size=64)[0])
    _, found, _ = made(root)
    assert "mask may be turned" not in found


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_mask_of_one_white_lung_is_not_called_turned(mirrored, tmp_path):
    """Unless nearly all are."""
    def film(number):
        return chest(number) + np.uint8(90) * (RIGHT & (mirrored or number == 3))
    _, found, _ = made(make_set(tmp_path / "s", RIGHT * np.uint8(255), image=film))
    assert len(found.get("mask may be turned", [])) == (8 if mirrored else 0)


def test_a_mask_of_the_transposed_size_is_called_so(tmp_path):
    root = make_set(tmp_path / "s", count=9)
    put(root / "images/P00.png", chest(0)[:48])
    put(root / "masks/P00.png", WHITE[:48].T)
    _, found, _ = made(root)
    told = ["masks/P00.png (image 48 x 64, mask 64 x 48: transposed)"]
    assert found["image and mask of different size"] == told


def test_a_lung_whose_own_mask_is_empty_is_told(tmp_path):
    root = make_set(tmp_path / "s", count=9)
    (root / "masks").rename(root / "left_masks")
    for path in list((root / "left_masks").iterdir()):
        put(root / f"right_masks/{path.name}", WHITE * (path.stem != "P04"))
    _, found, _ = made(root)
    assert found["one mask of several is empty"] == ["right_masks/P04.png"]


def test_an_empty_mask_is_excluded_or_kept_as_a_fact(tmp_path):
    def some(number):
        return WHITE if number else WHITE * 0

    root = make_set(tmp_path / "s", some)
    manifest, found, _ = made(root)
    assert "P00" not in manifest["items"] and found == {"empty mask": ["masks/P00.png"]}
    manifest, found, _ = made(root, empty_masks="keep")
    assert "P00" in manifest["items"] and found == {"empty mask, kept": ["masks/P00.png"]}
    assert not datasets.read_mask(tmp_path / "s-made/train/masks/P00.png").any()


def test_noise_is_an_empty_mask(tmp_path):
    def some(number):
        faint = np.zeros((64, 64), np.uint8)
        faint[3] = 3
        return WHITE if number else faint

    _, found, _ = made(make_set(tmp_path / "s", some))
    assert found["empty mask"] == ["masks/P00.png: what is not 0 is scattered and faint"]


def test_masks_of_another_size(tmp_path):
    """As in COVID-19 Radiography: films of 299 px, masks of 256 px in three equal channels."""
    large = WHITE.repeat(4, 0).repeat(4, 1)
    root = make_set(tmp_path / "s", np.dstack([large] * 3), image=lambda n: chest(n, 299))
    put(root / "masks/P07.png", large[:, :200])
    manifest, found, _ = made(root)
    assert len(found["mask of another size"]) == 7
    assert found["mask of another size"][0] == "masks/P00.png (256 x 256 to 299 x 299)"
    assert found["image and mask of different size"] == [
        "masks/P07.png (image 299 x 299, mask 256 x 200)"]  # fmt: skip
    mask = datasets.read_mask(tmp_path / "s-made/train/masks/P00.png")
    assert mask.shape == (299, 299) and mask.mean() == pytest.approx(LUNGS.mean(), abs=0.01)
    assert manifest["items"]["P00"]["height"] == 299


def test_an_orientation_flag_is_honoured(tmp_path):
    def lying(pixels):
        return turned(np.rot90(pixels))

    root = make_set(tmp_path / "s", image=lambda n: lying(chest(n)) if n % 2 else chest(n))
    put(root / "masks/P00.png", lying(WHITE))
    _, found, read = made(root)
    np.testing.assert_array_equal(read("P01"), chest(1))
    mask = tmp_path / "s-made/train/masks/P00.png"
    assert (datasets.read_mask(mask) == LUNGS).all() and b"eXIf" not in mask.read_bytes()
    assert found["turned by its orientation flag"] == [
        *(f"images/P0{n}.png (flag 6)" for n in (1, 3, 5, 7)),
        "masks/P00.png (flag 6)",
    ]


def test_ids_that_differ_only_in_case(tmp_path):
    root = make_set(tmp_path / "s")
    put(root / "images/p00.png", chest(99))
    put(root / "masks/p00.png", WHITE)
    _, found, _ = made(root)
    assert found == {"ids that differ only in case": ["P00 and p00"]}


def test_what_macos_leaves_in_an_archive_is_no_picture(tmp_path):
    root = make_set(tmp_path / "s")
    for name in ("__MACOSX/images/._P00.png", "images/._P00.png"):
        put(root / name, b"\0\5\x16\7")
    manifest, found, _ = made(root)
    assert len(manifest["items"]) == 8 and set(found) <= {"stray file", "folder ignored"}


def test_two_masks_for_one_id(tmp_path):
    root = make_set(tmp_path / "s")
    put(root / "masks/P00_mask.png", WHITE)
    _, found, _ = made(root)
    assert len(found["two files with one id"]) == 1
    assert "P00_mask.png" in found["two files with one id"][0]


def test_links_are_followed_where_that_is_asked(tmp_path):
    root = make_set(tmp_path / "blobs")
    for path in root.glob("*/*.png"):
        link = tmp_path / "s" / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    with pytest.raises(ValueError, match="follow_links"):
        prepare.restructure(tmp_path / "s", tmp_path / "s-made")
    manifest, found, _ = made(tmp_path / "s", follow_links=True)
    assert len(manifest["items"]) == 8 and found == {}


SAME = "two masks of an image are the same"


@pytest.mark.parametrize("left, right, told", [
    (RIGHT, RIGHT, 8), (LUNGS, LUNGS, 8), (LUNGS & ~RIGHT, RIGHT, 0), (LUNGS & ~LUNGS, RIGHT, 0),
])  # fmt: skip
def test_one_lungs_mask_as_that_of_both_is_told(left, right, told, tmp_path):
    for number in range(8):
        put(tmp_path / f"s/images/{number}.png", chest(number))
        put(tmp_path / f"s/masks/left/{number}.png", left * np.uint8(255))
        put(tmp_path / f"s/masks/right/{number}.png", right * np.uint8(255))
    found = met(prepare.restructure(tmp_path / "s", tmp_path / "made"))
    assert len(found.get(SAME, [])) == told


def test_of_three_masks_the_second_of_the_same_ones_is_named(tmp_path):
    make_set(tmp_path / "s")
    rows = ["image,mask"]
    for number in range(8):
        for part, mask in enumerate((LUNGS, RIGHT, LUNGS)):
            put(tmp_path / f"s/parts/{number}_{part}.png", mask * np.uint8(255))
            rows.append(f"images/P{number:02}.png,parts/{number}_{part}.png")
    put(tmp_path / "s/list.csv", "\n".join(rows))
    found = met(prepare.restructure(tmp_path / "s/list.csv", tmp_path / "made"))
    assert found[SAME] == [f"parts/{number}_2.png (P{number:02})" for number in range(8)]


def test_two_masks_that_are_both_empty_are_not_called_the_same(tmp_path):
    make_set(tmp_path / "s")
    for side in ("left", "right"):
        for number in range(8):
            put(tmp_path / f"s/masks/{side}/P{number:02}.png", WHITE * (number > 0))
            (tmp_path / f"s/masks/P{number:02}.png").unlink(missing_ok=True)
    found = met(prepare.restructure(tmp_path / "s", tmp_path / "made"))
    assert len(found[SAME]) == 7 and "empty mask" in found


def audited_list(root, *masks, **options):
    """Return what is found of eight images that a list gives each of these masks (H, W) uint8."""
    make_set(root / "s")
    rows = ["image,mask"]
    for number in range(8):
        for part, mask in enumerate(masks):
            put(root / f"s/parts/{number}_{part}.png", mask)
            rows.append(f"images/P{number:02}.png,parts/{number}_{part}.png")
    put(root / "s/list.csv", "\n".join(rows))
    return met(prepare.restructure(root / "s/list.csv", root / "made", **options))


def box(top, left, size=4):
    mask = np.zeros((64, 64), np.uint8)
    mask[top : top + size, left : left + size] = 255
    return mask


OVERLAP = "masks of an image overlap"
LEFT = WHITE * ~RIGHT
SHIFTED = np.roll(WHITE, 5, 1)
CELLS = [box(10 * n % 60, 10 * n // 6) for n in range(6)]


@pytest.mark.parametrize("masks, told", [
    ([WHITE, SHIFTED], "1.png"), ([WHITE, LEFT], "1.png"), ([WHITE, SHIFTED // 255], "1.png"),
    ([LEFT, RIGHT * np.uint8(255), np.roll(LEFT, 5, 1), np.roll(WHITE * RIGHT, 5, 1)], "2.png"),
    ([WHITE, WHITE], ""),  # that is told as a copy
    ([LEFT, RIGHT * np.uint8(255)], ""), ([WHITE, np.roll(LEFT, -14, 1)], ""),  # by less than half
    ([np.roll(LEFT, -11, 1), RIGHT * np.uint8(255)], ""),  # that touch
    (CELLS, ""), ([*CELLS[:5], box(2, 2)], ""),  # of cells two may overlap
    ([box(n, n) for n in range(12)], ""),  # a row of many small ones
])  # fmt: skip
def test_masks_of_two_readers_that_a_list_names_are_told(masks, told, tmp_path):
    found = audited_list(tmp_path, *masks).get(OVERLAP, [])
    assert len(found) == 8 * bool(told)
    if told:
        assert found[0] == f"parts/0_{told} (P00): parts/0_0.png too"


@pytest.mark.parametrize("masks, told", [
    ([WHITE // 255, box(20, 12) // 255 * 2], 0),  # a nodule in a lung
    ([WHITE // 255 + box(20, 12) // 255, SHIFTED // 255], 8),  # two readers of two classes
])  # fmt: skip
def test_a_class_inside_another_is_no_second_reader(masks, told, tmp_path):
    found = audited_list(tmp_path, *masks, mask_values="lung=1,nodule=2")
    assert len(found.get(OVERLAP, [])) == told


def test_folders_of_sides_with_one_whole_mask_in_each_are_told(tmp_path):
    for number in range(8):
        put(tmp_path / f"s/images/{number}.png", chest(number))
        put(tmp_path / f"s/masks/left/{number}.png", WHITE)
        put(tmp_path / f"s/masks/right/{number}.png", SHIFTED)
    found = met(prepare.restructure(tmp_path / "s", tmp_path / "made"))
    assert found[OVERLAP][0] == "masks/right/0.png (0): masks/left/0.png too"


@pytest.mark.parametrize("paint, told", [
    (lambda grey: cv2.applyColorMap(grey, cv2.COLORMAP_JET), 8),
    (lambda grey: np.dstack([grey, (grey * 0.8).astype(np.uint8), grey]), 0),  # tinted
    (lambda grey: np.dstack([grey, grey // 2, grey // 8]), 0),  # on blue film
    (lambda grey: np.dstack([0 * grey, grey, 0 * grey]), 0),  # green screen
    (lambda grey: cv2.applyColorMap(grey, cv2.COLORMAP_HOT), 0),  # luminance keeps its order
    (lambda grey: np.dstack([np.roll(grey, 7 * n, n % 2) * np.uint8(1 + n) for n in range(3)]), 0),
])  # fmt: skip
def test_images_in_false_colours_are_told(paint, told, tmp_path):
    make_set(tmp_path / "s", image=lambda number: paint(chest(number)))
    found = met(prepare.restructure(tmp_path / "s", tmp_path / "made"))
    assert len(found["colour image"]) == 8
    assert len(found.get("image in false colours", [])) == told
