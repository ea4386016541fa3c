"""What `predict` prints when it is done."""

from pathlib import Path

from unet_lib.commands import job, table, truth


def show_gone(gone: list[str]) -> None:
    """Print which files of an earlier call are no longer there, if any."""
    if not gone:
        return
    are, masks = ("is", "its mask is") if len(gone) == 1 else ("are", "their masks are")
    print(f"{count(len(gone), 'file')} {are} gone: {some(gone)}; {masks} left")


def show(
    rows: dict[str, dict], skipped: dict[str, str], out: Path, truths, classes: tuple[str, ...]
) -> None:
    """Print how many pictures came to what.

    Args:
        rows: of this call's pictures by their `file`.
        skipped: files that are no pictures; what is to be said of an older mask of each, or "".
        out: folder that was written into.
        truths: from `truth.find`, or None.
        classes: names of the model's classes, if there are several.
    """
    failed = sum(row["status"] == "failed" for row in rows.values())
    doubtful = sum(row.get("check") == "yes" for row in rows.values())
    print(f"{count(len(rows) - failed, 'mask')} in {out / 'masks'}"
          + f", {count(failed, 'picture')} failed" * bool(failed))
    if classes:
        numbers = ", ".join(f"{n} is {name}" for n, name in enumerate(classes, 1))
        print(f"these hold numbers, {numbers}: they look black; see the overlays")
    if skipped:
        told = sorted(skipped, key=lambda file: not skipped[file])  # those with a mask come first
        told = [f"{file} ({skipped[file]})" if skipped[file] else file for file in told]
        print(f"{count(len(told), 'file')} skipped, no picture: {some(told)}")
    if not rows:
        print("no picture was found (none that predict has drawn counts): PNG, JPEG, TIFF, BMP,"
              " WebP, GIF and DICOM are read")
    if doubtful:
        print(f"{count(doubtful, 'mask')} to look at first: `check` is yes in {out / table.TABLE}")
    if own := sum(job.KEPT in row.get("notes", "") for row in rows.values()):
        print(f"{count(own, 'file')} in {out / 'labelme'} not drawn by predict, or corrected: left"
              " as they are")
    if truths:
        print(*truths.notes, truth.summary(list(rows.values())), sep="\n")
    print("Not for clinical use: look at each mask before you use it")


def count(number: int, word: str) -> str:
    """Return "1 mask", "2 masks"."""
    return f"{number} {word}{'s' * (number != 1)}"


def some(names: list[str]) -> str:
    """Return the first three of some names."""
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
