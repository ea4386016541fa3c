"""What the values of a set of masks mean: decided once for all files, never for one by itself.

A file that shows label 1 alone looks binary. Only beside a file that shows label 2 it becomes plain
that both are needed, or that somebody has to say so. What is not plain is refused with the table of
values and the very line that settles it.
"""

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from unet_lib.intake import asking
from unet_lib.intake.values import TRANSPARENT, Counts, Key, Values

_STRAY = 0.001  # share of the foreground below which a value in few files is a mistake
_FEW = 0.05  # share of the files that are few
_ALONG = 0.5  # share of a picture's edge that no foreground covers
_ONES = (1, 255, 65535)  # what "foreground" is called when there is one
_LUNG = re.compile(r"(left|right|both|of|the|upper|middle|lower|lungs?|lobes?|fields?|zones?|l|r)+")
_VOID = "#e0e0c0"  # what palettes after Pascal VOC draw around each structure
_REACH = 16  # levels by which JPEG changes one value from file to file


@dataclass(frozen=True)
class Row:
    """One line of the table of values.

    Attributes:
        value: grey value, colour or name.
        share: its share of all pixels of all masks.
        files: number of files that hold it.
        border: its share of the pixels on the edges of the pictures.
    """

    value: Key
    share: float
    files: int
    border: float


@dataclass(frozen=True)
class Meaning:
    """What is foreground in a set of masks.

    Attributes:
        foreground: the values that are; all others are background.
        same: value to the value of the table that it stands for, where JPEG changed it.
        rows: the table, the most frequent value first.
        notes: findings as (fault, file, detail).
        asked: the parameter `mask_values`.
        classes: names of the classes that are told apart, in the order of their numbers 1, 2, ...;
            none where all foreground is one class.
        numbers: foreground value to number of its class; empty where there is one class.
    """

    foreground: frozenset[Key]
    same: dict[Key, Key]
    rows: tuple[Row, ...]
    notes: tuple[tuple[str, str, str], ...]
    asked: str = "auto"
    classes: tuple[str, ...] = ()
    numbers: dict[Key, int] = field(default_factory=dict)


def decide(counts: dict[str, Counts], mask_values: str = "auto") -> Meaning:
    """Decide what the values mean.

    Args:
        counts: of every mask file, by a name that can be shown.
        mask_values: "auto", or what is foreground: grey values and ranges ("1,2", "1-9"), colours
            ("#ff0000"), labels' names ("lung"), or each of these with a name before it. Two names
            or more are as many classes ("right lung=1, left lung=2").

    Raises:
        ValueError: it is not plain, or a value that is asked for occurs nowhere. The message holds
            the table and the line to write.
    """
    same = _join(counts)
    drawn = {f: c for f, c in counts.items() if not c.broad}
    rows = tabulate(drawn, same)
    if mask_values.strip() == "auto":
        return _decide_alone(drawn, same, rows)
    named = asking.parse(mask_values, [row.value for row in rows])
    asked = frozenset(key for _, keys in named for key in keys)
    if unknown := sorted(map(str, asked - {row.value for row in rows})):
        held = {str(key) for c in drawn.values() for key in c.between.union(c.pixels)}
        but = ", but as what JPEG or a soft border makes of others" * (set(unknown) <= held)
        raise ValueError(_refusal(f"no mask holds {' or '.join(unknown)}{but}", rows, mask_values))
    notes = [note for f, c in drawn.items() for note in _describe(f, c, same, frozenset())]
    odd = _along_border(drawn, same, asked) if asked else []
    notes += [("foreground along the border", file, "") for file in odd]
    return Meaning(asked, same, rows, tuple(notes), mask_values, *asking.number(named, mask_values))


def is_lung(name: Key) -> bool:
    """Tell whether a label's name says lung and nothing else: not "lung nodule", not "no lung"."""
    letters = re.sub(r"[\W\d_]+", "", str(name).lower())
    return "lung" in letters and bool(_LUNG.fullmatch(letters))


def apply(values: Values, meaning: Meaning) -> np.ndarray:
    """Return the (H, W) uint8 mask that a file's values stand for.

    It holds {0, 1}, or the numbers of the classes where several are told apart.
    """
    places, labels, _ = values.labels
    keys = [meaning.same.get(label, label) for label in labels]
    inside = [meaning.numbers.get(key, int(key in meaning.foreground)) for key in keys]
    return np.array(inside, np.uint8)[places][values.codes]


def covers(counts: Counts, meaning: Meaning) -> str:
    """Tell whether a mask is "empty", "full" or neither, ""."""
    if meaning.asked == "auto" and counts.faint:
        return "empty"
    inside = [meaning.same.get(k, k) in meaning.foreground for k, n in counts.pixels.items() if n]
    if meaning.asked == "auto" and len(inside) == 1 and 0 not in counts.pixels:
        return "full"
    return "" if any(inside) and not all(inside) else "full" if all(inside) else "empty"


def tabulate(counts: dict[str, Counts], same: dict[Key, Key]) -> tuple[Row, ...]:
    """Return the table of values of a set, the most frequent first."""
    pixels, border, files = Counter(), Counter(), Counter()
    for count in counts.values():
        for total, part in ((pixels, count.pixels), (border, count.border)):
            for key, number in part.items():
                total[same.get(key, key)] += number
        files.update({same.get(k, k) for k, n in count.pixels.items() if n})
    area, edge = max(pixels.total(), 1), max(border.total(), 1)
    return tuple(Row(k, n / area, files[k], border[k] / edge) for k, n in pixels.most_common() if n)


def show_table(rows: tuple[Row, ...], *, most: int = 12) -> str:
    """Draw the table for a terminal, one line a value."""
    lines = [f"{'value':>14}  {'of the pixels':>13}  {'files':>6}  of the border"]
    for row in rows[:most]:
        lines.append(f"{row.value!s:>14}  {_percent(row.share):>13}  {row.files:6d}"
                     f"  {_percent(row.border):>13}")
    if len(rows) > most:
        lines.append(f"{'':>14}  ... and {len(rows) - most} more values")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 or share == 0 else "below 0.1%"


def _join(counts: dict[str, Counts]) -> dict[Key, Key]:
    """Return for each value that JPEG may have changed the most frequent one within its reach.

    These are labels of masks with a soft border; small ones are left alone, where neighbours mean
    different things.
    """
    pixels, soft = Counter(), set()
    for count in counts.values():
        pixels.update(count.pixels)
        soft |= {k for k in count.pixels if count.soft and _brightest(k) > _REACH}
    same: dict[Key, Key] = {}
    for key, _ in pixels.most_common():
        if key in soft:
            near = [head for head in pixels if same.get(head) == head and _alike(key, head)]
            same[key] = near[0] if near else key
        elif _brightest(key) > _REACH:
            same[key] = key
    return same


def _brightest(key: Key) -> int:
    """Return a grey value, or the largest of a colour's three; -1 for the name of a label."""
    if re.fullmatch("#[0-9a-f]{6}", str(key)):  # "#1" is a label's name
        return max(int(str(key)[place : place + 2], 16) for place in (1, 3, 5))
    return key if isinstance(key, int) else -1


def _alike(one: Key, other: Key) -> bool:
    """Tell whether two values can be one that JPEG has changed."""
    if isinstance(one, int) or isinstance(other, int):
        return type(one) is type(other) and abs(one - other) <= _REACH
    channels = (slice(1, 3), slice(3, 5), slice(5, 7))
    return all(abs(int(one[c], 16) - int(other[c], 16)) <= _REACH for c in channels)


def _decide_alone(counts: dict[str, Counts], same: dict[Key, Key], rows: tuple[Row, ...]):
    """Decide what is plain; refuse the rest."""
    used = {f: c for f, c in counts.items() if not c.faint and len(_held(c, same)) > 1}
    strays = _strays(used, same)
    labels = {f: _held(c, same) - strays - {0} for f, c in used.items()}
    found = frozenset().union(*labels.values())
    if clear := [f for f, c in used.items() if c.form == "transparent"]:
        why = f"colours and transparency both vary, as in {clear[0]}"
        raise ValueError(_refusal(why, rows))
    if bare := [f for f, c in used.items() if 0 not in _held(c, same)]:
        raise ValueError(_refusal(f"{_some(bare)} hold no 0, which would be background", rows))
    one = len(found) <= 1 or all(map(is_lung, found))
    if not one and not (found <= set(_ONES) and all(len(held) <= 1 for held in labels.values())):
        raise ValueError(_refusal(f"they hold {len(found)} values besides 0", rows))
    if odd := _along_border(used, same, found):
        raise ValueError(_refuse_inverted(odd, used, rows))
    notes = [note for f, c in used.items() for note in _describe(f, c, same, strays)]
    return Meaning(found, same, rows, tuple(notes))


def _held(count: Counts, same: dict[Key, Key]) -> set[Key]:
    return {same.get(k, k) for k, n in count.pixels.items() if n}


def _strays(counts: dict[str, Counts], same: dict[Key, Key]) -> frozenset[Key]:
    """Return the values that few files hold, in next to no pixels."""
    pixels, files = Counter(), defaultdict(int)
    for count in counts.values():
        for key in _held(count, same) - {0}:
            files[key] += 1
        pixels.update({same.get(k, k): n for k, n in count.pixels.items() if k != 0})
    few = max(1, _FEW * len(counts))
    total = pixels.total()
    return frozenset(k for k, n in pixels.items() if n < _STRAY * total and files[k] <= few)


def _along_border(counts: dict[str, Counts], same: dict, foreground: frozenset) -> list[str]:
    """Return the files whose foreground lies along most of the picture's edge."""
    odd = []
    for file, count in counts.items():
        inside = {k: n for k, n in count.border.items() if same.get(k, k) in foreground}
        along = sum(inside.values()) > _ALONG * sum(count.border.values())
        if along or (0 in foreground and count.framed):
            odd.append(file)
    return odd


def _describe(file: str, count: Counts, same: dict, strays: frozenset) -> list[tuple]:
    """Return the findings about one file that is not plainly 0 and 255."""
    held = _held(count, same)
    labels = sorted(map(str, held - strays - {0}))
    notes = []
    if count.form == "label":
        notes.append(("mask drawn from an annotation", file, ""))  # its label is in the name
    elif count.form in ("colour", "alpha"):
        fault = {"colour": "coloured mask", "alpha": "mask in the alpha channel"}[count.form]
        notes.append((fault, file, f" ({', '.join(labels)})" if labels else ""))
    elif held == {0, 1}:
        notes.append(("mask of 0 and 1", file, ""))
    elif held - strays not in ({0, 255}, {0}):
        notes.append(("mask of other values", file, f" ({', '.join(sorted(map(str, held)))})"))
    if count.soft:
        notes.append(("mask with a soft border", file, f" ({count.soft} px)"))
    for stray in sorted(map(str, strays & held)):
        pixels = sum(n for k, n in count.pixels.items() if str(same.get(k, k)) == stray)
        notes.append(("stray value in a mask", file, f": {pixels} px of {stray}"))
    return notes


def _refuse_inverted(odd: list[str], used: dict[str, Counts], rows: tuple[Row, ...]) -> str:
    framed = any(used[file].framed for file in odd)
    if len(odd) == len(used) and not framed:
        why = ("their foreground lies along the border, as if they were inverted; or a frame lies"
               " around them, which is to be cut off")
        return _refusal(why, rows)
    listed = "\n".join(f"    {file}" for file in odd[:20]) + ("\n    ..." if len(odd) > 20 else "")
    outlines = ", or outlines that nobody filled" * framed
    reason = "it, for a frame of 0 lies around them" if framed else "both kinds at once"
    return _refusal(
        f"in {len(odd)} of {len(used)} files the foreground lies along the border, as if these were"
        f" inverted{outlines}:\n{listed}\nNo mask_values settles {reason}. Turn these files round"
        f"{' or fill them' * framed}, or leave them out by a CSV list; only if they are right as"
        " they are", rows, mixed=True)


def _some(files: list[str]) -> str:
    return f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _suggest(rows: tuple[Row, ...]) -> str:
    """Return what is likely foreground: lungs by name, no void 255, nothing along the border."""
    share = {row.value: row.share for row in rows}
    ground = TRANSPARENT if TRANSPARENT in share else 0
    kept = [row.value for row in rows if row.border <= _ALONG and row.value != ground]
    small = [k for k in kept if k != 255 and isinstance(k, int) and k < 64]
    files = {row.value: row.files for row in rows}
    beside = small and max(files[k] for k in small) + files.get(255, 0) > max(files.values())
    if beside and sum(share[k] for k in small) >= share.get(255, 0):  # else they are strays
        kept = [k for k in kept if k != 255]  # a void lies narrow around them, in the same files
    kept = [k for k in kept if k != _VOID] or kept
    kept = [k for k in kept if is_lung(k)] or kept or [0]
    if len(kept) > 8 and all(isinstance(k, int) for k in kept):
        label = max(kept, key=share.get)
        soft = 3 * share[label] > sum(share[k] for k in kept)  # one label, and the border's greys
        return f"{max(min(kept), (label + 1) // 2) if soft else min(kept)}-{max(kept)}"
    return ",".join(str(k) for k in sorted(kept, key=lambda k: (isinstance(k, str), k)))


def _refusal(why: str, rows: tuple[Row, ...], asked: str = "", *, mixed: bool = False) -> str:
    drawn = ",".join(str(row.value) for row in rows if row.value != 0)
    line = json.dumps(drawn if mixed else _suggest(rows), ensure_ascii=False)
    got = f" (mask_values was {asked!r})" if asked else ""
    say = "write" if mixed else "Say which values are foreground, all of them, for example"
    return (
        f"what the values of these masks mean is not plain: {why}{got}.\n{show_table(rows)}\n"
        f"{say}\n    mask_values: {line}\nin the parameter file, or -p mask_values {line}"
    )
