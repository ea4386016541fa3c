"""How the command line is called, seen and ended: options, output, progress, signals."""

import argparse
import contextlib
import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

_GONE = (errno.EPIPE, errno.EIO, errno.EINVAL)  # a pipe's reader, a terminal; a reader on Windows
ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that ask a process to end."""


class Parser(argparse.ArgumentParser):
    """Refuses an option that is given twice: one of its two values would be lost in silence."""

    def __init__(self, **options):
        super().__init__(**options)
        self.register("action", None, _Once)


class _Once(argparse.Action):
    given = None

    def __call__(self, parser, namespace, values, option_string=None):
        if self.given is not None:
            how = "name all behind one" if self.nargs == "+" else "keep one of the two"
            told = f"is given twice, as {self.given!r} and as {values!r}; {how}"
            raise argparse.ArgumentError(self, told)
        self.given = values
        setattr(namespace, self.dest, values)


def filled(text: str) -> str:
    """Return a text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty, as of a variable that is not set; fill it in")
    return text


def share(text: str) -> float:
    """Return a number between 0 and 1, both excluded."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        told = f"must lie between 0 and 1, got {text}; use for example 0.5"
        raise argparse.ArgumentTypeError(told)
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number from `low` to `high`, both included."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            told = f"must be a whole number from {low} to {high}, got {text!r}"
            raise argparse.ArgumentTypeError(told)
        return value

    return read


def once(pairs: list[list[str]]) -> dict[str, str]:
    """Return what `-p NAME VALUE` gives, by name.

    Raises:
        ValueError: a name is there twice.
    """
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"-p {name} is given twice, as {values[name]!r} and as {value!r};"
                             " keep one of the two")
        values[name] = value
    return values


class _Patient:
    """A stream that goes on when its reader has gone, as `head` does; the work is not lost."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        with self._kept():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._kept():
            self._stream.flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # else what is left comes up again at the end
            os.close(nowhere)
            if error.errno not in _GONE:  # a full disk, say
                raise

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Print whatever the reader knows: one that has gone, or one that knows fewer letters."""
    with contextlib.ExitStack() as stack:
        for name, redirect in (("stdout", contextlib.redirect_stdout),
                               ("stderr", contextlib.redirect_stderr)):
            if stream := getattr(sys, name):  # none where it was closed
                if getattr(stream, "errors", "") == "strict":
                    stream.reconfigure(errors="backslashreplace")
                stack.enter_context(redirect(_Patient(stream)))
                stack.callback(getattr(sys, name).flush)
        yield


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C that ends this process; its only argument is the number."""


def number_of(end: KeyboardInterrupt) -> signal.Signals:
    """Return the signal that an interrupt stands for; the exit code is 128 more."""
    return signal.Signals(*end.args or [signal.SIGINT])


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a closed terminal, end the work as orderly as Ctrl-C."""

    def end(number, frame):
        raise Ended(number)

    free = threading.current_thread() is threading.main_thread()  # no other may set handlers
    with handlers({n: end for n in ENDS if free and signal.getsignal(n) == signal.SIG_DFL}):
        yield


@contextlib.contextmanager
def handlers(wanted: dict) -> Iterator[None]:
    """Set handlers of signals, and put back in the end what was there before."""
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(word: str, *, total: int | None = None) -> Iterator[tuple]:
    """Show a bar on a terminal, and nothing in a log; give rich's console, the bar and its task."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    columns = (rich.TextColumn(word), rich.BarColumn(30), rich.MofNCompleteColumn(),
               rich.TextColumn("{task.fields[rate]}"), rich.TimeRemainingColumn())
    hidden = not console.is_terminal
    place = Console(quiet=True) if hidden else console  # rich 13 ends a line even then
    with rich.Progress(*columns, console=place, transient=True, disable=hidden) as bar:
        yield console, bar, bar.add_task("", total=total, rate="")


@contextlib.contextmanager
def counting(total: int) -> Iterator[Callable[[str], None]]:
    """Show how far a prediction is, and give the function that counts one and prints a word."""
    start = time.perf_counter()
    with progress("predicting", total=total) as (console, bar, task):

        def tell(word: str) -> None:
            done = bar.tasks[0].completed + 1
            rate = f"{done / (time.perf_counter() - start):.1f} pictures/s"
            bar.update(task, advance=1, rate=rate)
            if word:
                console.print(word, markup=False, highlight=False, soft_wrap=True)

        yield tell
