"""16-bit pictures of a set: comparable, and none black or flat for another one's sake."""

import numpy as np
import pytest

from unet_lib.intake import intensity


def xray(number: int) -> np.ndarray:
    """A 12-bit picture of 64 x 64: dark lungs (about 1000) in bright tissue (about 3000)."""
    grey = np.random.default_rng(number).integers(2340, 3600, (64, 64))
    grey[10:54, 8:27] -= 1620
    grey[10:54, 37:56] -= 1620
    return grey.astype(np.uint16)


def scaled(pictures: dict, setting="auto") -> tuple[dict, intensity.Scales]:
    scales = intensity.choose({k: intensity.measure(p) for k, p in pictures.items()}, setting)
    eight = {k: intensity.to_8_bit(p, *scales.ranges[k]) for k, p in pictures.items()}
    return eight, scales


def contrast(grey):
    return int(np.subtract(*np.percentile(grey, [99, 1])))


def odd_set(count):
    pictures = {f"P{number:02d}": xray(number) for number in range(count)}
    pictures["P00"][0, 0] = 65535  # a marker
    pictures["P01"][0, 0] = 4096  # one count too many
    pictures["P02"] //= 4  # under-exposed
    pictures["P03"] += 32768  # an offset
    return pictures


@pytest.mark.parametrize("count", [5, 12])
def test_one_odd_picture_changes_neither_itself_nor_its_neighbours(count):
    pictures = odd_set(count)
    eight, scales = scaled(pictures)
    for name in ("P00", "P01", "P04"):
        assert scales.ranges[name] == (0, 4095)
        expected = np.minimum(pictures[name] / 4095 * 255, 255)
        np.testing.assert_allclose(eight[name], expected, atol=1)
    assert np.median(eight["P02"]) == pytest.approx(np.median(eight["P04"]) / 4, abs=2)
    assert contrast(eight["P03"]) > 200 and len(np.unique(eight["P03"])) >= 32
    assert scales.rule == f"12 bits, as most of the {count} pictures use"
    fault, name, detail = scales.notes[0]
    assert (fault, name, len(scales.notes)) == (intensity.APART, "P03", 1)
    low, high = scales.ranges["P03"]
    assert detail == f" ({low} to {high})" and 33480 < low < high < 36380


@pytest.mark.parametrize("rows", [2, 8, 30])
@pytest.mark.parametrize(("padding", "offset"), [(65535, 0), (0, 32768)])
def test_padding_of_one_value_plays_no_part_whatever_its_share(rows, padding, offset):
    pictures = {f"P{number}": xray(number) + np.uint16(offset) for number in range(6)}
    plain, _ = scaled(pictures)
    pictures["P0"][:rows] = padding
    eight, scales = scaled(pictures)
    assert not scales.notes and "as all 6 pictures use" in scales.rule
    for name in pictures:  # but for what the padding hides of the range that all share
        shown = eight[name][30:].astype(int)
        np.testing.assert_allclose(shown, plain[name][30:].astype(int), atol=4)
    assert set(np.unique(eight["P0"][:rows])) == {255 if padding else 0}


def test_two_values_are_no_padding():
    depth = intensity.measure(np.array([[0, 0], [0, 65535]], np.uint16))
    assert (depth.low, depth.high) == (0, 65535)


def test_an_offset_that_all_have_makes_nothing_flat():
    pictures = {f"P{number}": xray(number) + np.uint16(32349) for number in range(6)}
    pictures["P0"] = xray(0) // 4 + np.uint16(32349)  # under-exposed
    eight, scales = scaled(pictures)
    assert len(set(scales.ranges.values())) == 1 and not scales.notes
    low, high = scales.ranges["P0"]
    assert scales.rule == f"{low} to {high} of 16 bits, as all 6 pictures use"
    assert min(contrast(eight[f"P{n}"]) for n in range(1, 6)) > 180
    assert contrast(eight["P0"]) == pytest.approx(contrast(eight["P1"]) / 4, rel=0.2)


def test_a_picture_of_the_full_depth_among_offset_ones_is_named():
    pictures = {f"P{number}": xray(number) + np.uint16(32349) for number in range(6)}
    pictures["P5"] = xray(5) * np.uint16(16)
    eight, scales = scaled(pictures)
    assert [name for _, name, _ in scales.notes] == ["P5"]
    assert min(contrast(grey) for grey in eight.values()) > 180


def test_dark_pictures_do_not_lower_the_depth():
    """Most need 11 bits only, but a third needs 12: no one is clipped."""
    pictures = {f"P{n}": xray(n) // (1 if n % 3 == 0 else 2) for n in range(12)}
    _, scales = scaled(pictures)
    assert set(scales.ranges.values()) == {(0, 4095)} and not scales.notes
    assert scales.rule == "12 bits, as all 12 pictures use"


def test_neighbouring_depths_are_one_detector():
    pictures = {f"P{n}": xray(n) // (1, 2, 4, 1, 2)[n % 5] for n in range(10)}
    pictures |= {"X": xray(98), "Y": xray(99) // 4}  # 12 bits: 5 of 12 only
    _, scales = scaled(pictures)
    assert scales.rule == "12 bits, as all 12 pictures use"


def test_one_picture_of_more_bits_does_not_darken_the_rest():
    pictures = {f"P{n}": xray(n) for n in range(12)} | {"X": xray(99) * np.uint16(2)}
    _, scales = scaled(pictures)
    assert scales.ranges["P0"] == (0, 4095)
    assert [name for _, name, _ in scales.notes] == ["X"]
    assert scales.ranges["X"][1] > 7000


@pytest.mark.parametrize("twelve, common", [(3, False), (4, True)])
def test_a_depth_is_common_if_more_than_half_of_the_pictures_have_it(twelve, common):
    shift = [1] * twelve + [4, 16, 4, 16][: 6 - twelve]
    _, scales = scaled({f"P{n}": xray(n) * np.uint16(factor) for n, factor in enumerate(shift)})
    assert scales.rule.startswith("12 bits" if common else "each by its own range")


def test_without_a_common_depth_each_gets_its_own_range_and_the_rule_says_so():
    pictures = {f"P{n}": xray(n) * np.uint16((1, 4, 16)[n % 3]) for n in range(6)}
    eight, scales = scaled(pictures)
    assert scales.rule == (
        "each by its own range, as no depth is common to most of the 6 pictures"
    )
    assert min(contrast(grey) for grey in eight.values()) > 200


@pytest.mark.parametrize("factor, most", [(1 / 16, 255), (1 / 4, 1023), (1, 4095), (16, 65535)])
def test_every_depth_is_found_for_one_picture_too(factor, most):
    picture = (xray(0) * factor).astype(np.uint16)
    _, scales = scaled({"one": picture})
    assert scales.ranges == {"one": (0, most)}
    bits = most.bit_length()
    assert scales.rule == f"{bits} bits, as the one 16-bit picture uses"


def test_a_marker_of_a_whole_word_does_not_count():
    picture = xray(0)
    clean = intensity.measure(picture)
    picture[:2, :30] = 65535  # 1.5 per cent
    marked = intensity.measure(picture)
    assert marked.bits == clean.bits == 12 and marked.maximum == 65535
    offset = xray(0) + np.uint16(32768)
    offset[:2, :30] = 0  # a frame
    assert intensity.measure(offset).low > 33000 and intensity.measure(offset).minimum == 0


def test_a_fixed_range_holds_for_all():
    eight, scales = scaled(odd_set(5), "0,4095")
    assert set(scales.ranges.values()) == {(0, 4095)}
    assert scales.rule == "0 to 4095, as the parameter intensity says"
    assert [(fault, name) for fault, name, _ in scales.notes] == [(intensity.OUTSIDE, "P03")]
    assert eight["P03"].min() == 255


def test_constant_pictures():
    flat = np.full((8, 8), 4000, np.uint16)
    for pictures in ({"a": flat}, {"a": flat, "b": xray(1), "c": xray(2)}, {"a": flat * 0}):
        eight, scales = scaled(pictures)
        assert np.ptp(eight["a"]) == 0 and not scales.notes


def test_8_bit_pictures_need_no_scale():
    assert intensity.measure(np.zeros((4, 4), np.uint8)) is None
    assert intensity.choose({"a": None}) == intensity.Scales({})
    assert intensity.choose({"a": None, "b": intensity.measure(xray(0))}).ranges == {"b": (0, 4095)}


def test_the_ends_of_a_range_become_black_and_white():
    grey = np.array([[0, 99, 100, 151, 200, 201, 65535]], np.uint16)
    assert intensity.to_8_bit(grey, 100, 200).tolist() == [[0, 0, 0, 130, 255, 255, 255]]
    assert intensity.to_8_bit(grey, 100, 100).dtype == np.uint8


def test_the_parameter_is_read():
    assert intensity.parse("auto") is None
    assert intensity.parse("0,4095") == (0, 4095)
    assert intensity.parse(" 33069 , 36863 ") == (33069, 36863)


@pytest.mark.parametrize("text", ["", "4095", "4095,0", "7,7", "0,65536", "-1,9", "0.5,9", "a,b",
                                  "1,2,3", "Auto"])  # fmt: skip
def test_another_parameter_is_refused_with_an_example(text):
    with pytest.raises(ValueError) as caught:
        intensity.parse(text)
    assert 'intensity must be "auto" or the values' in str(caught.value)
    assert f"got {text!r}; use for example" in str(caught.value)
    with pytest.raises(ValueError):
        intensity.choose({}, text)


def test_the_ends_are_half_a_per_cent_away_or_two_where_few_values_lie_far_off():
    even = np.repeat(np.arange(20000, 21000), 10)  # 1000 values, ten pixels each
    found = intensity.measure(even.reshape(100, 100).astype(np.uint16))
    assert (found.low, found.high) == (20004, 20994)
    for far in ((0, 10000), (40000, 60000)):  # 1.5 % of the pixels, each of another value
        odd = np.append(even, np.linspace(*far, 150, dtype=int)).astype(np.uint16)
        found, ends = intensity.measure(odd.reshape(-1, 50)), [.005, .02, .98, .995]
        low, inner_low, inner_high, high = np.quantile(odd, ends, method="inverted_cdf")
        expected = (inner_low, high) if far[0] == 0 else (low, inner_high)
        assert (found.low, found.high) == pytest.approx(expected, abs=1)
