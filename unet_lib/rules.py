"""Kinds of values that a parameter may have, each with what to do if it has another."""

import contextlib
import difflib
import math
import numbers
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from unet_lib import workspace

RENAMED = {
    "strength": "augmentation_strength",
    "foreign": "external_dataset",
    "seed": "original",  # a value of `head`
}
"""Names of earlier releases, for parameters and choices, and what they are called now."""

_KAGGLE = r"kaggle(:[\w.-]+/[\w.-]+(/versions/[1-9]\d*)?)?"


@dataclass(frozen=True)
class Rule:
    """What one parameter may be.

    Attributes:
        kind: its type: str, bool, int or float.
        allowed: completes "<name> must be …".
        fits: whether a value of that type is allowed.
        remedy: completes "…, got <value>; …".
    """

    kind: type
    allowed: str
    fits: Callable[[object], bool]
    remedy: Callable[[object], str]


def is_a(kind: type, value: object) -> bool:
    if kind is float:  # a whole number is one as well; NaN and infinity are none
        return _is_number(value) and math.isfinite(value)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return isinstance(value, kind)


def meant(kind: type, value: object) -> object:
    """Return the number or truth value that a text says, where one of `kind` is expected.

    papermill and YAML 1.1 hand on as text what they do not take for one: `-p augment false`,
    `learning_rate: 1e-4`.
    """
    if kind is str or not isinstance(value, str):
        return value
    word = value.strip().lower()
    if kind is bool:
        return {"false": False, "no": False, "off": False, "0": False}.get(word, value)
    with contextlib.suppress(ValueError):
        number = float(word)
        return int(number) if number.is_integer() else number
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def whole(low: int, high: float = math.inf, *, example: int, what: str = "a whole number") -> Rule:
    """Whole numbers from `low` to `high`, both included."""
    allowed = f"{what}, {_bounds(low, high)}"

    def remedy(value: object) -> str:
        usable = _is_number(value) and math.isfinite(value)
        return f"use {min(max(round(value), low), high) if usable else example}"

    return Rule(int, allowed, lambda value: low <= value <= high, remedy)


def _bounds(low: int, high: float) -> str:
    return f"{low} or more" if high == math.inf else f"{low} to {high}"


def side(example: int) -> Rule:
    """Sides of a square that the U-Net can halve four times."""
    low, high = 16, 4096

    def remedy(value: object) -> str:
        if not (_is_number(value) and math.isfinite(value)):
            return f"use {example}"
        if not low <= value <= high:
            return f"use {low}" if value < low else f"use {high}, the largest"
        below = math.floor(value / 16) * 16
        return f"use {below}" if below == value else f"use {below} or {below + 16}"

    allowed = f"a multiple of 16 (four poolings halve it), {low} or more"
    return Rule(int, allowed, lambda value: value % 16 == 0 and low <= value <= high, remedy)


def real(low: float, high: float, *, ends: str, remedy: str) -> Rule:
    """Numbers from `low` to `high`; `ends` such as "[)" tells which of the two is included."""
    words = [f"{bound} {'included' if end in '[]' else 'excluded'}"
             for bound, end in zip((low, high), ends, strict=True)]
    allowed = f"a number between {low} and {high} ({', '.join(words)})"
    if high == math.inf:
        allowed = f"a number, {low} or more"

    def fits(value: float) -> bool:
        return (value >= low if ends[0] == "[" else value > low) and (
            value <= high if ends[1] == "]" else value < high)

    def near(value: object) -> str:
        usable = is_a(float, value) and fits(value)
        return f"use {Decimal(repr(float(value))):f}" if usable else remedy

    return Rule(float, allowed, fits, near)


def choice(*choices: str) -> Rule:
    """One out of a few words."""
    allowed = f"one of {', '.join(map(repr, choices))}"

    def remedy(value: object) -> str:
        word = RENAMED.get(str(value))
        if word not in choices:
            word = difflib.get_close_matches(str(value), choices, 1, 0.0)[0]
        return f"did you mean {word!r}?"

    return Rule(str, allowed, lambda value: value in choices, remedy)


def split() -> Rule:
    """How pairs are divided: a rule, or one fold of several."""

    def fits(value: str) -> bool:
        fold = re.fullmatch(r"(\d{1,4})/(\d{1,4})", value)
        return value in ("stratified", "last") or bool(
            fold and 1 <= int(fold[1]) <= int(fold[2]) >= 2)

    return Rule(str, "'stratified', 'last', or a fold such as '2/5'", fits,
                lambda value: "use 'stratified'")


def flag() -> Rule:
    """True or False."""
    return Rule(bool, "True or False", lambda value: True, lambda value: f"use {bool(value)}")


def name(kind: str, *, optional: bool = False, run: bool = False) -> Rule:
    """Names of one folder; "" as well if `optional`; "sweep/point" as well if it names a run."""

    def fits(value: str) -> bool:
        try:
            return (optional and value == "") or bool(
                workspace.run_dir(value) if run else workspace.check_name(kind, value))
        except ValueError:
            return False

    allowed = "one plain folder name (letters, digits, '.', '_', '-'; 100 at most)" + (
        ", or '' for none" if optional else "")

    def remedy(value: object) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", str(value)).lstrip("._-")[:40]
        return f"use for example {kind}={plain or 'quick_2'!r}"

    return Rule(str, allowed, fits, remedy)


def entries(pattern: str, *, allowed: str, example: str, step: int = 0) -> Rule:
    """Entries between commas; each matches `pattern` and, with `step`, is a multiple of it."""

    def fits(value: str) -> bool:
        found = [entry.strip() for entry in value.split(",")]
        fitting = all(re.fullmatch(pattern, entry) for entry in found)
        return fitting and not (step and any(int(entry) % step for entry in found))

    return Rule(str, f"{allowed}, comma-separated", fits,
                lambda value: f"use for example {example!r}")


def some_of(*names: str, example: str) -> Rule:
    """Some out of a few names, between commas; "all" as well."""

    def fits(value: str) -> bool:
        return value == "all" or {entry.strip() for entry in value.split(",")} <= {*names}

    return Rule(str, f"'all', or some of {', '.join(names)}, comma-separated", fits,
                lambda value: f"use for example {example!r}")


def pattern() -> Rule:
    """Regular expressions; "" for none."""

    def fits(value: str) -> bool:
        try:
            return re.compile(value) is not None
        except re.error:
            return False

    return Rule(str, "a regular expression, or '' for none", fits,
                lambda value: "use for example '^([0-9]+)_' for the number before the first '_'")


def interval() -> Rule:
    """Two whole numbers, the lower one first; "auto" as well."""

    def fits(value: str) -> bool:
        ends = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", value)
        return value == "auto" or bool(ends) and int(ends[1]) < int(ends[2]) <= 65535

    return Rule(str, "'auto', or the values that become black and white, two whole numbers up to"
                " 65535, the lower first", fits, lambda value: "use for example '0,4095'")


def source() -> Rule:
    """Words for what is made or fetched, or a path that exists."""
    allowed = "'phantom', 'kaggle', 'kaggle:owner/name', or a folder or list that exists"

    def fits(value: str) -> bool:
        return value == "phantom" or bool(re.fullmatch(_KAGGLE, value)) or _exists(value)

    return Rule(str, allowed, fits, _missing)


def file(ending: str) -> Rule:
    """Paths of files that exist and end so; "" for none."""

    def fits(value: str) -> bool:
        return value == "" or (value.endswith(ending) and _exists(value))

    def remedy(value: object) -> str:
        named = isinstance(value, str) and value.endswith(ending) and "\0" not in value
        return f"looked for {workspace.resolve(value)}" if named else "use ''"

    return Rule(str, f"a {ending} file that exists, or '' for none", fits, remedy)


def _exists(path: str) -> bool:
    try:
        return bool(path.strip()) and workspace.resolve(path).exists()
    except (OSError, RuntimeError, ValueError):  # names that no file can have
        return False


def _missing(path: object) -> str:
    """Say where a source was looked for, and what is there instead."""
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        return "use for example 'phantom'"
    if path.lower().startswith("kaggle"):
        return "write for example 'kaggle:owner/name', as in the address of the data set"
    if near := difflib.get_close_matches(path, ("phantom", "kaggle"), 1, 0.8):
        return f"did you mean {near[0]!r}?"
    try:
        place = workspace.resolve(path)
        there = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    except (OSError, RuntimeError):
        return "use a path that this account may read"
    near = difflib.get_close_matches(place.name, there, 1)
    beside = f"; did you mean {str(place.with_name(near[0]))!r}?" if near else ""
    start = "" if Path(path).is_absolute() else f" (relative paths start at {workspace.PROJECT})"
    return f"looked for {place}{start}{beside}"
