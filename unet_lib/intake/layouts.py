"""What the names of folders and files say: picture or mask, training or test, which id and side."""

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from unet_lib.intake.walk import Entry

PICTURES = frozenset(
    "png jpg jpeg jpe jfif tif tiff bmp dib webp dcm dicom ima json gif jp2 j2k pgm ppm pnm img"
    " nii nii.gz mha nrrd".split()
)
"""Endings that are cut from an id; whether such a file can be read is seen by its content."""

NO_PICTURES = frozenset(
    "txt csv tsv md rst pdf zip gz bz2 xz tar tgz rar 7z xls xlsx ods doc docx odt ppt pptx htm"
    " html xml yaml yml toml ini cfg log py ipynb sh bat exe db sqlite npy npz mat h5 hdf5 pkl pt"
    " pth keras onnx parquet tfrecord mp4 avi mov wav lnk url lock sha256 md5 svg psd xcf".split()
)
"""Endings of files that are plainly no picture."""

_ENDINGS = PICTURES | NO_PICTURES

_NO_PICTURE_NAMES = {"readme", "license", "licence", "changelog", "makefile", "dicomdir"}

_VOCABULARY = {
    ("role", "images"): "image images img imgs picture pictures pic pics photo photos cxr cxrs"
    " xray xrays radiograph radiographs scan scans film films input inputs original originals"
    " jpegimages",
    ("role", "masks"): "mask masks label labels seg segs segmentation segmentations annotation"
    " annotations truth truths groundtruth groundtruths gt target targets contour contours"
    " segmentationclass lungmask lungmasks outline outlines",
    ("part", "train"): "train training tr trn",
    ("part", "validation"): "val valid validation dev",
    ("part", "test"): "test testing ts tst",
    ("side", "left"): "left l",
    ("side", "right"): "right r",
    ("", ""): "png jpg jpeg tif tiff bmp webp dcm dicom 2d chest lung lungs manual ground binary"
    " bin class set 128 256 299 320 512 768 1024 2048 256x256 512x512 1024x1024",
}
_WORDS = {word: key for key, words in _VOCABULARY.items() for word in words.split()}
_BOTH = frozenset("both whole full all complete entire total combined merged merge joined union"
                  " bilateral and + &".split())  # fmt: skip
_SIDES = {("side", "left"), ("side", "right")}
_ORGANS = "heart clavicle rib spine trachea mediastinum aorta infection lesion nodule".split()
_WORDS |= {f"{organ}{end}": ("organ", organ) for organ in _ORGANS for end in ("", "s")}
_GLUED = re.compile(
    r"\b(left|right|train|test|val|lung|images|labels)"
    r"(?=(?:images?|masks?|labels?|lungs?|t[rs])\b)"
)
_PARTED = re.compile(r"([ _.\-]+)")
_MASK_WORD = re.compile(
    r"(?P<side>left|right|l|r)?(?:lungs?)?"
    r"(?P<mark>masks?|segs?|segmentations?|labels?|annotations?|gt|groundtruth|truth|manual|roi)?",
    re.IGNORECASE,
)
_IMAGE_WORD = r"(?:images?|imgs?|cxr|x-?ray|orig|original|raw|sat)"
_IMAGE_STARTS = re.compile(rf"\A{_IMAGE_WORD}[ _.\-]+(?=.)", re.IGNORECASE)
_IMAGE_ENDS = re.compile(rf"(?<=.)[ _.\-]+(?:{_IMAGE_WORD}|0000)\Z", re.IGNORECASE)
CUTS = frozenset({"start", "end"})
"""Where an image's name may hold a word that only says that it is an image."""

_VERSION = re.compile(
    r"\b(originals?|raw|resized?|cropped|crops?|(pre ?)?processed|augmented|augmentations?|aug"
    r"|enhanced|normali[sz]ed|equali[sz]ed|clahe|copy|backup|old|v\d+|\d{2,4}(x\d{2,4}|px)"
    r"|64|128|224|256|299|320|384|448|512|640|768|1024|2048)\b"
)


@dataclass(frozen=True)
class Meaning:
    """What a folder's name says; "" where it says nothing."""

    role: str = ""
    part: str = ""
    side: str = ""
    organ: str = ""


@dataclass(frozen=True, eq=False)
class File:
    """A file and what its place says of it.

    `home` is the folder in which a tree begins, `inner` are the folders below it that say nothing
    (a class, an id), `stem` is the name without a known ending in Unicode's composed form.
    """

    entry: Entry
    stem: str
    home: tuple[str, ...]
    inner: tuple[str, ...]
    meaning: Meaning

    @property
    def path(self) -> Path:
        return self.entry.path


def extension(name: str) -> str:
    """Return the known ending of a file's name, such as "png", in lower case, or ""."""
    lower = name.lower()
    last = "nii.gz" if lower.endswith(".nii.gz") else lower.rpartition(".")[2]
    return last if "." in name and last in _ENDINGS else ""


def stem(name: str) -> str:
    """Return a file's name without a picture's ending; "1.2.840.113" stays whole."""
    end = extension(name)
    cut = len(end) + 1 if end in PICTURES else 0
    return unicodedata.normalize("NFC", name[: len(name) - cut])


def fold(name: str) -> str:
    """Return a name as systems see it that do not tell capitals or forms of Unicode apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def may_be_picture(name: str) -> bool:
    """Tell whether the name of a file leaves open that it is a picture or an annotation."""
    return extension(name) not in NO_PICTURES and stem(name).casefold() not in _NO_PICTURE_NAMES


@functools.cache
def meaning(folder: str) -> Meaning:
    """Return what a folder's name says, if all of its words are known: "CXR_png", "leftMask"."""
    said = [_WORDS.get(word) for word in _words(folder)]
    if None in said:
        return Meaning()
    fields = dict(sorted(set(said)))  # of "images" and "masks" the latter is kept
    fields.pop("", None)
    return Meaning(**fields)


def is_of_both(folder: str) -> bool:
    """Tell whether a folder's name can be that of masks of both lungs: "both", "lung_masks"."""
    said = {_WORDS.get(word) for word in _words(folder) if word not in _BOTH}
    return said <= {("", ""), ("role", "masks"), *_SIDES} and len(said & _SIDES) != 1


def _words(folder: str) -> list[str]:
    """Return the words of a folder's name in lower case, those that are written as one apart."""
    name = unicodedata.normalize("NFKC", folder)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold().replace("_", " ")
    name = _GLUED.sub(r"\1 ", re.sub(r"\bx[ -](?=rays?\b)", "x", name))
    name = re.sub(r"(?<=[a-z])(?=\d{3,4}\b)", " ", name)
    return re.findall(r"\w+|[+&]", name)


def locate(entries: Iterable[Entry]) -> list[File]:
    """Return each file with what the folders above it say."""
    entries = list(entries)
    folders = {entry.folders[:n] for entry in entries for n in range(1, len(entry.folders) + 1)}
    roles = {}
    for folder in folders:
        roles.setdefault(folder[:-1], set()).add(meaning(folder[-1]).role)
    holders = frozenset(folder for folder, held in roles.items() if {"images", "masks"} <= held)
    places = {folder: _place(folder, holders) for folder in {e.folders for e in entries}}
    return [File(entry, stem(entry.name), *places[entry.folders]) for entry in entries]


def _place(
    folders: tuple[str, ...], holders: frozenset[tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...], Meaning]:
    """Return home, inner folders and meaning; the deepest role counts.

    A folder named as a role that holds both roles ("Lung Segmentation") is but a wrapper.
    """
    home, inner, known = None, [], Meaning()
    for depth, name in enumerate(folders):
        said = meaning(name)
        if folders[: depth + 1] in holders:
            said = replace(said, role="", side="", organ="")
        within = said.role == "masks" or (known.role == "masks" and not said.role)
        if not within:
            said = replace(said, side="", organ="")
        if said == Meaning():
            inner += [unicodedata.normalize("NFC", name)] * (home is not None)
            continue
        home = folders[:depth] if home is None else home
        fresh = {field: value for field, value in vars(said).items() if value}
        known = replace(known, **fresh)
    return folders if home is None else home, tuple(inner), known


def image_core(name: str, cuts: Collection[str] = CUTS) -> str:
    """Return an image's stem without a word that only says that it is an image (`_image`, `_0000`).

    A stem that is nothing but such a word ("image") gives "": its folder bears the id.

    Args:
        name: the stem.
        cuts: where words are cut, of `CUTS`; nowhere leaves the stem as it is.
    """
    if cuts and re.fullmatch(_IMAGE_WORD, name, re.IGNORECASE):
        return ""
    core = _IMAGE_STARTS.sub("", name) if "start" in cuts else name
    return _IMAGE_ENDS.sub("", core) if "end" in cuts else core


def image_cores(name: str) -> dict[str, frozenset[str]]:
    """Return what may be left of an image's stem, each with the fewest cuts that leave it.

    "CXR_7_0000" leaves "CXR_7" (end), "7_0000" (start) and "7" (both); "P1" leaves nothing.
    """
    ways = (CUTS, frozenset({"start"}), frozenset({"end"}))
    cores = {image_core(name, cuts): cuts for cuts in ways}
    return {core: cuts for core, cuts in cores.items() if core != name}


def mask_names(name: str) -> list[tuple[str, str, bool]]:
    """Return what the image of a mask may be called, the likeliest first.

    Args:
        name: a mask's stem, such as "P1_left_mask".

    Returns:
        (name, side, whether a word such as "mask" was cut): ("P1_left_mask", "", False),
        ("P1_left", "", True), ("P1", "left", True).
    """
    pieces = _PARTED.split(name)
    found = [(name, "", False), *_peeled(pieces), *_peeled(pieces[::-1], backwards=True)]
    if stem(name) != name:  # "x.jpg.png"
        found.append((stem(name), "", False))
    return found


def is_marked(name: str) -> bool:
    """Tell whether a stem says of itself that it is a mask: "heart_mask"."""
    return any(marked for *_, marked in mask_names(name))


def _peeled(pieces: list[str], *, backwards: bool = False) -> list[tuple[str, str, bool]]:
    """Cut words for masks and sides from the end, one after another."""
    found, side, marked = [], "", False
    for cut in range(len(pieces) - 1, -1, -2):
        word = _MASK_WORD.fullmatch(pieces[cut])
        if not word or not pieces[cut]:
            break
        side = side or {"l": "left", "r": "right", "": ""}[(word["side"] or "")[:1].lower()]
        marked = marked or bool(word["mark"])
        left = pieces[: max(cut - 1, 0)]
        if side or marked:
            found.append(("".join(left[::-1] if backwards else left), side, marked))
    return found


def part_in(name: str) -> str:
    """Return the part that a word in a file's name says: "instances_val2017" gives validation."""
    said = [_WORDS.get(word, ("", "")) for word in re.findall(r"[a-z]+", name.casefold())]
    return next((value for field, value in said if field == "part"), "")


def is_version(folder: str) -> bool:
    """Tell whether a folder's name speaks of the same pictures in another form ("resized")."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder).casefold()
    return bool(_VERSION.search(name.replace("_", " ")))


def form(part: str, text: str) -> str:
    """Return a part of a path with the id `text` replaced by <id>, its ending in lower case."""
    name, ending = stem(part), extension(part)
    if not text or ending in NO_PICTURES or text not in (name, *image_cores(name)):
        return part
    return name.replace(text, "<id>") + (ending and f".{ending}")
