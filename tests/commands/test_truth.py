"""True masks are read, understood and scored; a bad one costs its own row and no other."""

import json

import cv2
import numpy as np
import pytest
from made_sets import LEFT, LUNGS, RIGHT, SIDE, WHITE, chest, dicom, encode, put, turned
from predicting import made, pictures

from unet_lib.commands import labelme, truth

SHAPE = (SIDE, SIDE)


def read_all(found, asked, shape=SHAPE):
    return [found.read(picture, shape=shape) for picture in asked]


def photograph(number):
    return np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)


def labelled(number):
    """Return a mask of labels 1 and 2; some hold one of them alone."""
    return RIGHT * np.uint8(1) + LEFT * np.uint8(2 * (number % 2))


# What the masks are and mean


MEANT = {  # how a mask is stored
    "0 and 255": lambda number: WHITE,
    "0 and 1": lambda number: LUNGS.astype(np.uint8),
    "16 bits": lambda number: LUNGS * np.uint16(65535),
    "a soft border": lambda number: cv2.GaussianBlur(WHITE, (3, 3), 0.5),
    "colour": lambda number: LUNGS[..., None] * np.array([255, 0, 0], np.uint8),
    "JPEG": lambda number: encode(WHITE, "jpeg", quality=80),
}


@pytest.mark.parametrize("case", MEANT)
def test_masks_are_understood(case, tmp_path):
    asked, folder = made(tmp_path, MEANT[case])
    found = truth.find(asked, folder)
    for mask in read_all(found, asked):
        assert mask.dtype == bool and mask.shape == SHAPE
        assert np.count_nonzero(mask ^ LUNGS) <= 10
    assert found.faults == {} and found.notes == []


def test_values_that_are_not_plain_are_refused_with_the_table(tmp_path):
    asked, folder = made(tmp_path, labelled)
    with pytest.raises(ValueError, match=r"(?s)is not plain.*value.*mask_values: \"1,2\".*predict"):
        truth.find(asked, folder)


def test_mask_values_settle_it_for_all(tmp_path):
    asked, folder = made(tmp_path, labelled)
    right = truth.find(asked, folder, mask_values="1")
    assert all((mask == RIGHT).all() for mask in read_all(right, asked))
    both = read_all(truth.find(asked, folder, mask_values="1,2"), asked)
    assert [np.count_nonzero(m) for m in both] == [RIGHT.sum(), LUNGS.sum(), RIGHT.sum()]


def test_the_masks_of_both_lungs_are_joined(tmp_path):
    asked, _ = made(tmp_path)
    for picture in asked:
        put(tmp_path / f"truth/leftMask/{picture.name}", LEFT * np.uint8(255))
        put(tmp_path / f"truth/rightMask/{picture.name}", RIGHT * np.uint8(255))
    found = truth.find(asked, tmp_path / "truth")
    assert all((mask == LUNGS).all() for mask in read_all(found, asked))


def test_labelme_files_are_masks(tmp_path):
    asked, _ = made(tmp_path)
    for picture in asked:
        labelme.write(tmp_path / f"truth/{picture.stem}.json", LUNGS, picture=picture.name)
    found = truth.find(asked, tmp_path / "truth")
    assert all((mask == LUNGS).all() for mask in read_all(found, asked))


@pytest.mark.parametrize("where", ["truth/lungs.json", "truth/annotations/instances.json"])
def test_a_coco_file_holds_masks(where, tmp_path):
    asked, _ = made(tmp_path)
    content = {
        "images": [{"id": n, "file_name": p.name, "width": SIDE, "height": SIDE}
                   for n, p in enumerate(asked)],
        "categories": [{"id": 1, "name": "lung"}],
        "annotations": [{"id": 10 * n + side, "image_id": n, "category_id": 1, "iscrowd": 0,
                         "segmentation": [[x, 12, x + 19, 12, x + 19, 52, x, 52]]}
                        for n in range(2) for side, x in enumerate((8, 37))],
    }  # fmt: skip
    put(tmp_path / where, json.dumps(content))
    found = truth.find(asked, tmp_path / "truth")
    assert all((mask == LUNGS).all() for mask in read_all(found, asked[:2]))
    with pytest.raises(ValueError, match="holds no annotation of it"):
        found.read(asked[2], shape=SHAPE)


def test_an_annotation_is_of_the_upright_picture(tmp_path):
    picture = put(tmp_path / "in/a.png", turned(chest(1)[:, :40]))
    mask = LUNGS[:40]
    labelme.write(tmp_path / "truth/a.json", mask, picture=picture.name)
    found = truth.find([picture], tmp_path / "truth")
    assert (found.read(picture, shape=(40, SIDE)) == mask).all()


def test_a_dicom_has_a_mask_of_its_name(tmp_path):
    picture = put(tmp_path / "in/a.dcm", dicom(chest(1).astype(np.uint16)))
    put(tmp_path / "truth/a.png", WHITE)
    found = truth.find([picture], tmp_path / "truth")
    assert (found.read(picture, shape=SHAPE) == LUNGS).all()


# What is missing or wrong


def test_a_picture_without_a_mask_is_read_as_none(tmp_path):
    asked, folder = made(tmp_path)
    (folder / "P01.png").unlink()
    found = truth.find(asked, folder)
    assert found.read(asked[1], shape=SHAPE) is None
    assert (found.read(asked[2], shape=SHAPE) == LUNGS).all()


SPOILT = {  # the mask of one picture; what is said
    "damaged": (encode(WHITE)[:60], "P01.png: (damaged|truncated) PNG file"),
    "no picture": ("nothing", "P01.png: "),
    "an image": (photograph(1), "P01.png is a grey picture, not a mask"),
    "full": (np.full(SHAPE, 255, np.uint8), "covers the whole picture"),
    "other proportions": (WHITE[:50], "50 x 64 px .* the picture 64 x 64 px"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_bad_mask_costs_its_own_row(case, tmp_path):
    spoilt, told = SPOILT[case]
    asked, folder = made(tmp_path)
    put(folder / "P01.png", spoilt)
    found = truth.find(asked, folder)
    with pytest.raises(ValueError, match=told):
        found.read(asked[1], shape=SHAPE)
    assert all((mask == LUNGS).all() for mask in read_all(found, asked[::2]))


def test_faint_noise_is_no_mask(tmp_path):
    noise = np.zeros(SHAPE, np.uint8)
    noise[::9, ::7] = 3
    asked, folder = made(tmp_path, lambda number: noise if number == 1 else WHITE)
    with pytest.raises(ValueError, match="noise, not a drawing"):
        truth.find(asked, folder).read(asked[1], shape=SHAPE)


def test_where_no_mask_can_be_used_the_first_reason_is_told(tmp_path):
    asked, folder = made(tmp_path, photograph)
    with pytest.raises(ValueError, match="can be used; the first: .*P00.png is a grey picture"):
        truth.find(asked, folder)


def test_stray_values_are_told(tmp_path):
    plain = LUNGS.astype(np.uint8)
    stray = plain.copy()
    stray[2, 2] = 3
    asked, folder = made(tmp_path, lambda number: stray if number == 1 else plain)
    found = truth.find(asked, folder)
    (note,) = found.notes
    assert note.startswith("stray value in a mask: ") and note.endswith("P01.png: 1 px of 3")
    assert (found.read(asked[1], shape=SHAPE) == LUNGS).all()


def test_another_size_is_met_by_the_nearest_pixel(tmp_path):
    asked, folder = made(tmp_path)
    twice = np.kron(LUNGS, np.ones((2, 2), bool))
    assert (truth.find(asked, folder).read(asked[0], shape=(128, 128)) == twice).all()


def test_the_examination_is_told_as_it_goes(tmp_path):
    asked, folder = made(tmp_path)
    steps = []
    truth.find(asked, folder, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]


# Scores


def moved(mask, columns):
    return np.roll(mask, columns, 1)


def test_the_score_of_a_shifted_square():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    scored = truth.score(mask, moved(mask, 5), spacing=(0.2, 0.2))
    assert scored["dice"] == pytest.approx(15 / 20)
    assert scored["hd95_px"] == pytest.approx(5)
    assert scored["hd95_mm"] == pytest.approx(1)


def test_millimetres_are_told_only_where_they_are_known():
    assert truth.score(LUNGS, LUNGS)["hd95_mm"] is None
    assert truth.score(LUNGS, LUNGS, spacing=(0.1, 0.2))["hd95_mm"] is None
    assert truth.score(LUNGS, LUNGS, spacing=(0.1, 0.1)) == {"dice": 1, "hd95_px": 0, "hd95_mm": 0}


def test_nothing_against_something_is_the_diagonal():
    nothing = np.zeros(SHAPE, bool)
    scored = truth.score(LUNGS, nothing)
    assert scored["dice"] == 0 and scored["hd95_px"] == pytest.approx(SIDE * 2**0.5)
    assert truth.score(nothing, nothing)["dice"] == 1


def test_the_distance_is_that_of_the_whole_picture():
    """Where a box is cut out to spare memory, nothing changes."""
    from unet_lib import metrics

    rng = np.random.default_rng(0)
    for _ in range(20):
        pair = [cv2.blur(rng.random((30, 40)), (7, 7)) > 0.52 for _ in range(2)]
        whole = metrics.surface_score(*pair, tolerance=1)["hd95"]
        assert truth.score(*pair)["hd95_px"] == whole


@pytest.mark.parametrize("quarters, mirror, way", [
    (1, False, "on its side"), (2, False, "upside down"), (3, True, "on its side")])
def test_a_true_mask_that_was_turned_is_told(quarters, mirror, way):
    """Of a square picture: only the pixels say so."""
    bean = np.zeros(SHAPE, bool)
    bean[5:20, 5:50] = bean[20:40, 5:15] = True
    lying = np.rot90(bean[:, ::-1] if mirror else bean, quarters)
    said = truth.turned(lying, bean)
    assert said.startswith(f"its true mask fits far better {way} (Dice 1.00)")
    assert truth.turned(lying * np.uint8(2), bean * np.uint8(1)) == said  # of classes
    assert truth.turned(bean, bean) == ""
    assert truth.turned(lying, np.zeros_like(bean)) == ""  # nothing fits an empty one


def test_a_poor_prediction_is_no_turned_mask():
    """Below a Dice of 0.7 turned, or 0.2 above its own, it says nothing."""
    bar, shorter, shortest = (np.zeros((60, 60), bool) for _ in range(3))
    bar[10:20] = shorter[-20:-10, :33] = shortest[-20:-10, :32] = True
    assert truth.turned(bar, shorter).endswith("(Dice 0.71): mask or picture was turned")
    assert truth.turned(bar, shortest) == ""
    belts = {start: np.zeros((60, 60), bool) for start in (17, 19, 25, 27)}
    for start, belt in belts.items():
        belt[start : start + 20] = True
    assert "upside down (Dice 0.80)" in truth.turned(belts[27], belts[17])  # 0.50 as it lies
    assert truth.turned(belts[25], belts[19]) == ""  # 0.80, but 0.70 as it lies


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="must have one shape"):
        truth.score(LUNGS, LUNGS[:10])


def rows(*scores):
    return [{"file": f"{n}.png", "dice": d, "hd95_px": 3.0} for n, d in enumerate(scores)]


def test_the_summary_tells_mean_interval_tail_and_number():
    told = truth.summary(rows(*np.linspace(0.9, 1, 101)))
    assert "of 101 picture(s): Dice 0.950 on average (95 % interval 0.94" in told
    assert "median 0.950, 5th percentile 0.905; HD95 3.0 px (median)." in told
    assert "Not scored" not in told


def test_the_summary_reads_what_a_csv_holds():
    asked = rows("0.8", "0.9") + [{"file": "a.png", "dice": ""}, {"file": "b.png"}]
    told = truth.summary(asked)
    assert "2 picture(s): Dice 0.850" in told
    assert told.endswith("Not scored: 2 (a.png, b.png).")


def test_the_summary_counts_masks_that_were_turned():
    odd = rows("0.1", "0.9")
    odd[0]["notes"] = truth.turned(np.rot90(RIGHT), RIGHT)
    assert "1 true mask(s) fit far better when they are turned: see `notes`." in truth.summary(odd)
    assert "turned" not in truth.summary(rows("0.1", "0.9"))


def test_the_summary_of_nothing():
    assert truth.summary(rows(*[None] * 7)).startswith("No picture was scored. Not scored: 7 (0")
    assert truth.summary(rows(*[""] * 7)).endswith("4.png and 2 more).")


SIDES = ("right lung", "left lung")


def both(number):
    return RIGHT * np.uint8(1) + LEFT * np.uint8(2)


def test_the_numbers_of_classes_need_no_word(tmp_path):
    asked, folder = made(tmp_path, both)
    found = truth.find(asked, folder, classes=SIDES)
    for mask in read_all(found, asked):
        assert mask.dtype == np.uint8 and np.array_equal(mask, both(0))


@pytest.mark.parametrize(("line", "held"), [
    ("left lung=2, right lung=1", "left lung, right lung"), ("1,2", "foreground and background"),
])  # fmt: skip
def test_true_masks_of_other_classes_are_refused(line, held, tmp_path):
    asked, folder = made(tmp_path, both)
    with pytest.raises(ValueError, match=f"tells right lung, left lung apart, the true masks {held}"
                                         ".*--mask-values 'right lung=1, left lung=2'"):
        truth.find(asked, folder, mask_values=line, classes=SIDES)


def test_classes_are_scored_one_by_one_and_on_average():
    guess = both(0)
    guess[LEFT] = 0
    scored = truth.score_classes(both(0), guess, SIDES, spacing=(1, 1))
    assert scored["dice:right lung"] == 1 and scored["dice:left lung"] == 0
    assert scored["dice"] == 0.5 and scored["hd95_px"] == pytest.approx(SIDE * 2**0.5 / 2)
    assert truth.score_classes(both(0), guess, SIDES)["hd95_mm"] is None
    assert truth.score_classes(both(0), guess > 0, ()) == truth.score(LUNGS, RIGHT)
    told = truth.summary([{"file": "a", **scored}, {"file": "b"}])
    assert "Dice 0.500 on average" in told
    assert "(median). Dice of right lung 1.000, left lung 0.000. Not scored: 1 (b)." in told


@pytest.mark.parametrize("start, told", [(1, 0), (0, 1)])
def test_true_masks_that_count_from_another_number_are_told(start, told, tmp_path):
    for number in range(8):
        put(tmp_path / f"images/image_{number + 1}.png", chest(number))
        put(tmp_path / f"masks/mask_{number + start}.png", WHITE)
    notes = truth.find(pictures(tmp_path), tmp_path / "masks").notes
    assert len(notes) == told
    assert all("image_1.png and" in n and "mask_0.png, and equal numbers" in n for n in notes)


@pytest.mark.parametrize("name", ["P00.npy", "masks.zip"])
def test_a_folder_of_arrays_or_archives_is_refused_by_their_names(name, tmp_path):
    asked, _ = made(tmp_path)
    put(tmp_path / "truth" / name, b"any")
    with pytest.raises(ValueError, match=f"no picture or annotation, but {name} .unpack them"):
        truth.find(asked, tmp_path / "truth")


def test_a_folder_of_pictures_and_a_table_is_called_what_it_is(tmp_path):
    asked, _ = made(tmp_path)
    put(asked[0].parent / "predictions.csv", b"file")
    with pytest.raises(ValueError, match="no file but such as are among the pictures"):
        truth.find(asked, asked[0].parent)
