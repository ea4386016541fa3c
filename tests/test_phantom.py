"""Phantoms: deterministic, plausible, and written as the tree that notebook 01 expects."""

import os
import re
import runpy

import cv2
import numpy as np
import pytest

from unet_lib import phantom, workspace
from unet_lib.phantom import film

FIXTURES = workspace.PROJECT / "tests" / "fixtures"

SIZE = 256
USUAL_AREAS = [2399, 2245, 2422, 2333, 2325, 2423]  # px, of the first phantoms at 96 px


@pytest.fixture(scope="module")
def phantoms():
    return [phantom.draw(seed, size=SIZE) for seed in range(24)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "source"
    return folder, phantom.write_primary_tree(folder, train=4, test=2, seed=3)


def pieces(mask):
    """Areas in px of the connected pieces of a mask, largest first, and their centres (x, y)."""
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA]) + 1
    return stats[order, cv2.CC_STAT_AREA], centres[order]


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


# One phantom


def test_same_seed_same_phantom_and_global_random_state_plays_no_part():
    np.random.seed(1)
    first = phantom.draw(5, size=128)
    np.random.seed(2)
    second = phantom.draw(5, size=128)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert first[2] == second[2]


def test_no_two_phantoms_are_alike(phantoms):
    small = [cv2.resize(image, (32, 32)).astype(float) for image, _, _ in phantoms]
    for k, image in enumerate(small):
        assert all(np.abs(image - other).mean() > 3 for other in small[:k])
    assert len({mask.tobytes() for _, mask, _ in phantoms}) == len(phantoms)


@pytest.mark.parametrize("size, shape", [(96, (96, 96)), ((160, 224), (160, 224))])
def test_size_type_and_values(size, shape):
    image, mask, label = phantom.draw(0, size=size)
    assert image.shape == mask.shape == shape
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert label in (0, 1) and isinstance(label, int)


def test_size_is_512_by_default():
    assert phantom.draw(0)[0].shape == (512, 512)


def test_the_anatomy_does_not_depend_on_the_size():
    large, small = phantom.draw(4, size=512)[1], phantom.draw(4, size=256)[1]
    shrunk = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA) > 127
    dice = 2 * (shrunk & (small > 0)).sum() / (shrunk.sum() + (small > 0).sum())
    assert dice > .95


@pytest.mark.parametrize("size", [32, (63, 200)])
def test_too_small_is_refused(size):
    with pytest.raises(ValueError, match="64 px or more on each side, got .*; use 512"):
        phantom.draw(0, size=size)


def test_both_labels_come_up(phantoms):
    assert 6 <= sum(label for _, _, label in phantoms) <= 18


# Varieties


@pytest.fixture(scope="module")
def wide():
    return [phantom.draw(seed, size=128, variety="wide") for seed in range(40)]


def test_the_usual_phantoms_are_what_they_were_before_there_were_others():
    """Anatomy alone: fonts and rounding of grey values differ between versions of OpenCV."""
    masks = [phantom.draw(seed, size=96)[1] for seed in range(6)]
    areas = [int((mask > 0).sum()) for mask in masks]
    other = 6 if cv2.__version__.startswith("4.") else 0  # it fills a few pixels of a border more
    assert areas == pytest.approx(USUAL_AREAS, abs=other)
    assert np.array_equal(phantom.draw(5, size=96, variety="usual")[0], phantom.draw(5, size=96)[0])


def test_phantoms_look_as_they_did_when_the_shipped_model_learned_from_them():
    """fixtures/make_phantoms.py wrote down how; OpenCV 4 draws letters and lines otherwise."""
    make = runpy.run_path(str(FIXTURES / "make_phantoms.py"))
    drawn = [make["blocks"](name, seed) for name, seeds in make["SEEDS"].items() for seed in seeds]
    away = np.abs(np.float32(drawn) - np.load(FIXTURES / "phantoms.npy"))
    assert np.mean(away > 1) < .05
    assert away.max() < .5 or cv2.__version__.startswith("4.")


def test_wide_phantoms_are_reproducible_and_of_the_same_kind(wide):
    for given, found in zip(wide[3], phantom.draw(3, size=128, variety="wide"), strict=True):
        assert np.array_equal(given, found)
    for image, mask, label in wide:
        assert image.dtype == mask.dtype == np.uint8 and image.shape == mask.shape == (128, 128)
        assert set(np.unique(mask)) == {0, 255} and label in (0, 1)


def test_wide_masks_are_still_two_lungs(wide):
    coverage = np.array([(mask > 0).mean() for _, mask, _ in wide])
    assert .15 < coverage.mean() < .3 and coverage.min() > .04
    for _, mask, _ in wide:
        _, centres = pieces(mask)
        left, right = sorted(centres[:2, 0])
        assert left < 64 < right


def test_wide_phantoms_vary_more_than_usual_ones(wide):
    usual = [phantom.draw(seed, size=128) for seed in range(40)]

    def spread(drawn):
        contrast = [float(i[m == 0].mean()) - float(i[m > 0].mean()) for i, m, _ in drawn]
        return np.std([i.mean() for i, _, _ in drawn]), np.std(contrast)

    assert np.all(np.array(spread(wide)) > 1.3 * np.array(spread(usual)))


def test_lungs_end_where_the_picture_ends(wide):
    """No mask lies under an even margin, however bright or dark it is."""
    for image, mask, _ in wide:
        rows = (image.max(1) == image.min(1)) & (mask > 0).any(1)
        columns = (image.max(0) == image.min(0)) & (mask > 0).any(0)
        assert not rows.any() and not columns.any()


def test_an_unknown_variety_is_refused():
    with pytest.raises(ValueError, match="variety must be one of usual, wide, got 'odd'"):
        phantom.draw(0, variety="odd")


# Masks


def test_masks_are_two_lungs_one_on_each_side(phantoms):
    for _, mask, _ in phantoms:
        areas, centres = pieces(mask)
        assert areas[:2].sum() > .99 * areas.sum()
        assert areas[1] > .25 * areas[0]
        left, right = sorted(centres[:2, 0])
        assert left < .45 * SIZE and right > .55 * SIZE


def test_lungs_cover_about_a_quarter_of_the_image(phantoms):
    coverage = np.array([(mask > 0).mean() for _, mask, _ in phantoms])
    assert .2 < coverage.mean() < .3
    assert coverage.min() > .08 and coverage.max() < .45


def test_heart_and_mediastinum_are_left_out(phantoms):
    for _, mask, _ in phantoms:
        rows = np.flatnonzero(mask.any(1))
        low = rows[0] + int(.7 * (rows[-1] - rows[0]))
        midline = pieces(mask)[1][:2, 0].mean()
        assert not mask[:, int(midline)].any()
        gap = np.flatnonzero(mask[low])
        widest = np.diff(gap).max()
        assert widest > .12 * SIZE  # the heart


def test_heart_takes_more_of_the_patients_left_lung(phantoms):
    right, left = np.mean([
        [areas[k] for k in np.argsort(centres[:2, 0])]
        for areas, centres in (pieces(mask) for _, mask, _ in phantoms)
    ], 0)
    assert left < .97 * right


def test_outlines_are_polygons_of_few_corners(phantoms):
    for _, mask, _ in phantoms:
        outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        outline = max(outlines, key=cv2.contourArea)
        assert 6 <= len(cv2.approxPolyDP(outline, 1.5, True)) <= 60


# Images


def test_lungs_are_darker_than_what_surrounds_them(phantoms):
    for image, mask, _ in phantoms:
        around = cv2.dilate(mask, np.ones((15, 15))) & ~cv2.dilate(mask, np.ones((3, 3)))
        assert image[mask > 0].mean() < image[around > 0].mean() - 20


def test_below_the_lungs_is_brighter_than_inside(phantoms):
    for image, mask, _ in phantoms:
        bottom = np.flatnonzero(mask.any(1))[-1]
        if bottom < .9 * SIZE:
            abdomen = image[bottom:-8, SIZE // 2 - 40:SIZE // 2 + 40]
            assert abdomen.mean() > image[mask > 0].mean() + 40


def test_grey_values_spread_as_in_real_radiographs(phantoms):
    """Bounds: well outside what was measured on the Shenzhen set (mean 155, lungs 140)."""
    assert 140 < np.mean([image.mean() for image, _, _ in phantoms]) < 170
    assert 120 < np.mean([image[mask > 0].mean() for image, mask, _ in phantoms]) < 155
    for image, _, _ in phantoms:
        assert np.percentile(image, 5) < 130 and np.percentile(image, 95) > 190
        assert (image == 255).mean() < .02


def test_disease_is_drawn_only_into_the_lungs(monkeypatch):
    """With clouds everywhere instead of the drawn ones, almost only the lungs turn brighter."""
    seed = next(seed for seed in range(9) if phantom.draw(seed, size=64)[2] == 1)
    drawn = phantom.anatomy.opacities

    def image(strength):
        even = lambda *a: 0 * drawn(*a) + np.float32(strength)  # noqa: E731
        monkeypatch.setattr(phantom.anatomy, "opacities", even)
        return phantom.draw(seed, size=SIZE)[0].astype(float)

    change = image(.5) - image(0)
    lung = phantom.draw(seed, size=SIZE)[1] > 0
    assert change[lung].mean() > 20
    assert change[~lung].mean() < .2 * change[lung].mean()


def test_opacities_brighten_and_normal_phantoms_have_none(monkeypatch):
    calls, drawn = [], phantom.anatomy.opacities
    monkeypatch.setattr(
        phantom.anatomy, "opacities", lambda *a: calls.append(drawn(*a)) or calls[-1]
    )
    labels = [phantom.draw(seed, size=64)[2] for seed in range(12)]
    assert len(calls) == sum(labels)
    assert all(cloud.min() >= 0 and cloud.max() > .1 for cloud in calls)


# The tree


def test_tree_is_the_primary_tree(tree):
    folder, ids = tree
    train, test = ids[:4], ids[4:]
    expected = {f"train_images/{i}/{kind}/{i}.png" for i in train for kind in ("images", "masks")}
    expected |= {f"test_images/{i}/{i}.png" for i in test}
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == expected


def test_ids_carry_number_and_label(tree):
    _, ids = tree
    assert [i[:-2] for i in ids] == [
        "PHANTOM_0001", "PHANTOM_0002", "PHANTOM_0003", "PHANTOM_0004",
        "PHANTOM_9001", "PHANTOM_9002",
    ]
    assert all(re.fullmatch(r"PHANTOM_\d{4}_[01]", i) for i in ids)
    assert [int(i[-1]) for i in ids[:2]] == [phantom.draw([3, k], size=64)[2] for k in (1, 2)]


def test_files_hold_what_draw_gives(tree):
    folder, ids = tree
    for k, name in enumerate(ids[:4], 1):
        image = read(folder / f"train_images/{name}/images/{name}.png")
        mask = read(folder / f"train_images/{name}/masks/{name}.png")
        expected = phantom.draw([3, k], size=image.shape)
        assert image.dtype == np.uint8 and image.ndim == 2
        assert np.array_equal(image, expected[0])
        assert np.array_equal(mask, expected[1])


def test_a_test_image_is_drawn_again_from_its_id_with_its_truth(tree):
    folder, ids = tree
    for name in ids[4:]:
        image, mask = phantom.redraw(name, seed=3)
        assert np.array_equal(image, read(folder / f"test_images/{name}/{name}.png"))
        assert mask.shape == image.shape and set(np.unique(mask)) == {0, 255}
    wrong = f"{ids[4][:-1]}{1 - int(ids[4][-1])}"
    for name in (wrong, "PHANTOM_1", "P_x_0", "other"):
        with pytest.raises(ValueError, match=f"no phantom of seed 3 has the id '{name}'"):
            phantom.redraw(name, seed=3)


def test_sizes_vary_between_400_and_640(tree):
    folder, _ = tree
    shapes = [read(path).shape for path in folder.rglob("*.png") if path.parent.name != "masks"]
    assert len(set(shapes)) == len(shapes)
    assert all(400 <= side <= 640 for shape in shapes for side in shape)


def test_a_phantom_does_not_depend_on_how_many_are_drawn(tree, tmp_path):
    folder, ids = tree
    few = phantom.write_primary_tree(tmp_path / "few", train=2, test=1, seed=3)
    assert few == [*ids[:2], ids[4]]
    whole = files(folder)
    assert all(whole[name] == data for name, data in files(tmp_path / "few").items())


def test_another_seed_gives_other_phantoms(tree, tmp_path):
    folder, _ = tree
    phantom.write_primary_tree(tmp_path / "other", train=1, test=0, seed=4)
    assert not set(files(tmp_path / "other").values()) & set(files(folder).values())


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="a new or empty folder, but .* delete it or name"):
        phantom.write_primary_tree(tmp_path, train=1, test=0)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "not" / "there é"):
        assert len(phantom.write_primary_tree(folder, train=1, test=0)) == 1
        assert len(files(folder)) == 2
        assert os.listdir(folder.parent).count(folder.name) == 1


def test_an_interrupted_call_leaves_nothing_and_the_next_one_completes(tmp_path, monkeypatch):
    draw, calls = phantom.draw, []

    def interrupted(seed, **options):
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(seed, **options)

    monkeypatch.setattr(phantom, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phantom.write_primary_tree(tmp_path / "source", train=2, test=0)
    assert not list(tmp_path.iterdir())
    assert len(phantom.write_primary_tree(tmp_path / "source", train=2, test=0)) == 2


def test_the_folder_appears_only_when_it_is_whole(tmp_path, monkeypatch):
    """What a killed process leaves is never at the place where the tree is looked for."""
    folder, seen, write = tmp_path / "source", [], phantom._write
    monkeypatch.setattr(phantom, "_write", lambda *a: (seen.append(folder.exists()), write(*a))[1])
    phantom.write_primary_tree(folder, train=2, test=1)
    assert seen == [False] * 3 and folder.exists()


@pytest.mark.parametrize(
    "name, value", [("train", -1), ("train", 9001), ("test", 1000), ("seed", -1)]
)
def test_numbers_out_of_range_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to .*, got {value}"):
        phantom.write_primary_tree(tmp_path / "source", **{name: value})
    assert not list(tmp_path.iterdir())


def test_sides_tell_the_patients_right_lung_which_is_left_in_the_picture(tree, tmp_path):
    folder, ids = tree
    phantom.write_primary_tree(tmp_path / "s", train=4, test=0, seed=3, sides=True)
    for name in ids[:4]:
        case = f"train_images/{name}"
        sides = read(tmp_path / "s" / f"{case}/masks/{name}.png")
        assert np.array_equal(255 * (sides > 0), read(folder / f"{case}/masks/{name}.png"))
        assert np.array_equal(*(read(root / f"{case}/images/{name}.png")
                                for root in (folder, tmp_path / "s")))
        right, left = (np.argwhere(sides == number)[:, 1] for number in (1, 2))
        assert right.max() < left.max() and right.mean() < sides.shape[1] / 2 < left.mean()


def test_a_lung_alone_has_the_side_on_which_it_lies():
    for columns, number in ((slice(10, 30), 1), (slice(70, 90), 2)):
        lung = np.zeros((100, 100), bool)
        lung[20:80, columns] = True
        assert np.unique(film.trace(np.random.default_rng(0), lung)).tolist() == [0, number]
