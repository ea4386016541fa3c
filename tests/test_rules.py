"""Kinds of values: what each allows, right beside what it does not, and what it advises."""

import math
from fractions import Fraction

import numpy as np
import pytest

from unet_lib import rules, workspace

SMOKE = "notebooks/params/smoke.yaml"
NAMES = (["a", "A9._-", "0", "a" * 100], ["", ".", "..", ".a", "a b", "a\\b", "ä", "a" * 101])
KINDS = [  # a kind of value, what it allows, what it does not
    ("whole", rules.whole(2, 5, example=3), [2, 5], [1, 6, -2]),
    ("whole, no end", rules.whole(0, example=3), [0, 10**9], [-1]),
    ("side", rules.side(128), [16, np.int64(64), 4096], [0, 15, 17, 24, 4112, -16]),
    ("real ()", rules.real(0, 4, ends="()", remedy=""), [1e-9, 4 - 1e-9], [0, 0.0, 4, 4.0, -1]),
    ("real [)", rules.real(0, 1, ends="[)", remedy=""), [0, np.float32(0.5), 1 - 1e-9], [-1e-9, 1]),
    ("real (]", rules.real(0, 1, ends="(]", remedy=""), [1e-9, 1], [0, 1 + 1e-9]),
    ("real []", rules.real(0, 1, ends="[]", remedy=""), [0, 1], [-1e-9, 1 + 1e-9]),
    ("choice", rules.choice("no", "yes"), ["no", "yes"], ["", "No", "n"]),
    ("split", rules.split(), ["stratified", "last", "1/2", "5/5", "9999/9999"],
     ["", "first", "Last", "0/5", "6/5", "1/1", "1/12345", "1/2/3", " 1/2"]),
    ("flag", rules.flag(), [True, False], []),
    ("name", rules.name("dataset"), NAMES[0], [*NAMES[1], "a/b"]),
    ("name or none", rules.name("x", optional=True), ["", "a"], [" ", "a/b", ".."]),
    ("run", rules.name("run_name", run=True), [*NAMES[0], "a/b"],
     [*NAMES[1], "a/../b", "a/b/c", "a/", "/a"]),
    ("run or none", rules.name("x", optional=True, run=True), ["", "a/b"], [" ", "a/b/c"]),
    ("entries", rules.entries(r"\d+", allowed="", example=""), ["4", "4, 8", " 4 ,8"],
     ["", "4, ", "x", "-4", "4.0", "4 8"]),
    ("entries in steps", rules.entries(r"\d+", allowed="", example="", step=16),
     ["16", "128, 256", "0"], ["100", "128, 250", "x", "128,"]),
    ("pattern", rules.pattern(), ["", r"^(\d+)_", "[0-9]+"], ["(", "[", "*"]),
    ("interval", rules.interval(), ["auto", "0,1", "0, 4095", " 7 , 8 ", "0,65535"],
     ["", "1,1", "2,1", "0,65536", "0", "a,b", "-1,2", "Auto"]),
    ("source", rules.source(),
     ["phantom", "kaggle", "kaggle:a.b/c-d", "kaggle:a/b/versions/1", "kaggle:a/b/versions/90",
      "notebooks", "README.md", str(workspace.PROJECT)],
     ["", " ", "no/such/folder", "kaggle:", "kaggle:a", "kaggle:a/b/c", "kaggle:a/b/versions/0",
      "~nobody/x", "a\0b", "Phantom"]),
    ("file", rules.file(".yaml"), ["", SMOKE, str(workspace.PROJECT / SMOKE)],
     [" ", "README.md", "no/such.yaml", "notebooks", "a\0b.yaml"]),
]


@pytest.mark.parametrize(("rule", "good", "bad"), [row[1:] for row in KINDS],
                         ids=[row[0] for row in KINDS])  # fmt: skip
def test_both_sides_of_every_bound(rule, good, bad):
    assert [value for value in good if not rule.fits(value)] == []
    assert [value for value in bad if rule.fits(value)] == []
    assert all(rules.is_a(rule.kind, value) for value in good)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [(int, [0, -3, 10**20, np.int64(64), np.uint8(1)],
      [True, np.True_, 2.0, np.float32(2), "1", None, math.nan]),
     (float, [0, 0.5, np.float32(0.5), np.int8(1), Fraction(1, 3)],
      [True, math.nan, math.inf, -math.inf, "1", None, 1j]),
     (bool, [True, False], [0, 1, "yes", None]), (str, ["", "a"], [b"a", None, 1])],
)  # fmt: skip
def test_what_is_of_which_type(kind, good, bad):
    """Numbers of NumPy are numbers; truth values are none, nor is what is not finite."""
    assert [value for value in good if not rules.is_a(kind, value)] == []
    assert [value for value in bad if rules.is_a(kind, value)] == []


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(bool, "false", False), (bool, " No ", False), (bool, "OFF", False), (bool, "0", False),
     (bool, "true", "true"), (bool, "1", "1"), (int, "2", 2), (int, "2.0", 2), (int, "2.5", 2.5),
     (int, "abc", "abc"), (float, "1e-4", 0.0001), (float, " 7 ", 7), (str, "7", "7"),
     (str, "false", "false"), (int, 3.0, 3.0), (float, None, None)],
)  # fmt: skip
def test_what_a_text_was_meant_to_be(kind, text, value):
    """papermill and YAML 1.1 hand on as text what they do not take for a number."""
    said = rules.meant(kind, text)
    assert said == value and type(said) is type(value)


SIDE = rules.side(128)
RATE = rules.real(0, 1, ends="()", remedy="use for example 0.001")
LOSS = rules.choice("bce", "bce_dice", "dice", "focal")
EPOCHS, FLAG = rules.whole(1, example=10), rules.flag()


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        (SIDE, 100, "use 96 or 112"), (SIDE, 500, "use 496 or 512"), (SIDE, 3, "use 16"),
        (SIDE, 4100, "use 4096, the largest"), (SIDE, 64.0, "use 64"), (SIDE, math.nan, "use 128"),
        (SIDE, None, "use 128"), (SIDE, "100", "use 96 or 112"), (SIDE, 4095, "use 4080 or 4096"),
        (LOSS, "bogus", "did you mean 'bce'?"),
        (rules.choice("constant", "cosine"), "cosin", "did you mean 'cosine'?"),
        (rules.choice("original", "direct"), "seed", "did you mean 'original'?"),  # renamed
        (rules.choice("no", "auto"), "seed", "did you mean 'no'?"),  # of another parameter
        (EPOCHS, 0, "use 1"), (EPOCHS, 20.0, "use 20"), (EPOCHS, 2.6, "use 3"),
        (rules.whole(1, 9000, example=120), 9001, "use 9000"), (EPOCHS, math.inf, "use 10"),
        (rules.whole(2, example=10), 1, "use 2"), (EPOCHS, True, "use 10"),
        (FLAG, 0, "use False"), (FLAG, "false", "use False"), (FLAG, "True", "use True"),
        (EPOCHS, "2", "use 2"), (EPOCHS, "abc", "use 10"),
        (RATE, "1e-4", "use 0.0001"), (RATE, "2e-05", "use 0.00002"),
        (RATE, "7", "use for example 0.001"), (RATE, "nan", "use for example 0.001"),
        (rules.name("run_name", run=True), "a/b/c", "use for example run_name='a_b_c'"),
        (rules.name("dataset"), "..é", "use for example dataset='quick_2'"),
        (rules.name("dataset"), "x" * 99 + "/", f"use for example dataset='{'x' * 40}'"),
        (rules.split(), "1/1", "use 'stratified'"), (rules.interval(), "1", "'0,4095'"),
        (rules.pattern(), "(", "use for example '^([0-9]+)_' for the number before the first '_'"),
        (rules.entries(".+", allowed="", example="4, 8"), "", "use for example '4, 8'"),
        (rules.source(), "phantoms", "did you mean 'phantom'?"),
        (rules.source(), "kaggle:x", "write for example 'kaggle:owner/name'"),
        (rules.source(), "Kaggle/x", "write for example 'kaggle:owner/name'"),
        (rules.source(), " ", "use for example 'phantom'"),
        (rules.source(), "a\0b", "use for example 'phantom'"),
        (rules.source(), "no/such", f"looked for {workspace.PROJECT / 'no' / 'such'} (relative"
                                    f" paths start at {workspace.PROJECT})"),
        (rules.source(), "notebook", f"did you mean '{workspace.PROJECT / 'notebooks'}'?"),
        (rules.file(".yaml"), "no/a.yaml", f"looked for {workspace.PROJECT / 'no' / 'a.yaml'}"),
        (rules.file(".yaml"), "README.md", "use ''"), (rules.file(".yaml"), "a\0.yaml", "use ''"),
    ],
)  # fmt: skip
def test_the_advice_is_near_and_good(rule, value, words):
    assert words in rule.remedy(rules.meant(rule.kind, value))


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [(rules.whole(1, example=2), "a whole number, 1 or more"),
     (rules.some_of("a", "b", example="a"), "'all', or some of a, b, comma-separated"),
     (rules.whole(1, 9, example=2, what="a number of pairs"), "a number of pairs, 1 to 9"),
     (SIDE, "a multiple of 16 (four poolings halve it), 16 or more"),
     (rules.real(0, 1, ends="[)", remedy=""), "a number between 0 and 1 (0 included, 1 excluded)"),
     (rules.real(0, math.inf, ends="[)", remedy=""), "a number, 0 or more"),
     (rules.choice("no", "yes"), "one of 'no', 'yes'"),
     (rules.name("x"), "one plain folder name (letters, digits, '.', '_', '-'; 100 at most)"),
     (rules.name("x", optional=True), "one plain folder name (letters, digits, '.', '_', '-';"
                                      " 100 at most), or '' for none"),
     (rules.entries(".", allowed="names", example=""), "names, comma-separated"),
     (rules.file(".yaml"), "a .yaml file that exists, or '' for none")],
)  # fmt: skip
def test_a_sentence_tells_what_is_allowed(rule, allowed):
    assert rule.allowed == allowed


def test_a_source_is_looked_for_from_the_project(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    source = rules.source()
    assert source.fits(str(tmp_path / "here")) and not source.fits("here")
    assert "looked for" in source.remedy("here")
    told = source.remedy(str(tmp_path / "her"))  # a whole path starts nowhere else
    assert told == f"looked for {tmp_path / 'her'}; did you mean {str(tmp_path / 'here')!r}?"


def test_a_place_that_may_not_be_looked_into_is_told(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    advice = "use a path that this account may read"
    assert rules.source().remedy(str(tmp_path / "x")) == advice
