"""Try a reader's function on cases with known answers, and say what a teacher would say.

The hint comes from trying the usual mistakes on the same cases: the one that answers most like the
reader's function is the likely one.
"""

import copy
import textwrap
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One call of the reader's function and the answer to it."""

    name: str
    given: tuple  # the arguments
    expected: Any  # a number, an array, or a list of pairs
    within: float = 1e-6  # how far a number may be off


class Changed(Exception):
    """Stands for the answer of a function that changed what it was given."""


# What the usual mistakes compute; a hint -> functions that deserve it.
Mistakes = dict[str, list[Callable]]


def answer(function: Any, cases: list[Case], mistakes: Mistakes) -> str:
    """Return what a teacher says about the function.

    Args:
        function: what the reader handed over, whatever it is.
        cases: calls with known answers; the first that goes wrong is told.
        mistakes: hint -> what the mistakes compute that deserve it.

    Returns:
        One line if the function is right or not written yet, else what to mend first, in lines of
        at most 96 characters.
    """
    if not callable(function):
        return "This check wants the function itself: its name alone, without brackets behind it."
    name = getattr(function, "__name__", "your function")
    came = [_try(function, case) for case in cases]
    if all(one is None or one is ... or type(one) is NotImplementedError for one in came):
        return f"{name}: not written yet. (If it is: its last line must `return` the result.)"
    wrong = [k for k, case in enumerate(cases) if not _alike(came[k], case.expected, case.within)]
    if not wrong:
        return f"{name}: right in all {len(cases)} cases."
    case = cases[wrong[0]]
    call = f"{name}({', '.join(map(_show, case.given))})"
    call = call if len(call) <= 100 else f"{name}(...)"
    told = _told(came[wrong[0]], function)
    hint = _hint(came, wrong[0], cases, mistakes)
    return "\n".join(textwrap.fill(text, 96) for text in (
        f"{name}: right in {len(cases) - len(wrong)} of {len(cases)} cases. The first to mend:",
        f"Case: {case.name}. {call} {told}; expected {_show(case.expected)}.",
        f"Hint: {hint}"))


def _try(function: Callable, case: Case) -> Any:
    """Return what the function answers, or the exception that it raises."""
    given = copy.deepcopy(case.given)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = function(*given)
            value = list(value) if hasattr(value, "__next__") else value
    except Exception as error:
        return error
    kept = [_same(*both) for both in zip(given, case.given, strict=True)
            if isinstance(both[0], list | np.ndarray)]
    return value if all(kept) else Changed()


def _same(one: Any, other: Any) -> bool:
    """Tell whether an argument is as it was; arrays in a list may be of unlike length."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return np.array_equal(one, other)


def _alike(one: Any, other: Any, within: float) -> bool:
    """Tell whether two answers are the same: numbers nearly, exceptions by their kind."""
    if isinstance(one, Exception) or isinstance(other, Exception):
        return type(one) is type(other)
    if one is None or other is None:  # NumPy takes None for a NaN
        return one is other
    try:
        if isinstance(other, list):
            pairs = [tuple(pair) if isinstance(pair, list) else pair for pair in one]
            return isinstance(one, list | tuple) and pairs == other
        one, other = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):  # neither pairs nor numbers
        return False
    return one.shape == other.shape and np.allclose(one, other, 0, within, equal_nan=True)


def _hint(came: list, k: int, cases: list[Case], mistakes: Mistakes) -> str:
    """Return the hint of the mistake that answers like the reader: in case k, and most others."""
    best, most = "", 0
    for hint, functions in mistakes.items():
        for function in functions:
            alike = [_alike(one, _try(function, case), case.within)
                     for one, case in zip(came, cases, strict=True)]
            if alike[k] and sum(alike) > most:
                best, most = hint, sum(alike)
    return best or _general_hint(came[k], cases[k].expected)


def _general_hint(came: Any, expected: Any) -> str:
    if isinstance(came, Changed):
        return "it changes what it is given; work on a copy, `.copy()`."
    if isinstance(came, Exception):
        return "try that line in a cell of its own, with the values of this case."
    if came is None or came is ...:
        return "each way through the function must end with a `return`."
    if (kind := _kind(came)) != (wanted := _kind(expected)):
        return f"the answer should be {wanted}, this is {kind}."
    return "the shape is right, the values are not. Do this case by hand, step by step."


def _kind(value: Any) -> str:
    try:
        shape = np.asarray(value, float).shape
    except (TypeError, ValueError):
        shape = (0,)
    if 0 in shape:
        return f"a {type(value).__name__}"
    few = {0: "one number", 1: f"{(*shape, 0)[0]} numbers"}
    return few.get(len(shape), f"an array of shape {shape}")


def _told(came: Any, function: Callable) -> str:
    if isinstance(came, Changed):
        return "changed what it was given"
    if isinstance(came, Exception):
        text = textwrap.shorten(f"{type(came).__name__}: {came}", 160, placeholder=" ...")
        return f"stopped with {text}{_line(came, function)}"
    return "returned nothing" if came is None or came is ... else f"gave {_show(came)}"


def _line(error: Exception, function: Callable) -> str:
    """Return the line of the reader's function at which an exception rose, if it has one."""
    home = getattr(getattr(function, "__code__", None), "co_filename", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    return f", in line {own[-1].lineno}: `{own[-1].line}`" if own else ""


def _show(value: Any) -> str:
    """Return a value in few characters: six digits, paths with slashes, functions by name."""
    if isinstance(value, np.ndarray):
        return _show((value * 1).tolist() if value.dtype == bool else value.tolist())
    if isinstance(value, list | tuple):
        text = ", ".join(map(_show, value))
        text = f"[{text}]" if isinstance(value, list) else f"({text})"
    elif isinstance(value, Path):
        text = value.as_posix()
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = getattr(value, "__name__", str(value))
    return textwrap.shorten(text, 200, placeholder=" ...")
