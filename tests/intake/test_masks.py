import cv2
import numpy as np
import pytest
import yaml
from test_values import BOTH, LEFT, RIGHT, jpeg, raster

from unet_lib import parameters
from unet_lib.intake import masks, values
from unet_lib.intake.masks import decide

WHITE = BOTH * np.uint8(255)
LABELS = np.uint8(1) * RIGHT + np.uint8(2) * LEFT
HEART = LABELS.copy()
HEART[40:60, 44:54] = 3


def judge(*files, mask_values="auto", of=None):
    """Return the meaning of a set of masks, and what becomes of each file."""
    given = [f if isinstance(f, values.Raster) else raster(f) for f in files]
    found = [values.read_values(each) for each in given]
    counts = {f"m{n}.png": values.count(each) for n, each in enumerate(found)}
    meaning = decide(counts, mask_values)
    return meaning, [masks.apply(each, meaning) for each in found], counts


def refused(*files, **options):
    with pytest.raises(ValueError) as error:
        judge(*files, **options)
    text = str(error.value)
    assert "mask_values" in text
    return text


def notes(meaning, fault):
    return [file + detail for found, file, detail in meaning.notes if found == fault]


# ------------------------------------------------------------------------------------------ plain


def test_0_and_255_need_no_word():
    meaning, made, _ = judge(WHITE, WHITE)
    assert meaning.foreground == {255} and meaning.notes == ()
    assert all((mask == BOTH).all() and mask.dtype == np.uint8 for mask in made)


def test_a_thin_label_is_named_like_any_other():
    tube = WHITE.copy()
    tube[2:94, 47:49] = 128
    assert "they hold 2 values besides 0" in refused(tube, WHITE)
    meaning, (made, _), _ = judge(tube, WHITE, mask_values="lungs=255,tube=128")
    assert meaning.classes == ("lungs", "tube") and (made == 2).sum() == (tube == 128).sum()


def test_a_grey_that_is_no_label_is_not_said_to_be_nowhere():
    soft = cv2.GaussianBlur(WHITE, (7, 7), 2)
    grey = int(soft[(soft > 100) & (soft < 150)][0])
    said = refused(soft, mask_values=f"a=255,b={grey}")
    assert f"no mask holds {grey}, but as what JPEG or a soft border makes of others" in said
    assert "but as what" not in refused(soft, mask_values="a=255,b=red")


def test_0_and_1():
    meaning, made, _ = judge(BOTH, BOTH)
    assert notes(meaning, "mask of 0 and 1") == ["m0.png", "m1.png"]
    assert all((mask == BOTH).all() for mask in made)


def test_0_and_1_in_some_files_and_0_and_255_in_others():
    meaning, made, _ = judge(WHITE, BOTH, WHITE)
    assert notes(meaning, "mask of 0 and 1") == ["m1.png"]
    assert all((mask == BOTH).all() for mask in made)


def test_16_bits():
    meaning, made, _ = judge(BOTH.astype(np.uint16) * 65535, WHITE)
    assert notes(meaning, "mask of other values") == ["m0.png (0, 65535)"]
    assert all((mask == BOTH).all() for mask in made)


def test_one_colour_on_black():
    red = np.dstack([WHITE, BOTH * 0, BOTH * 0])
    meaning, made, _ = judge(red, jpeg(red, 60), jpeg(red, 90))
    assert meaning.foreground == {"#ff0000"}
    assert notes(meaning, "coloured mask")[0] == "m0.png (#ff0000)"
    assert (made[0] == BOTH).all() and np.mean(made[1] != BOTH) < 0.03


def test_soft_borders():
    meaning, made, _ = judge(jpeg(WHITE, 30), jpeg(WHITE, 90), WHITE)
    assert meaning.foreground == {255}
    assert len(notes(meaning, "mask with a soft border")) == 2
    assert all(np.mean(mask != BOTH) < 0.01 for mask in made)


def test_alpha_is_the_mask():
    white = np.full((96, 96, 3), 255, np.uint8)
    meaning, made, _ = judge(raster(white, WHITE))
    assert notes(meaning, "mask in the alpha channel") == ["m0.png (255)"]
    assert (made[0] == BOTH).all()


def test_a_stray_value_in_few_files_becomes_background():
    stray = BOTH.copy()
    stray[0, 0] = 3
    meaning, made, _ = judge(stray, *[BOTH] * 11)
    assert notes(meaning, "stray value in a mask") == ["m0.png: 1 px of 3"]
    assert (made[0] == BOTH).all()


def test_a_stray_value_in_many_files_or_of_many_pixels_is_no_stray():
    stray = BOTH.copy()
    stray[0, 0] = 3
    assert "they hold 2 values besides 0" in refused(*[stray] * 3, *[BOTH] * 9)
    stray[0, :60] = 3
    assert "they hold 2 values besides 0" in refused(stray, *[BOTH] * 11)


def test_names_of_lungs_are_joined():
    planes = {"right lung": RIGHT, "left lung": LEFT}
    found = [values.from_plane(plane, name) for name, plane in planes.items()]
    meaning = decide({f"a{n}": values.count(each) for n, each in enumerate(found)})
    assert meaning.foreground == {"right lung", "left lung"}
    joined = masks.apply(found[0], meaning) | masks.apply(found[1], meaning)
    assert (joined == BOTH).all()


# ------------------------------------------------------------------- refused, with table and line


@pytest.mark.parametrize(("files", "line"), [
    ([LABELS] * 3, "1,2"),
    ([np.uint8(1) * RIGHT, np.uint8(2) * LEFT, np.uint8(1) * RIGHT], "1,2"),
    ([np.uint8(127) * RIGHT + np.uint8(255) * LEFT], "127,255"),
    ([np.uint8(85) * RIGHT + np.uint8(170) * LEFT] * 2, "85,170"),
    ([jpeg(np.uint8(127) * RIGHT + np.uint8(255) * LEFT)], "127,255"),
    ([HEART] * 2, "1,2,3"),
    ([np.where(BOTH, 1, 2).astype(np.uint8)] * 2, "1"),
    ([255 - WHITE] * 3, "0"),
    ([1 - BOTH] * 3, "0"),
    ([np.dstack([np.uint8(255) * LEFT, BOTH * 0, np.uint8(128) * RIGHT])], "#000080,#ff0000"),
    ([np.dstack([LEFT, RIGHT, BOTH * 0]).astype(np.uint8)] * 2, "#000100,#010000"),
    ([np.dstack([LEFT * 240, RIGHT * 12, LEFT * 12]).astype(np.uint8),
      np.dstack([LEFT * 250, RIGHT * 12, LEFT * 12]).astype(np.uint8)],
     "#000c00,#f0000c,#fa000c"),
])  # fmt: skip
def test_refused(files, line):
    text = refused(*files)
    assert text.startswith("what the values of these masks mean is not plain: ")
    assert f'\n    mask_values: "{line}"\n' in text and "of the pixels" in text
    settled, *_ = judge(*files, mask_values=line)
    assert settled.foreground


def test_the_table():
    text = refused(LABELS, LABELS)
    rows = [line.split() for line in text.splitlines()[1:5]]
    share = f"{LEFT.mean():.1%}"
    assert rows[0] == ["value", "of", "the", "pixels", "files", "of", "the", "border"]
    assert rows[1] == ["0", f"{1 - BOTH.mean():.1%}", "2", "100.0%"]
    assert sorted(rows[2:]) == [["1", share, "2", "0.0%"], ["2", share, "2", "0.0%"]]


def test_strays_are_not_suggested_in_the_place_of_255():
    strays = WHITE.copy()
    strays[:3] = 7
    assert 'mask_values: "7,255"' in refused(strays, WHITE)


def test_what_is_suggested_beside_transparency_is_all_that_can_be_seen():
    """A picture cut out along the lungs: no value of it is less foreground than another."""
    grey = (np.indices(BOTH.shape).sum(0) % 200).astype(np.uint8)
    cut = values.Raster(grey, BOTH * np.uint8(255), "PNG")
    seen = grey[BOTH > 0]
    assert seen.min() < 64 < seen.max()
    assert f'mask_values: "{seen.min()}-{seen.max()}"' in refused(cut, cut)


def test_a_soft_border_below_half_of_the_label_is_not_suggested():
    """The least values of a mask of 0 to 100 are what JPEG or resizing left outside."""
    soft = cv2.GaussianBlur(BOTH * np.float32(100), (0, 0), 1).astype(np.uint8)
    assert 'mask_values: "50-100"' in refused(soft, soft)


def test_the_void_of_pascal_voc_is_not_suggested():
    drawn = np.zeros((*BOTH.shape, 3), np.uint8)
    drawn[cv2.dilate(BOTH, np.ones((3, 3), np.uint8)) > 0] = 224, 224, 192
    drawn[BOTH > 0] = 128, 0, 0
    assert 'mask_values: "#800000"' in refused(drawn, drawn)


def test_outlines_that_were_not_filled_are_refused_by_that_name():
    line = WHITE - cv2.erode(WHITE, np.ones((3, 3), np.uint8))
    assert "inverted, or outlines that nobody filled" in refused(line, line)


def test_255_in_files_of_its_own_is_no_void():
    """Two sets in one: labels 1 and 2 here, 255 there."""
    assert 'mask_values: "1,2,255"' in refused(LABELS, LABELS, WHITE, WHITE)


def test_void_255_is_not_suggested():
    void = BOTH.copy()
    void[:, 46:50] = 255
    assert 'mask_values: "1"' in refused(void, void)


@pytest.mark.parametrize("share", [1, 3, 9])
def test_some_inverted(share):
    files = [255 - WHITE] * share + [WHITE] * (10 - share)
    text = refused(*files)
    assert f"in {share} of 10 files the foreground lies along the border" in text
    assert all(f"m{n}.png\n" in text for n in range(share)) and "CSV list" in text
    meaning, made, _ = judge(*files, mask_values="255")
    assert notes(meaning, "foreground along the border") == [f"m{n}.png" for n in range(share)]


def test_what_is_right_as_it_is_is_told_by_its_own_value():
    text = refused(*[1 - BOTH.astype(np.uint8)] * 2, *[BOTH.astype(np.uint8)] * 3)
    assert 'write\n    mask_values: "1"\n' in text


def framed(mask, top, bottom, left, right):
    kept = mask[top : len(mask) - bottom, left : mask.shape[1] - right]
    return np.pad(kept, ((top, bottom), (left, right)))


@pytest.mark.parametrize("frame", [(1, 1, 1, 1), (0, 0, 9, 9), (11, 11, 0, 0), (0, 0, 0, 5)])
def test_inverted_masks_in_a_frame(frame):
    """As padding to a square leaves it; 0 as foreground would make the frame a lung."""
    side = len(WHITE)
    assert max(frame) < side // 8
    odd = framed(255 - WHITE, *frame)
    text = refused(odd, WHITE, odd)
    assert "in 2 of 3 files the foreground lies along the border" in text and "m0.png\n" in text
    assert "No mask_values settles it, for a frame of 0 lies around them. Turn these" in text
    assert "in 2 of 2 files" in refused(odd, odd)
    told = judge(odd, odd, mask_values="0")[0]
    assert notes(told, "foreground along the border") == ["m0.png", "m1.png"]
    told = judge(odd, WHITE, mask_values="255")[0]
    assert notes(told, "foreground along the border") == ["m0.png"]


@pytest.mark.parametrize("ends", ["jpeg", "soft"])
def test_inverted_masks_in_a_frame_that_is_not_exactly_black(ends):
    """JPEG rings around an edge, and a resized mask has greys there: such a 0 is still one."""
    odd = framed(255 - WHITE, 5, 5, 5, 5)
    if ends == "jpeg":
        odd = cv2.imdecode(cv2.imencode(".jpg", odd)[1], cv2.IMREAD_GRAYSCALE)
        assert 0 < odd[:4].max() < 64
    else:
        odd = cv2.GaussianBlur(odd, (3, 3), 0)
    assert "No mask_values settles it, for a frame of 0 lies around" in refused(odd, WHITE, odd)
    assert "in 2 of 2 files" in refused(odd, odd)


@pytest.mark.parametrize("field", ["broad", "round"])
def test_inverted_masks_in_a_broad_or_round_field(field):
    inverted = 255 - WHITE
    if field == "broad":
        odd = np.pad(inverted, 20)
        plain = np.pad(WHITE, 20)
    else:
        disc = cv2.circle(np.zeros_like(WHITE), (48, 48), 47, 1, -1)
        odd, plain = inverted * disc, WHITE
        assert (WHITE * (1 - disc)).sum() == 0  # the lungs lie within the field
    assert "a frame of 0 lies around them" in refused(odd, plain, odd)
    assert "in 2 of 2 files" in refused(odd, odd)
    assert judge(plain, plain)[0].foreground == {255}


def test_small_holes_in_lungs_are_no_field():
    holed = WHITE.copy()
    rows, columns = np.nonzero(WHITE)
    holed[rows[len(rows) // 2] - 2 : rows[len(rows) // 2] + 2,
          columns[len(rows) // 2] - 2 : columns[len(rows) // 2] + 2] = 0
    assert judge(holed)[0].foreground == {255}


def test_lungs_near_the_border_are_no_frame():
    for gap in (1, 4, 9):
        blank = np.zeros((96, 96), np.uint8)
        disc = cv2.circle(blank, (48, 48), 48 - gap, 255, -1)
        assert judge(disc)[0].foreground == {255}


def test_lungs_that_touch_the_border_are_not_inverted():
    wide = WHITE.copy()
    wide[:2] = wide[:, :2] = 255  # just under half of the border
    wide[:, :2][48:] = 0
    assert judge(wide)[0].foreground == {255}


def test_colours_on_transparency():
    white = np.full((96, 96, 3), 255, np.uint8)
    white[BOTH > 0] = 255, 0, 0
    text = refused(raster(white, WHITE))
    assert "transparency" in text and 'mask_values: "#ff0000"' in text
    _, made, _ = judge(raster(white, WHITE), mask_values="#FF0000")
    assert (made[0] == BOTH).all()


def test_one_value_per_file_but_not_the_same():
    assert "2 values" in refused(BOTH, BOTH * np.uint8(2))
    assert "2 values" in refused(WHITE, BOTH * np.uint8(200))


def test_lung_and_heart_by_name():
    found = [values.from_plane(RIGHT, "lung"), values.from_plane(LEFT, "heart")]
    counts = {f"a{n}": values.count(each) for n, each in enumerate(found)}
    with pytest.raises(ValueError, match='mask_values: "lung"\n'):  # and what is likely meant
        decide(counts)
    assert decide(counts, "lung").foreground == {"lung"}


def of_labels(*labels):
    found = [values.from_plane((RIGHT, LEFT)[n % 2], label) for n, label in enumerate(labels)]
    return {f"a{n} ({label})": values.count(found[n]) for n, label in enumerate(labels)}


@pytest.mark.parametrize("names", [
    ("left lung", "right lung"), ("LeftLung", "RightLung"), ("lung_l", "lung_r"), ("Lung", "lungs"),
    ("lung 1", "lung 2"), ("upper lobe of the left lung", "lower lobe of the left lung"),
    ("Lung, left", "Lung, right"),
])  # fmt: skip
def test_lungs_by_name_are_joined(names):
    assert decide(of_labels(*names)).foreground == set(names)


@pytest.mark.parametrize("other", ["lung nodule", "not lung", "lung_opacity", "no-lung", "lungless",
                                   "perilung", "nodule", "l", "肺"])
def test_a_name_that_holds_lung_need_not_mean_one(other):
    with pytest.raises(ValueError, match='2 values besides 0(.|\n)* mask_values: "lung"\n'):
        decide(of_labels("lung", other))


@pytest.mark.parametrize("names", [
    ("1", "2"), ("Part, left", "Part, right"), ("part=1", "part=2"), ("1-2", "3-4"), ('"a"', "b"),
    ("#1", "#2"), ("Herz", "Lunge"), ("a, b", "a"), ("'a'", "a"),
])  # fmt: skip
def test_the_line_that_is_told_settles_it_whatever_labels_are_called(names):
    counts = of_labels(*names)
    with pytest.raises(ValueError) as error:
        decide(counts)
    line = next(line for line in str(error.value).split("\n") if line.startswith("    mask_values"))
    asked = yaml.safe_load(line)["mask_values"]
    parameters.check(mask_values=asked)
    assert decide(counts, asked).foreground == set(names)
    assert decide(counts, names[0]).foreground == {names[0]}


def test_letters_may_be_composed_in_two_ways():
    assert decide(of_labels("pulm\u00f3n", "heart"), "pulmo\u0301n").foreground == {"pulm\u00f3n"}


# ------------------------------------------------------------------------------------ mask_values


@pytest.mark.parametrize(("text", "expected"), [
    ("1,2", (HEART == 1) | (HEART == 2)), ("1, 2", (HEART == 1) | (HEART == 2)),
    ("1-2", (HEART == 1) | (HEART == 2)), ("1", HEART == 1), ("2", HEART == 2),
    ("2-9", HEART >= 2), ("0", HEART == 0), ("'1','2'", (HEART == 1) | (HEART == 2)),
    ("right lung=1, left lung=2", (HEART == 1) + np.uint8(2) * (HEART == 2)),
    ("lung=1, lung=2", (HEART == 1) | (HEART == 2)),
    ("heart=3, lungs=1-2", (HEART == 3) + np.uint8(2) * ((HEART == 1) | (HEART == 2))),
    ("lungs=1, heart=3, lungs=2", (HEART == 1) + (HEART == 2) + np.uint8(2) * (HEART == 3)),
])  # fmt: skip
def test_asked(text, expected):
    _, made, _ = judge(HEART, mask_values=text)
    assert (made[0] == expected).all()


def test_asked_of_jpegs_of_different_quality():
    sides = np.uint8(127) * RIGHT + np.uint8(255) * LEFT
    _, made, _ = judge(*[jpeg(sides, q) for q in (20, 75, 95)], mask_values="127,255")
    assert all(np.mean(mask != BOTH) < 0.03 for mask in made)


def test_a_value_that_occurs_nowhere():
    text = refused(LABELS, mask_values="1,7")
    assert "no mask holds 7 (mask_values was '1,7')" in text and "of the pixels" in text
    for text in ("2-1", "5-9", "1,5-9"):
        assert f"no mask holds {text[-3:]} (mask_values" in refused(LABELS, mask_values=text)
    with pytest.raises(ValueError, match="empty entry"):
        judge(LABELS, mask_values="1,,2")


def test_empty_and_full():
    noise = np.zeros((96, 96), np.uint8)
    noise[3] = 3
    nothing, full = BOTH * 0, BOTH * 0 + np.uint8(255)
    meaning, _, counts = judge(WHITE, nothing, full, noise, nothing + np.uint8(1))
    found = [masks.covers(c, meaning) for c in counts.values()]
    assert found == ["", "empty", "full", "empty", "full"]
    meaning, _, counts = judge(LABELS, LABELS * (LABELS == 2), mask_values="1")
    assert [masks.covers(c, meaning) for c in counts.values()] == ["", "empty"]


def test_nothing_but_empty_masks():
    meaning, made, counts = judge(BOTH * 0, BOTH * 0)
    assert meaning.foreground == frozenset() and not made[0].any()
    assert masks.covers(counts["m0.png"], meaning) == "empty"


def test_a_long_table_is_cut():
    stripes = np.repeat(np.arange(20, dtype=np.uint8), 8)[None].repeat(40, 0)
    text = refused(stripes)
    assert "... and 8 more values" in text
