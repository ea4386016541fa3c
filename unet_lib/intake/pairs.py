"""Which mask belongs to which image, by their names and places."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unet_lib.intake import layouts
from unet_lib.intake.layouts import File


@dataclass
class Pairing:
    """What one home holds: its images, their masks, and what found no partner.

    `masks` maps an image to its masks by side: "" for a whole one, "left", "right". `seconds` are
    further files of an id with the one that is used, `folded` pairs whose names differ in case.
    `short` tells where words such as `_image` or `_0000` are cut from names to make ids.
    """

    images: list[File] = field(default_factory=list)
    masks: dict[File, dict[str, File]] = field(default_factory=dict)
    lonely: list[File] = field(default_factory=list)
    seconds: list[tuple[File, File]] = field(default_factory=list)
    folded: list[tuple[File, File]] = field(default_factory=list)
    short: set[str] = field(default_factory=set)
    is_tree: bool = False


def pair(
    files: Iterable[File], annotated: Mapping[File, list[str]], listed: Mapping[File, list[File]]
) -> Pairing:
    """Match the images of one home with its masks.

    Args:
        files: what lies in the home and below it.
        annotated: the LabelMe files among them, each with the names of its pictures.
        listed: the images that COCO files list, each with these files; several are joined.

    Returns:
        The pairing; files that are neither image nor mask do not appear in it.
    """
    files = [f for f in files if layouts.may_be_picture(f.entry.name)]
    pictures = [f for f in files if layouts.extension(f.entry.name) != "json"]
    images, masks = _divide(pictures)
    if not masks:
        masks = _marked(images)
        images = [f for f in images if f not in set(masks)]
    masks += [f for f in files if f in annotated]
    found = Pairing(is_tree=bool(masks) and any(f.meaning.role == "images" for f in images))
    found.images = _first_of_each(images, found)
    _match(found, masks, annotated)
    for image in found.images:
        if image in listed:
            held = {str(n) if n else "": coco for n, coco in enumerate(listed[image])}
            found.masks.setdefault(image, held)
    found.is_tree = found.is_tree or bool(found.masks)
    return found


def _divide(pictures: list[File]) -> tuple[list[File], list[File]]:
    """Return images and masks; files beside folders of images are neither."""
    masks = of_lungs([f for f in pictures if f.meaning.role == "masks"])
    named = [f for f in pictures if f.meaning.role == "images"]
    parts = {f.meaning.part for f in named}
    images = named + [f for f in pictures if not f.meaning.role and f.meaning.part not in parts]
    whole = [{f.meaning.part for f in group} for group in (images, masks)]
    if all({"", "train"} <= held for held in whole):  # train/ and the folders beside it
        images, masks = ([f for f in group if f.meaning.part] for group in (images, masks))
    return images, masks


def of_lungs(masks: list[File]) -> list[File]:
    """Leave out masks of the heart and others, unless one organ is all that there is."""
    organs = {f.meaning.organ for f in masks}
    return masks if len(organs) == 1 else [f for f in masks if not f.meaning.organ]


def _marked(images: list[File]) -> list[File]:
    """Return the files that are masks by their own name, beside an image: x.png, x_mask.png."""
    known = set()
    for file in images:
        names = (file.stem, *layouts.image_cores(file.stem))
        known |= {(file.entry.folders, name) for name in names}
    return [
        file
        for file in images
        if any(
            marked and (file.entry.folders, name) in known
            for name, _, marked in layouts.mask_names(file.stem)
        )
    ]


def _first_of_each(images: list[File], found: Pairing) -> list[File]:
    """Return one file of each stem and place; the others are seconds."""
    first = {}
    for file in images:
        kept = first.setdefault((file.meaning.part, file.inner, file.stem), file)
        if kept is not file:
            found.seconds.append((file, kept))
    return list(first.values())


def _match(found: Pairing, masks: list[File], annotated: Mapping[File, list[str]]) -> None:
    """Give each mask to its image, the plainest names first, then those that lie as it does."""
    index, hits = _Index(found.images, masks), []
    for mask in masks:
        hit = index.find(mask, annotated.get(mask, ()))
        if hit:
            hits.append((*hit, mask))
        else:
            found.lonely.append(mask)
    hits.sort(key=lambda h: (*h[:2], h[-1] in annotated, h[2].inner != h[-1].inner))
    for level, _, image, side, name, mask in hits:
        held = found.masks.setdefault(image, {})
        whole = held.get("")
        taken = held.get(side) or (whole if whole and _stands_for(whole, mask, image) else None)
        if taken:
            found.seconds.append((mask, taken))
            continue
        held[side] = mask
        found.folded += [(image, mask)] * (level >= _FOLDED)
        if level % _FOLDED == 1:
            cores = layouts.image_cores(image.stem).items()
            found.short |= next(cuts for core, cuts in cores if name in (core, layouts.fold(core)))
    for image, held in found.masks.items():
        halves = [held[side] for side in held if side] if "" in held else []
        if any(_stands_for(held[""], half, image) for half in halves):
            found.seconds += [(held.pop(side), held[""]) for side in [*filter(None, held)]]
        elif halves:
            found.seconds.append((held.pop(""), halves[0]))


def _stands_for(whole: File, half: File, image: File) -> bool:
    """Tell whether a mask is that of both lungs where there is one of a half.

    One in a folder of its own (`masks/liver` beside `masks/left lung`) is not by its place alone.
    """
    if whole.inner in (half.inner, image.inner):
        return True
    return all(layouts.is_of_both(name) for name in whole.inner if name not in image.inner)


_FOLDED = 2  # from this level on, capitals do not count; odd levels have words cut from images


class _Index:
    """Finds the image of a mask."""

    def __init__(self, images: list[File], masks: list[File]) -> None:
        self.levels = [{}, {}, {}, {}]
        known = [{_folded(f.inner) for f in held} for held in (images, masks)]
        self.classes = known[0] & known[1] - {()}
        for file in images:
            keys = [[file.stem], [*layouts.image_cores(file.stem)]]
            keys += [{layouts.fold(key) for key in held} for held in keys]
            for level, held in zip(self.levels, keys, strict=True):
                for key in held:
                    level.setdefault(key, []).append(file)
        held = {(f.meaning, f.stem, f.inner) for f in masks if self._owner(f)}
        bare = any(not name for _, stem, _ in held for name, *_ in layouts.mask_names(stem))
        self.owned = bare or len({key[:2] for key in held}) < len(held)

    def _owner(self, mask: File) -> str:
        """Return the name of the folder that holds a mask if an image is called so, else ""."""
        name = mask.inner[-1] if mask.inner else ""
        return name if name in self.levels[0] and _folded(mask.inner) not in self.classes else ""

    def find(self, mask: File, others: Iterable[str]) -> tuple[int, int, File, str, str] | None:
        """Return (level, rank of the name, image, side, name), or None if none or several fit.

        A folder that bears an image's name holds that image's masks alone (P1/left.png, 1/2.png) if
        names occur in several such folders or say no more than "left"; else it may be a batch.
        """
        names = layouts.mask_names(mask.stem)
        names += [(layouts.stem(re.split(r"[\\/]", n)[-1]), "", False) for n in others]
        if self.owned and (owner := self._owner(mask)):
            names = [(owner, *rest) for name, *rest in names if name in ("", owner)]
        for level, held in enumerate(self.levels):
            for rank, (name, side, _) in enumerate(names):
                key = layouts.fold(name) if level >= _FOLDED else name
                if fit := self._fitting(held.get(key, ()), mask):
                    sole = len(fit) == 1
                    side = mask.meaning.side or side
                    return (level, rank, fit[0], side, key) if sole else None
        return None

    def _fitting(self, images: Iterable[File], mask: File) -> list[File]:
        """Return the images of the mask's part and class; of another class if it has no own.

        A mask without a part is no test image's where another image bears its name.
        """
        part = mask.meaning.part
        images = [f for f in images if not part or (f.meaning.part or "train") == part]
        if not part:
            images = [f for f in images if f.meaning.part != "test"] or images
        same = [f for f in images if f.inner == mask.inner]
        same = same or [f for f in images if _folded(f.inner) == _folded(mask.inner)]
        return same if same or _folded(mask.inner) in self.classes else images


def _folded(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(layouts.fold, folders))


def lonely(pairing: Pairing) -> list[tuple[str, File]]:
    """Return images without a mask and masks without an image, each with its fault.

    In a folder that bears an id and holds a file of that name, all others are strays. A test image
    needs no mask, and the partner of a refused file is not missing.
    """
    images = [f for f in pairing.images if f not in pairing.masks]
    held = [mask for masks in pairing.masks.values() for mask in masks.values()]
    everything = [*pairing.images, *pairing.lonely, *held]
    owned = {f.entry.folders for f in everything if f.stem in f.inner[-1:]}
    found = []
    for fault, files in (("image without mask", images), ("mask without image", pairing.lonely)):
        for file in files:
            if file.entry.folders in owned and file.stem not in file.inner[-1:]:
                found.append(("stray file", file))
            elif files is images and not file.meaning.role and layouts.is_marked(file.stem):
                found.append(("mask without image", file))  # beside xray.png: heart_mask.png
            elif files is not images or file.meaning.part != "test":
                found.append((fault, file))
    return [(fault, file) for fault, file in found if not file.entry.refused]


def shifted(pairing: Pairing) -> tuple[File, File] | None:
    """Return the first image and the first mask if all bear numbers, those of one side one higher.

    `image_1` to `image_9` and `mask_0` to `mask_8` are then paired by equal numbers, which may be
    wrong for each of them. Where every mask has its image, as in a list, other things paired them.
    """
    images = [f for f in pairing.images if f.meaning.part != "test"]
    held = [mask for f in images for mask in pairing.masks.get(f, {}).values()]
    images, masks = _numbered(images), _numbered([*held, *pairing.lonely])
    steps = {m - n for n, m in zip(images, masks, strict=False)}
    if not pairing.lonely or len(images) < 3 or steps not in ({1}, {-1}):
        return None
    return (images[min(images)], masks[min(masks)]) if len(images) == len(masks) else None


def _numbered(files: list[File]) -> dict[int, File]:
    """Return files of one folder by the last number in their names, or {} if it tells them not."""
    found = {re.fullmatch(r"(.*?)(\d+)(\D*)", f.stem, re.DOTALL): f for f in files}
    if None in found or len({(f.entry.folders, m[1], m[3]) for m, f in found.items()}) != 1:
        return {}
    numbers = {int(m[2]): f for m, f in found.items()}
    return dict(sorted(numbers.items())) if len(numbers) == len(files) else {}


def sides(masks: Mapping[File, Mapping[str, File]]) -> set[str]:
    """Return which sides the masks of a set show: "left", "right", "" for the whole."""
    return {side for held in masks.values() for side in held}


def halves(masks: Mapping[File, Mapping[str, File]]) -> list[tuple[File, File, str]]:
    """Return images with the mask of one lung where the set has both: image, mask, what lacks."""
    other = {"left": "right", "right": "left"}
    if not other.keys() <= sides(masks):
        return []
    single = [(f, *next(iter(held.items()))) for f, held in masks.items() if len(held) == 1]
    return [(f, mask, other[side]) for f, side, mask in single if side in other]
