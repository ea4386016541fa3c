"""`predict`: X-rays in; masks, overlays and one table out. It goes on where it was stopped."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from unet_lib import console, workspace
from unet_lib.commands import (
    earlier,
    job,
    kept,
    labelme,
    models,
    outputs,
    pictures,
    summary,
    table,
    truth,
)
from unet_lib.commands.job import Job, Options
from unet_lib.intake import intensity

_AHEAD = 2 * (os.cpu_count() or 1)  # pictures that wait to be predicted, or to be written
_LARGE = 2**24  # px of a picture that is written before the next one is predicted: memory


def run(
    given: list[str], out: Path, *, options: Options, model: str | None = None,
    true_masks: Path | None = None, mask_values: str = "auto",
) -> int:
    """Predict a mask for each picture, and print what came of it.

    Args:
        given: files and folders.
        out: folder to write into; what is there and no earlier output is left as it is.
        options: how pictures are predicted.
        model: as `models.load` takes it.
        true_masks: folder of true masks to score against, or None.
        mask_values: what is foreground in these; see `masks.decide`.

    Returns:
        0: all was done; 1: a picture failed, or there was none; 2: nothing was begun; 130: Ctrl-C;
        143: SIGTERM.
    """
    try:
        _check_out(out, options)
        found = pictures.find(given, made=lambda path: earlier.is_output(path, out))
        before, together = table.read(out), _load(model, options)
        truths = _find_truths(found, out, true_masks, mask_values, together)
        workspace.claim(out, purpose="predict", remedy="choose another --out")
    except (OSError, ValueError) as error:
        print(f"Refused, nothing was written: {error}", file=sys.stderr)
        return 2
    rows, skipped, ended = {}, {}, 0
    earlier.tidy(out)
    summary.show_gone(earlier.forget_gone(before, out, given))
    try:
        with console.counting(len(found)) as tell:
            known = {file for file, row in before.items() if row["status"] == "ok"}
            for done in predict_all(found, out, together, options=options, known=known):
                file, left = done.picture.file, _name_older_mask(done, out)
                if done.skipped:
                    skipped[file] = left
                    before.pop(file, None)
                else:
                    rows[file] = _score(done, out, truths, together.classes)
                tell(f"failed: {file}: {done.row['reason']}" if done.failed else "")
    except OSError as error:
        print(f"Stopped: {error}. The same command goes on from here", file=sys.stderr)
        ended = 1
    except KeyboardInterrupt as end:
        print("\nInterrupted. The same command goes on from here", file=sys.stderr)
        ended = 128 + console.number_of(end)
    finally:
        ended = _close(out, {**before, **rows}) or ended
    if ended:
        return ended
    summary.show(rows, skipped, out, truths, together.classes)
    kept.keep(together, pictures=len(rows))
    return int(not rows or any(row["status"] == "failed" for row in rows.values()))


def _name_older_mask(done: Job, out: Path) -> str:
    """Return what `earlier.older_mask` says, also in the row of a picture that has failed."""
    left = earlier.older_mask(done, out) if done.skipped or done.failed else ""
    if left and done.failed:
        done.row["reason"] += f"; {left}"
    return left


def _close(out: Path, rows: dict[str, dict]) -> int:
    """Write the table and give the folder back; return 1 if that cannot be written."""
    try:
        table.write(out, rows)
    except OSError as error:
        print(f"The table cannot be written: {error}. Masks are whole; the same command writes it"
              " once there is room and leave", file=sys.stderr)
        return 1
    finally:
        workspace.release(out, purpose="predict")
    return 0


def _load(model: str | None, options: Options) -> models.Together:
    """Load what `--model` names; refuse what has no meaning for it, and warn of what is risky."""
    intensity.parse(options.intensity)
    together = models.load(model, tiles=options.tiles)
    if options.tiles and together.side < 32:
        raise ValueError(f"--tiles needs models of 32 px or more, got {together.side} px: smaller"
                         " pieces see too little; leave it out")
    if together.classes and options.threshold != 0.5:
        raise ValueError(
            f"--threshold {options.threshold} has no meaning for a model of several classes"
            f" ({', '.join(together.classes)}): each pixel gets the most probable one; leave it out"
        )
    if options.tiles and together.limits.chests:
        print("--tiles: this model knows whole chests; on parts of one it is often wrong",
              file=sys.stderr)
    return together


def _find_truths(
    found: list[pictures.Picture], out: Path, folder: Path | None, mask_values: str,
    together: models.Together,
) -> truth.Truth | None:
    """Find the true masks in a folder, and refuse those that were drawn here; None if not asked."""
    if folder is None:
        if mask_values != "auto":
            raise ValueError(f"--mask-values {mask_values} says what true masks mean, and there are"
                             " none without --truth MASKS; add that, or leave it out")
        return None
    paths = [picture.path for picture in found]
    truths = truth.find(paths, folder, mask_values=mask_values, classes=together.classes)
    drawn = [mask for mask in {mask for masks in truths.files.values() for mask in masks}
             if outputs.read_record(mask) or (mask.suffix == ".json" and labelme.is_ours(mask))]
    for mask in drawn:
        if mask.suffix != ".json" and mask.resolve().is_relative_to(out.resolve()):
            raise ValueError(
                f"{workspace.shown(mask)} is no true mask: predict drew it, into this --out; name"
                " with --truth the folder that holds the true ones"
            )
    if drawn:
        truths.notes.append(f"{summary.count(len(drawn), 'true mask')} drawn by predict, such as"
                            f" {workspace.shown(min(drawn))}: this compares two predictions")
    return truths


def _check_out(out: Path, options: Options) -> None:
    """Raise ValueError if `out` cannot become a folder, or may not be written to."""
    wanted = {out / Path(file).parts[0] for file in options.companions("x").values()}
    for place in (out, *out.parents, out / "masks", *wanted):
        if place.exists() and not place.is_dir():
            raise ValueError(f"--out must be a folder, new or not, but {os.fspath(place)!r} is a"
                             " file; name another")
    there = next(place for place in (out, *out.parents) if place.exists())
    for place in (there, out / "masks", *wanted):
        if place.exists() and not os.access(place, os.W_OK | os.X_OK):
            raise ValueError(f"--out {out}: {os.fspath(place)!r} may not be written to; name"
                             " another, or get leave to write there")


def predict_all(
    found: list[pictures.Picture], out: Path, together: models.Together, *, options: Options,
    known: Collection[str] = (),
) -> Iterator[Job]:
    """Give each picture when its mask is written, in their order.

    Threads read and write files while this one predicts, one picture at a time: a mask does not
    depend on which other pictures are there.

    Args:
        found: from `pictures.find`.
        out: folder to write into.
        together: from `models.load`.
        options: how pictures are predicted.
        known: files whose masks an earlier call has written, as its table says.

    Raises:
        OSError: nothing more can be written.
    """

    def read(picture: pictures.Picture) -> Job:
        return job.read(picture, out, together, options, known=picture.file in known)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            writing = deque()
            for each in _ahead(pool, read, found):
                probability = _predict(each, together, options)
                writing.append(pool.submit(job.finish, each, probability, out, together, options))
                large = probability is not None and probability.size > _LARGE
                while writing and (large or len(writing) > _AHEAD or writing[0].done()):
                    yield writing.popleft().result()
            yield from (each.result() for each in writing)
        except KeyboardInterrupt:  # what is predicted is kept
            yield from (each.result() for each in writing)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(pool: ThreadPoolExecutor, work: Callable, items: Iterable) -> Iterator:
    """Give `work(item)` for each item; a few are worked on before they are asked for."""
    waiting, items = deque(), iter(items)
    while True:
        while len(waiting) < _AHEAD and (item := next(items, None)) is not None:
            waiting.append(pool.submit(work, item))
        if not waiting:
            return
        yield waiting.popleft().result()


def _predict(each: Job, together: models.Together, options: Options) -> np.ndarray | None:
    """Return the probability for a picture that waits for one."""
    if each.image is None:
        return None
    start = time.perf_counter()
    try:
        probability = models.predict(together, each.image, tiles=options.tiles)
        return probability
    except (ValueError, MemoryError) as error:
        each.fail(error)
        return None
    finally:
        each.seconds += time.perf_counter() - start


def _score(done: Job, out: Path, truths, classes: tuple[str, ...]) -> dict:
    """Return the row of a picture, with its Dice and HD95 where a true mask is known."""
    if not truths or done.failed:
        return done.row
    try:
        mask = outputs.read_mask(job.mask_file(out, done.picture))
        true_mask = truths.read(done.picture.path, shape=mask.shape)
    except (OSError, ValueError) as error:
        return done.row | {"notes": f"{done.row['notes']}; not scored: {error}".lstrip("; ")}
    if true_mask is None:
        return done.row
    found = truth.score_classes(true_mask, mask, classes, spacing=done.spacing)
    notes = "; ".join(filter(None, [done.row["notes"], truth.turned(true_mask, mask)]))
    scores = {k: "" if v is None else f"{v:.4f}" for k, v in found.items()}
    return done.row | scores | {"notes": notes}
