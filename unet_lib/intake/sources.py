"""The parameter `source` -> a folder to read: phantoms, a folder, Kaggle."""

import hashlib
from pathlib import Path

from unet_lib import phantom, workspace

KAGGLE_SLUG = "azkihimmawan/chest-xray-masks-and-defect-detection"


def resolve_source(source: str | Path, *, phantoms: int = 120) -> Path:
    """Return the folder behind the parameter `source`.

    Args:
        source: "phantom" (drawn once, into data/phantom-source), "kaggle" or "kaggle:owner/name"
            (downloaded into kagglehub's own cache), or a folder; a relative one starts at the
            project.
        phantoms: how many pairs to draw if the source is "phantom", up to 9000; a number other
            than 120 gets a folder of its own.

    Raises:
        RuntimeError: the download failed; the message holds the steps to do it by hand.
        ValueError: the number of phantoms is out of its range.
    """
    if source == "phantom":
        name = "phantom-source" if phantoms == 120 else f"phantom-source-{phantoms}"
        return _phantom_source(workspace.workspace() / "data" / name, phantoms)
    kind, _, slug = str(source).partition(":")
    return _download(slug or KAGGLE_SLUG) if kind == "kaggle" else workspace.resolve(source)


def _phantom_source(folder: Path, count: int) -> Path:
    """Draw the phantoms, unless they are there from this very version of the drawing code."""
    code = sorted(Path(phantom.__file__).parent.glob("*.py"))
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    marker = folder.with_name(f".{folder.name}.sha256")
    with workspace.replacing_folder(folder) as partial:
        if not (folder.exists() and marker.exists() and marker.read_text("utf-8") == stamp):
            phantom.write_primary_tree(partial, train=count)
    marker.write_text(stamp, "utf-8")
    return folder


def _download(slug: str) -> Path:
    """Return kagglehub's folder with a Kaggle data set; download it if it is not there."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(slug))
    except Exception as error:
        raise RuntimeError(
            f"Kaggle data set {slug} could not be downloaded: {_reason(error)}\nBy hand:\n"
            f"  1. open https://www.kaggle.com/datasets/{slug}, sign in and download it\n"
            "  2. unpack the archive into data/kaggle-download\n"
            '  3. run this notebook with source = "data/kaggle-download"'
        ) from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, ImportError):
        return "the package kagglehub is missing; install it with: pip install kagglehub"
    if status in (401, 403):
        return f"Kaggle refuses access ({status}): it asks for an account's token or consent"
    if isinstance(error, OSError) and status is None:
        return f"no connection to Kaggle, or no room: {error}"
    return f"{type(error).__name__}: {error}"
