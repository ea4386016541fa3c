"""YAML as its writer meant it, or refused."""

import pytest

from unet_lib.series import yaml_text


def test_what_is_plain_is_read_as_ever():
    text = "\ufeffa: &x {b: 1_000, c: -0.5, d: 0, e: 0x10, f: [1, 2], g: .inf}\nh: {<<: *x, b: 2}\n"
    found = yaml_text.load(text + "i: 1e-3\nj: '010'\nk: 2026-11-30\n")
    assert found["a"] == {"b": 1000, "c": -0.5, "d": 0, "e": 16, "f": [1, 2], "g": float("inf")}
    assert found["h"]["b"] == 2 and found["h"]["c"] == -0.5  # a merged name may be set anew
    assert (found["i"], found["j"]) == ("1e-3", "010")


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "g: {w: [4], w: [8]}", "1: x\n'1': y"])
def test_a_name_that_is_there_twice_is_refused(text):
    with pytest.raises(ValueError, match="is there twice; keep one of the two"):
        yaml_text.load(text)


@pytest.mark.parametrize("text, read", [("010", "8"), ("1:30", "90"), ("-1:30.5", "-90.5")])
def test_a_number_that_is_read_otherwise_than_it_looks_is_refused(text, read):
    with pytest.raises(ValueError, match=f"{text} would be read as {read}; write it plainly"):
        yaml_text.load(f"a: {text}")


@pytest.mark.parametrize("text", [
    "a: 2026-13-45", "a: !!int abc", "a: !!int ''", "a: !!timestamp x", "a: " + "9" * 5000,
    "[" * 3000, "a: [1", "a: 1\n---\nb: 2", "a:\n\tb: 1", "a: \0"])
def test_whatever_is_wrong_is_a_value_error(text):
    with pytest.raises(ValueError, match="."):
        yaml_text.load(text)
