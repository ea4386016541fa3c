"""LabelMe JSON and COCO JSON -> one binary plane for each label name.

Files are told by their content. What a shape covers is settled in `outlines`; coordinates are
those of the upright picture.
"""

import contextlib
import json
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake.outlines import Drawing, Planes, points, short

_LABELME = {"version", "flags", "imagePath", "imageData", "imageHeight", "imageWidth"}
_POLYGONS = ("polygon", "rectangle", "oriented_rectangle", "rotation")
UNKNOWN = (
    'JSON, but neither LabelMe (which has "shapes" and "imagePath") nor COCO (which has "images",'
    ' "annotations" and "categories"); export the annotations as one of the two'
)


def kind(path: str | Path) -> str:
    """Tell by its content what a file is: "labelme", "coco" or "" (anything else).

    A damaged file is told by the keys in its first 64 kB, so that it is not overlooked but refused
    by `read`.

    Raises:
        OSError: the file cannot be opened.
    """
    with Path(path).open("rb") as file:
        head = file.read(65536).replace(b"\0", b"")
    if not head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"{"):
        return ""
    try:
        return _kind(_parse(*_stamp(path)))
    except ValueError:
        return _kind({key.decode(): None for key in re.findall(rb'"(\w+)"\s*:', head)})


def images_of(path: str | Path) -> list[str]:
    """Return the file names that a file annotates.

    Returns:
        Of a COCO file all, in its order and as it writes them; of a LabelMe file its one, without
        folders (none if it does not say).

    Raises:
        ValueError: see `read`.
    """
    with _naming(path):
        if _known(path) == "coco":
            return [entry["file_name"] for entry in _index(*_stamp(path)).images]
        named = _parse(*_stamp(path)).get("imagePath")
        return [_base(named)] if isinstance(named, str) else []


def read(path: str | Path, image: str, *, shape: tuple[int, int]) -> Planes:
    """Draw what a LabelMe or COCO file says of one picture.

    A file is parsed once in each process and the last four are kept: a COCO file takes about ten
    times its size in memory.

    Args:
        path: the JSON file.
        image: file name of the picture, or its path: its folders tell equal names apart. COCO may
            write it with other folders before it.
        shape: rows and columns of the upright picture, in pixels.

    Returns:
        The planes; and as notes whatever was ignored, clipped, filled or not stated. LabelMe's
        shapes are counted from 0, COCO's annotations are named by their ids.

    Raises:
        ValueError: a file that is damaged, of another kind, made for a picture of another size or
            without this picture, or that holds what cannot be drawn. The message names the file.
    """
    with _naming(path):
        drawing = Drawing(shape)
        if _known(path) == "coco":
            _draw_coco(_index(*_stamp(path)), drawing, image)
        else:
            _draw_labelme(_parse(*_stamp(path)), drawing, image)
        return drawing.planes()


@contextlib.contextmanager
def _naming(path: str | Path):
    """Put the file's name before the message of a refusal."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{workspace.shown(path)}: {error}") from None


def _known(path: str | Path) -> str:
    found = _kind(_parse(*_stamp(path)))
    if not found:
        raise ValueError(UNKNOWN)
    return found


def _kind(data) -> str:
    keys = set(data) if isinstance(data, dict) else set()
    if "shapes" in keys and keys & _LABELME:
        return "labelme"
    return "coco" if "images" in keys and keys & {"annotations", "categories"} else ""


def _stamp(path: str | Path) -> tuple[Path, int, int]:
    state = Path(path).stat()
    return Path(path).resolve(), state.st_mtime_ns, state.st_size


@lru_cache(maxsize=4)
def _parse(path: Path, changed: int, size: int):
    """Return the content of a JSON file, without LabelMe's picture in it."""
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text ({error.reason}); save it again as UTF-8") from None
    except (ValueError, RecursionError) as error:
        reason = f"damaged JSON ({error})" if size else "empty file of 0 bytes"
        raise ValueError(f"{reason}; export the annotations again") from None
    if isinstance(data, dict):
        data.pop("imageData", None)
    return data


def _objects(data: dict, key: str) -> list[dict]:
    found = data.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        came = short(found) if key in data else "no such key"
        raise ValueError(
            f'"{key}" must be a list of objects, got {came}; export the annotations again, complete'
        )
    return found


def _whole(name: str) -> str:
    """Return a file name in one way of writing accents and folders, Windows' too."""
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _base(name: str) -> str:
    return _whole(name).rsplit("/", 1)[-1]


def _word(text, owner: str) -> str:
    """Return a label or another word, fit to be printed."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{owner} must be a word, got {short(text)}; write one")
    word = unicodedata.normalize("NFC", text.strip())
    return "".join(c if c.isprintable() else "?" for c in word)


def _draw_labelme(data: dict, drawing: Drawing, image: str) -> None:
    drawing.check_size(data.get("imageHeight"), data.get("imageWidth"))
    named = data.get("imagePath")
    if isinstance(named, str) and Path(_base(named)).stem != Path(_base(image)).stem:
        drawing.note("annotation names another picture", f'"imagePath" is {short(_base(named))}')
    for number, item in enumerate(_objects(data, "shapes")):
        label = _word(item.get("label"), f"the label of shape {number}")
        _draw_shape(drawing, item, label, f'shape {number} "{label}"')


def _draw_shape(drawing: Drawing, item: dict, label: str, owner: str) -> None:
    pairs = item.get("points")
    sort = _word(item.get("shape_type") or "polygon", f"the type of {owner}")
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise ValueError(f"{owner} needs points [x, y], got {short(pairs)}; draw it again")
    corners = points([value for pair in pairs for value in pair], owner)
    if sort == "mask":
        drawing.patch(label, owner, corners, item.get("mask"))
    elif sort == "circle" and len(corners) == 2:
        drawing.circle(label, owner, *corners)
    elif sort == "rectangle" and len(corners) == 2:  # opposite corners, in any order
        drawing.polygon(label, owner, corners[[[0, 0], [1, 0], [1, 1], [0, 1]], [0, 1]])
    elif sort in _POLYGONS and len(corners) >= 3:
        drawing.polygon(label, owner, corners)
    else:
        count = f" of {len(corners)} point(s)" if sort in (*_POLYGONS, "circle") else ""
        drawing.note("annotation ignored", f"{owner} is a {sort}{count}")


@dataclass(frozen=True)
class _Index:
    """A COCO file, ready to be asked for one picture."""

    images: list[dict]
    places: dict[str, list[dict]]  # by the name without folders
    names: dict[int | str, str]
    items: dict[int | str, list[dict]]

    def find(self, image: str) -> dict:
        image, found = f"/{_whole(image)}", self.places.get(_base(image), [])
        if len(found) > 1:  # then by the folders: of "1.png" and "x/1.png" the longest that fits
            ways = [(_whole(entry["file_name"]), entry) for entry in found]
            fitting = [way for way, _ in ways if image.endswith(f"/{way}")]
            longest = max(fitting, key=len, default="")
            found = [entry for way, entry in ways if way == longest] or found
        image = _base(image)
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f'"images" lists {short(image)} {len(found)} times, with the ids'
                f" {', '.join(str(entry['id']) for entry in found)}; leave one of them"
            )
        listed = ", ".join(short(entry["file_name"]) for entry in self.images[:3])
        raise ValueError(
            f'"images" does not list {short(image)}; its {len(self.images)} begin with'
            f" {listed or 'none'}; correct the file_name, or annotate the picture"
        )


@lru_cache(maxsize=4)
def _index(path: Path, changed: int, size: int) -> _Index:
    data = _parse(path, changed, size)
    categories = _by_id(_objects(data, "categories"), "categories")
    names = {
        key: _word(c.get("name"), f"the name of category {key}") for key, c in categories.items()
    }
    images = _by_id(_objects(data, "images"), "images")
    places, items = defaultdict(list), {key: [] for key in images}
    for key, entry in images.items():
        if not isinstance(entry.get("file_name"), str):
            raise ValueError(f'image {key} needs a "file_name"; export the annotations again')
        places[_base(entry["file_name"])].append(entry)
    for item in _objects(data, "annotations"):
        key = item.get("image_id")
        if not isinstance(key, int | str) or key not in items:
            raise ValueError(
                f"annotation {short(item.get('id'))} belongs to image {short(key)}, an id that"
                ' "images" does not list; add that image or remove the annotation'
            )
        items[key].append(item)
    return _Index([*images.values()], places, names, items)


def _by_id(entries: list[dict], key: str) -> dict[int | str, dict]:
    found = {}
    for entry in entries:
        number = entry.get("id")
        if not isinstance(number, int | str) or number in found:
            trouble = "twice" if isinstance(number, int | str) else "in place of a number"
            raise ValueError(
                f'"{key}" has the id {short(number)} {trouble}; number each entry anew'
            )
        found[number] = entry
    return found


def _draw_coco(index: _Index, drawing: Drawing, image: str) -> None:
    entry = index.find(image)
    drawing.check_size(entry.get("height"), entry.get("width"))
    for item in index.items[entry["id"]]:
        owner, category = f"annotation {short(item.get('id'))}", item.get("category_id")
        if not isinstance(category, int | str) or category not in index.names:
            raise ValueError(
                f'{owner} has category {short(category)}, which "categories" does not name (it has'
                f" {index.names or 'none'}); name it there"
            )
        label = index.names[category]
        if item.get("iscrowd"):
            drawing.note("crowd annotation ignored", f'{owner} "{label}"')
        else:
            _draw_parts(drawing, item.get("segmentation"), label, f'{owner} "{label}"')


def _draw_parts(drawing: Drawing, parts, label: str, owner: str) -> None:
    """Draw a segmentation: run lengths or a list of polygons (a single one may lack its list)."""
    nested = isinstance(parts, list) and (not parts or isinstance(parts[0], list | dict))
    if parts is not None and not nested:
        parts = [parts]
    if not parts:
        return drawing.note("annotation ignored", f"{owner} has no outline")
    for number, part in enumerate(parts):
        name = owner if len(parts) == 1 else f"{owner} part {number}"
        if isinstance(part, dict):
            drawing.runs(label, name, part)
        elif len(corners := points(part, name)) >= 3:
            drawing.polygon(label, name, corners)
        else:
            drawing.note("annotation ignored", f"{name} is a polygon of {len(corners)} point(s)")
