"""A CSV list as source: image, mask, group and part of each picture, row by row."""

import csv
import io
import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake import layouts
from unet_lib.intake.pairs import Pairing
from unet_lib.intake.walk import Entry

ENDINGS = (".csv", ".tsv")
COLUMNS = ("image", "mask", "group", "part")
FORM = """A list is a CSV file in UTF-8 with a header and a row for each image:
    image,mask,group,part
    films/0042_1.png,masks/0042_1.png,patient 42,train
image alone must be there. Paths start at the list's folder. Rows of one image join their masks.
group stays on one side of the split; part is train, validation or test."""

_PARTS = {"": "", "train": "train", "training": "train", "test": "test", "testing": "test"}
_PARTS |= dict.fromkeys(("validation", "val", "valid"), "validation")
_GROUP_NAME = re.compile(r"(patient|subject|study|person|pid)[\W_]*(id|uid|no|nr|number|name|key)?")
_SHOWN = 8  # rows that an error names


@dataclass
class Row:
    """One image of a list; `number` is the row's as a spreadsheet counts, the header being 1."""

    number: int
    image: Path
    masks: list[Path] = field(default_factory=list)
    group: str = ""
    part: str = ""


@dataclass
class Listed:
    """The images of a list, its columns that mean nothing here with a hint, and rows said twice."""

    rows: list[Row]
    ignored: list[tuple[str, str]]
    repeated: list[int]


def is_list(path: Path) -> bool:
    """Tell whether a file is a table with a column "image"."""
    try:
        return path.suffix.lower() in ENDINGS and bool(_lines(path))
    except (OSError, ValueError, csv.Error):
        return False


def read(path: Path) -> Listed:
    """Read a list and check that all of its files are there.

    Args:
        path: a CSV file in UTF-8, with or without a byte order mark; its columns are parted by
            ",", ";" or tabs.

    Returns:
        One row for each image, in the order of the list.

    Raises:
        ValueError: no list, rows that are no pair, or a column of files that bears another name
            than those that are known; all such rows are named at once.
    """
    try:
        text, delimiter = _lines(path)
        table = list(_cells(text, delimiter))
    except csv.Error as error:
        raise _refusal(path, [f"no table: {error}"]) from None
    skipped = next(n for n, cells in enumerate(table) if "image" in _plain(cells))
    header, faults, listed = _plain(table[skipped]), [], Listed([], [], [])
    unknown = [name for name in header if name not in COLUMNS]
    if "mask" not in header and unknown:  # then one of them is meant, and not known
        raise _refusal(path, [f'no column "mask" in its header: {delimiter.join(header)}'])
    doubled = [name for name in COLUMNS if header.count(name) > 1]
    if doubled:
        raise _refusal(path, [f"the header names {', '.join(doubled)} twice"])
    listed.ignored = _unknown(path, header, table[skipped + 1 :], faults)
    by_image = {}
    for number, cells in itertools.islice(enumerate(table, 1), skipped + 1, None):
        if any(cell.strip() for cell in cells):
            if row := _row(path, header, number, cells, faults):
                _take(by_image, listed, row, faults)
    listed.rows = list(by_image.values())
    parts = {row.part for row in listed.rows if row.masks} - {"test"}
    if parts == {"validation"}:
        faults.append("no row with a mask is left for training: all say validation")
    if faults or not listed.rows:
        raise _refusal(path, faults or ["no row below the header"])
    return listed


def _unknown(
    path: Path, header: list[str], table: list[list[str]], faults: list[str]
) -> list[tuple[str, str]]:
    """Return the columns that mean nothing here, each with a hint; one of masks is a fault."""
    rows = itertools.zip_longest(header, *table, fillvalue="")
    columns = [(name, [*map(str.strip, cells)]) for name, *cells in rows][: len(header)]
    used = {cell for name, cells in columns if name in ("image", "mask") for cell in cells if cell}
    ignored, used = [], {os.path.realpath(_file(path, cell)) for cell in used}
    for name, cells in columns:
        if name in COLUMNS:
            continue
        files = (_file(path, cell) for cell in dict.fromkeys(cells) if _is_of_masks(name, cell))
        there = (file for file in files if os.path.isfile(file))
        if further := next((file for file in there if os.path.realpath(file) not in used), None):
            faults.append(
                f"column {name!r} names files, such as {_told(further, path)}: put each mask on a"
                " row of its own, image,mask, or take the column out"
            )
        ignored.append((name or "a column without a name", _hint(header, name, cells)))
    return ignored


def _is_of_masks(column: str, cell: str) -> bool:
    """Tell whether a column's name speaks of masks ("mask_right", "mask2"), a cell of a picture."""
    name = re.sub(r"[\W_]*\d+$", "", column)
    said = layouts.meaning(name)
    speaks = said.role == "masks" or said.side or said.organ or layouts.is_marked(name)
    return bool(speaks) and layouts.extension(cell) in layouts.PICTURES


def _hint(header: list[str], name: str, cells: list[str]) -> str:
    """Say how a column is to be called that is meant for a part or a group, or nothing."""
    said = {cell.casefold() for cell in cells if cell}
    if "part" not in header and said and said <= _PARTS.keys():
        return ": train, validation and test are read from a column called part; rename it"
    if "group" not in header and _GROUP_NAME.fullmatch(name):
        return ": to keep each on one side of the split, call the column group"
    return ""


def pairing(listed: Listed) -> Pairing:
    """Return the rows as images with their masks, the part being part of each image's meaning."""
    found = Pairing()
    for row in listed.rows:
        image = _as_file(row.image, row.part)
        found.images.append(image)
        if row.masks:
            found.masks[image] = {str(n): _as_file(mask) for n, mask in enumerate(row.masks)}
    return found


def crossed(listed: Listed) -> list[tuple[Path, Path]]:
    """Return masks that bear the name of another image with the images that they are given to.

    So it is where one column was sorted or moved alone: each mask then bears the name of some
    image, and no name comes more often than there are masks of its images. Masks that each patient
    numbers from 1 are another matter, and so is a mask of several images.
    """
    held = [(mask, row.image) for row in listed.rows for mask in row.masks]
    used, stems = Counter(mask for mask, _ in held), Counter(_stem(r.image) for r in listed.rows)
    most = max(len(row.masks) for row in listed.rows)
    if any(n > most * stems[stem] for stem, n in Counter(map(_stem, used)).items()):
        return []
    return [(m, image) for m, image in held if _stem(m) != _stem(image) and used[m] == 1]


def _stem(path: Path) -> str:
    return layouts.stem(path.name)


def _as_file(path: Path, part: str = "") -> layouts.File:
    """Return a file of a list; its folders serve to tell equal names apart."""
    entry, meaning = Entry(path.parent.parts, path.name, path), layouts.Meaning(part=part)
    return layouts.File(entry, layouts.stem(path.name), entry.folders, (), meaning)


def _lines(path: Path) -> tuple[str, str]:
    """Return the text of a list and what parts its columns."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _refusal(path, [f"it cannot be opened: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        told = f'row {row} is not UTF-8; save it again as "CSV UTF-8"'
        raise _refusal(path, [told]) from None
    if "\0" in text:
        raise _refusal(path, ['bytes of zero, as in UTF-16; save it again as "CSV UTF-8"'])
    for delimiter in ",;\t":
        if "image" in _header(text, delimiter):
            return text, delimiter
    found = text.lstrip().partition("\n")[0].strip()[:200]
    raise _refusal(path, [f'no column "image" in its header: {found or "an empty file"}'])


def _header(text: str, delimiter: str = ",") -> list[str]:
    """Return the first row's cells, or the second's after Excel's "sep=;"."""
    filled = (row for row in _cells(text, delimiter) if any(cell.strip() for cell in row))
    first = next(filled, [])
    return _plain(next(filled, []) if first and first[0].lower().startswith("sep=") else first)


def _cells(text: str, delimiter: str):
    """Return the reader of a table; blanks before a quote are no part of the cell."""
    text = io.StringIO(text, newline="")
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True)


def _plain(cells: list[str]) -> list[str]:
    return [cell.strip().casefold() for cell in cells]


def _row(
    path: Path, header: list[str], number: int, cells: list[str], faults: list[str]
) -> Row | None:
    """Return one row with absolute paths, or None; add to `faults` what is wrong with it."""
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        faults.append(
            f"row {number} has {len(cells)} cells, the header {len(header)}; put quotes around a"
            " name that holds the delimiter"
        )
        return None
    said = dict.fromkeys(COLUMNS, "") | dict(zip(header, map(str.strip, cells), strict=False))
    part = _PARTS.get(said["part"].casefold())
    if part is None:
        faults.append(f"row {number}: part {said['part']!r} is none of train, validation, test")
    if not said["image"]:
        faults.append(f"row {number}: no image")
    files = {column: _file(path, said[column]) for column in ("image", "mask") if said[column]}
    for file in files.values():
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "does not exist"
            faults.append(f"row {number}: {_told(file, path)} {what}")
    masks = [files["mask"]] if "mask" in files else []
    return Row(number, files["image"], masks, said["group"], part or "") if said["image"] else None


def _file(path: Path, name: str) -> Path:
    """Return the file that a cell names; backslashes part folders if there is no such name."""
    file = path.parent / name
    if name.startswith("~") and not file.exists():
        file = path.parent / os.path.expanduser(name)  # as it stands if there is no such user
    if not file.exists() and "\\" in name:
        file = path.parent / name.replace("\\", "/")
    return file


def _told(file: Path, path: Path) -> str:
    return file.relative_to(path.parent).as_posix() if path.parent in file.parents else str(file)


def _take(by_image: dict[str, Row], listed: Listed, row: Row, faults: list[str]) -> None:
    """Add a row, joining its mask to those of the same image."""
    known = by_image.setdefault(os.path.realpath(row.image), row)
    if known is row:
        return
    if (known.group, known.part) != (row.group, row.part):
        faults.append(
            f"rows {known.number} and {row.number} name one image but not one group and part"
        )
    elif set(row.masks) <= set(known.masks):
        listed.repeated.append(row.number)
    else:
        known.masks += row.masks


def _refusal(path: Path, faults: list[str]) -> ValueError:
    told = "\n".join(f"    {fault}" for fault in faults[:_SHOWN])
    more = f"\n    and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return ValueError(
        f"source {workspace.shown(path)} cannot be used as a list:\n{told}{more}\n{FORM}"
    )
