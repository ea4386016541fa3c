"""The parameter `mask_values`: a text -> values of masks, and the classes that it tells apart."""

import re
import unicodedata

from unet_lib.intake.values import Key

CLASSES = 100  # most of them; a mask file holds their numbers, all below 128


def parse(mask_values: str, known: list[Key]) -> list[tuple[str, list[Key]]]:
    """Return for each entry of a text such as "1,2", "1-9", "#ff0000" or "lung=1" what it names.

    Args:
        mask_values: see `masks.decide`.
        known: the values of the set; a range names those of them that lie in it. The name of a
            label is taken as it stands, whatever it is: "1", "1-2", "lung=left", "Lung, left".

    Returns:
        The name before the "=", or "", and the values.

    Raises:
        ValueError: an entry is empty.
    """
    found: list[tuple[str, list[Key]]] = []
    names = {str(key) for key in known}
    for entry in _entries(unicodedata.normalize("NFC", mask_values), names):
        name, _, text = ("", "", entry) if entry in names else entry.rpartition("=")
        text = text.strip()
        text = text if text in names else text.strip("'\"")
        if not text:
            raise ValueError(f"mask_values {mask_values!r} has an empty entry; write as in '1,2'")
        found.append((name.strip().strip("'\""), _values(text, known)))
    return found


def number(named: list[tuple[str, list[Key]]], asked: str) -> tuple[tuple[str, ...], dict]:
    """Return the names of the classes and the number of each value; nothing if there is one class.

    Args:
        named: from `parse`.
        asked: the text, for the message.

    Raises:
        ValueError: of several names one is missing, or a value has two.
    """
    names = list(dict.fromkeys(name for name, _ in named if name))
    if len(names) < 2:
        return (), {}
    numbers: dict[Key, int] = {}
    for name, keys in named:
        place = names.index(name) + 1 if name else 0
        if not name or any(numbers.setdefault(key, place) != place for key in keys):
            what = "an entry has no name" if not name else f"{name!r} repeats a value"
            raise ValueError(
                f"mask_values {asked!r} names {len(names)} classes, but {what}; give each value one"
                " name, as in 'right lung=1, left lung=2', or names to none for one class of all"
            )
    if len(names) > CLASSES:
        raise ValueError(f"mask_values names {len(names)} classes; {CLASSES} are the most")
    return tuple(names), numbers


def _entries(text: str, names: set[str]) -> list[str]:
    """Cut at the commas, but for those in the name of a label."""
    awkward = sorted((re.escape(name) for name in names if "," in name), key=len, reverse=True)
    whole = f"(?:{'|'.join([*awkward, '[^,]'])})+"
    return [entry.strip() for entry in (re.findall(whole, text) if awkward else text.split(","))]


def _values(text: str, known: list[Key]) -> list[Key]:
    """Return the values of the set that one entry, without its name, stands for."""
    ends = re.fullmatch(r"(\d+)\s*-\s*(\d+)", text)
    if same := [key for key in known if str(key) == text]:
        return same
    if ends:
        low, high = int(ends[1]), int(ends[2])
        return [k for k in known if isinstance(k, int) and low <= k <= high] or [text]
    if text.isdecimal():
        return [int(text)]
    return [text.lower() if text.startswith("#") else text]
