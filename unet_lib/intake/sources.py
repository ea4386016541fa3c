"""The parameter `source` -> a folder to read: phantoms, a folder, Kaggle.

Kaggle: what kagglehub has in its cache is used as it is, without a network; kagglehub itself asks
the server for the newest version first, unless the version is pinned, and is not needed for this.
Its cache lies in $KAGGLEHUB_CACHE or ~/.cache/kagglehub: version N of a data set in
datasets/<owner>/<name>/versions/N, whole as soon as datasets/<owner>/<name>/N.complete is there.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unet_lib import phantom, workspace
from unet_lib.intake import lists, safekeeping

KAGGLE_SLUG = "azkihimmawan/chest-xray-masks-and-defect-detection/versions/1"
"""What "kaggle" stands for: the data set of the original, in the version that the project knows."""


def resolve_source(
    source: str | Path, *, phantoms: int = 120, phantom_masks: str = "both"
) -> Path:
    """Return the folder behind the parameter `source`.

    Args:
        source: "phantom" (drawn once, into data/phantom-source), "kaggle", "kaggle:owner/name" or
            "kaggle:owner/name/versions/N", or a folder; a relative one starts at the project.
            Without a version it is the newest one in kagglehub's cache, or, if there is none, the
            newest on Kaggle. A line is printed that tells which one it is.
        phantoms: how many pairs to draw if the source is "phantom", up to 9000; a number other
            than 120 gets a folder of its own.
        phantom_masks: whether their masks hold 255 on "both" lungs, or tell their "sides" apart
            (1 and 2, see `datasets.SIDES`), in a folder of their own.

    Raises:
        RuntimeError: the download failed; the message holds the steps to do it by hand.
        ValueError: the number of phantoms is out of its range.
    """
    if source == "phantom":
        sides = phantom_masks == "sides"
        name = "phantom-source" + f"-{phantoms}" * (phantoms != 120) + "-sides" * sides
        return _phantom_source(workspace.workspace() / "data" / name, phantoms, sides=sides)
    slug = _slug(source)
    if not slug:
        return workspace.resolve(source)
    folder = _cached(slug) or _download(slug)
    newest = "" if "/versions/" in slug else _which(slug, folder)
    print(f"Kaggle data set {slug}: {folder}{newest}", flush=True)
    return folder


def known_truth(source: str, ids: list[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Give the true masks of test images, as far as a source lets the project know them.

    Args:
        source: the parameter as a manifest keeps it (`datasets.source_name`).
        ids: of the test images.

    Returns:
        For phantoms id, image (H, W) uint8 in [0, 255] and mask (H, W) uint8, 0 and 255 or the
        numbers of the sides, one by one; for all other sources nothing.
    """
    drawn, sides = source.startswith("phantom ("), source.endswith("sides)")
    return ((name, *phantom.redraw(name, sides=sides)) for name in (ids if drawn else ()))


def holds(source: Path, place: Path) -> bool:
    """Tell whether a place lies in a source: in its folder, or in one that holds listed files.

    Args:
        source: a folder or a CSV list; a list that cannot be read holds nothing.
        place: a file or folder, which need not be there yet.
    """
    folders = {source} if source.is_dir() else set()
    if source.is_file() and lists.is_list(source):
        with contextlib.suppress(ValueError):
            rows = lists.read(source).rows
            folders = {file.parent for row in rows for file in (row.image, *row.masks)}
    place = place.resolve()
    return any(place.is_relative_to(folder.resolve()) for folder in folders)


def needs_network(source: str | Path) -> bool:
    """Return whether `resolve_source` would have to ask Kaggle, because nothing is cached."""
    slug = _slug(source)
    return bool(slug) and not _cached(slug)


def cached_versions(slug: str) -> dict[int, Path]:
    """Return the complete versions of a Kaggle data set in kagglehub's cache, oldest first.

    Args:
        slug: "owner/name", with or without "/versions/N".

    Returns:
        The number of each version and its folder; nothing if there is none.
    """
    home = cache_folder() / "datasets" / slug.partition("/versions/")[0]
    numbers = (int(p.stem) for p in home.glob("*.complete") if p.stem.isdecimal())
    folders = {number: home / "versions" / str(number) for number in sorted(numbers)}
    return {number: folder for number, folder in folders.items() if folder.is_dir()}


def cache_folder() -> Path:
    """Return where kagglehub keeps what it has fetched: $KAGGLEHUB_CACHE or ~/.cache/kagglehub."""
    named = os.environ.get("KAGGLEHUB_CACHE")
    return Path(named or Path.home() / ".cache" / "kagglehub").resolve()


def _phantom_source(folder: Path, count: int, *, sides: bool) -> Path:
    """Draw the phantoms, unless they are there from this very version of the drawing code."""
    code = sorted(Path(phantom.__file__).parent.glob("*.py"))
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    marker = folder.with_name(f".{folder.name}.sha256")
    with safekeeping.replacing_folder(folder) as partial:
        if not (folder.exists() and marker.exists() and marker.read_text("utf-8") == stamp):
            phantom.write_primary_tree(partial, train=count, sides=sides)
    marker.write_text(stamp, "utf-8")
    return folder


def _slug(source: str | Path) -> str:
    """Return "owner/name" or "owner/name/versions/N"; "" if the source is not on Kaggle."""
    kind, _, slug = str(source).partition(":")
    return (slug or KAGGLE_SLUG) if kind == "kaggle" else ""


def _cached(slug: str) -> Path | None:
    """Return the folder of the version asked for, or else of the newest one, if it is cached."""
    versions = cached_versions(slug)
    pinned = slug.partition("/versions/")[2]
    return versions.get(int(pinned) if pinned else max(versions, default=0))


def _which(slug: str, folder: Path) -> str:
    """Tell which version was taken where none was asked for, and how to keep to it."""
    pin = f"kaggle:{slug}/versions/"
    if folder not in cached_versions(slug).values():  # Kaggle and Colab have places of their own
        return f"\n    no version was asked for; source = \"{pin}N\" keeps to one"
    return (
        f"\n    version {folder.name}, the newest that is cached; source = \"{pin}{folder.name}\""
        " keeps to it, a higher number fetches another"
    )


def _download(slug: str) -> Path:
    """Let kagglehub fetch a Kaggle data set."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(slug))
    except Exception as error:
        raise RuntimeError(_by_hand(slug, _reason(error))) from error


def _by_hand(slug: str, reason: str) -> str:
    name = slug.partition("/versions/")[0]
    steps = (
        f"Kaggle data set {slug} could not be downloaded: {reason}\n"
        f"Nor is it cached in {cache_folder() / 'datasets' / name}.\nBy hand:\n"
        f"  1. open https://www.kaggle.com/datasets/{slug}, sign in and download it, here or on a"
        " machine with a network\n"
        "  2. unpack the archive into data/kaggle-download\n"
        '  3. set source = "data/kaggle-download", or to any other folder that holds the files'
    )
    if others := cached_versions(slug):
        steps += f'\nCached is another version: source = "kaggle:{name}/versions/{max(others)}"'
    return steps


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, ImportError):
        return "the package kagglehub is missing; install it with: pip install kagglehub"
    if status in (401, 403):
        return f"Kaggle refuses access ({status}): it asks for an account's token or consent"
    if isinstance(error, OSError) and status is None:
        return f"no connection to Kaggle, or no room: {error}"
    return f"{type(error).__name__}: {error}"
