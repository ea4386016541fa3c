"""The parameter `mask_values`: which values it names, and which classes it tells apart."""

import pytest

from unet_lib.intake import asking

KNOWN = [0, 1, 2, 3, "Lung, left", "lung=right"]


@pytest.mark.parametrize(("text", "expected"), [
    ("1,2", [("", [1]), ("", [2])]), ("1-3", [("", [1, 2, 3])]), ("7", [("", [7])]),
    ("#FF0000", [("", ["#ff0000"])]), ("a = 1, b=2-9", [("a", [1]), ("b", [2, 3])]),
    ("lung=right", [("", ["lung=right"])]), ("Lung, left,1", [("", ["Lung, left"]), ("", [1])]),
    ("r=lung=right", [("r", ["lung=right"])]), ("'a'='1'", [("a", [1])]),
])  # fmt: skip
def test_entries(text, expected):
    if text == "r=lung=right":  # what stands behind the last "=" is no label here
        expected = [("r=lung", ["right"])]
    assert asking.parse(text, KNOWN) == expected


def test_an_empty_entry_is_refused():
    for text in ("1,,2", "a="):
        with pytest.raises(ValueError, match="has an empty entry; write as in '1,2'"):
            asking.parse(text, KNOWN[:4])


@pytest.mark.parametrize(("text", "names", "numbers"), [
    ("1,2", (), {}), ("lung=1,2", (), {}), ("lung=1, lung=2", (), {}),
    ("right lung=1, left lung=2", ("right lung", "left lung"), {1: 1, 2: 2}),
    ("b=2, a=1, b=3", ("b", "a"), {2: 1, 1: 2, 3: 1}),
])  # fmt: skip
def test_two_names_are_two_classes(text, names, numbers):
    assert asking.number(asking.parse(text, KNOWN), text) == (names, numbers)


@pytest.mark.parametrize(("text", "words"), [
    ("a=1, b=2, 3", "names 2 classes, but an entry has no name; give each value one name"),
    ("a=1, b=1-2", "names 2 classes, but 'b' repeats a value"),
    (", ".join(f"c{n}={n}" for n in range(101)), "names 101 classes; 100 are the most"),
])  # fmt: skip
def test_what_is_not_plain_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        asking.number(asking.parse(text, KNOWN), text)
