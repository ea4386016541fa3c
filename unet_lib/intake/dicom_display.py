"""The stored values of a DICOM -> 8 bits, as its tags ask for."""

import numpy as np


def numbers(dataset, keyword: str) -> list[float]:
    """Return the numbers of an element, or [] if it is absent or does not hold numbers."""
    try:
        value = dataset.get(keyword)
        values = [] if value in (None, "") else np.atleast_1d(np.asarray(value, float)).tolist()
    except (TypeError, ValueError, OverflowError):
        return []
    return values if np.isfinite(values).all() else []


def number(dataset, keyword: str, default: int = 0) -> int:
    return int((numbers(dataset, keyword) or [default])[0])


def colours_to_8_bit(pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    most = 2**bits - 1 if int(pixels.max()) < 2**bits else np.iinfo(pixels.dtype).max
    return np.floor(pixels * (255 / most) + 0.5).astype(np.uint8)


def show(dataset, stored: np.ndarray) -> tuple[np.ndarray, str, dict[str, str]]:
    """Return (H, W) uint8, the view used and notes.

    Everything happens to the few different values, not to the millions of pixels.
    """
    low, high = int(stored.min()), int(stored.max())
    if high - low < 2**20:
        index = stored.astype(np.int64) - low
        levels, counts = np.arange(low, high + 1), np.bincount(index.ravel())
    else:
        levels, index, counts = np.unique(stored, return_inverse=True, return_counts=True)
    padding = _padding(dataset, levels)
    counts = np.where(padding & (counts[~padding].sum() > 0), 0, counts)
    shown, view, notes = _view(dataset, _modality(dataset, levels), counts)
    inverse = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    if inverse or dataset.get("PresentationLUTShape") == "INVERSE":
        shown = 255 - shown
    # The hair more than a half lets a negative round like its positive.
    table = np.floor(np.clip(shown, 0, 255) + 0.500001).astype(np.uint8)
    table[padding] = 0
    return table[index].reshape(stored.shape), view, notes


def _padding(dataset, levels: np.ndarray) -> np.ndarray:
    """Say which stored values stand for "nothing was measured here"."""
    first = numbers(dataset, "PixelPaddingValue")
    if not first:
        return np.zeros(len(levels), bool)
    last = numbers(dataset, "PixelPaddingRangeLimit") or first
    signed = number(dataset, "PixelRepresentation") == 1
    ends = sorted(v - 2**16 if signed and v >= 2**15 else v for v in (first[0], last[0]))
    return (levels >= ends[0]) & (levels <= ends[1])


def _modality(dataset, levels: np.ndarray) -> np.ndarray:
    """Return what the stored values mean: (N,) float, by look-up table or slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(levels, dataset.ModalityLUTSequence[0])[0]
    slope = (numbers(dataset, "RescaleSlope") or [1.0])[0] or 1.0
    return levels * slope + (numbers(dataset, "RescaleIntercept") or [0.0])[0]


def _look_up(values: np.ndarray, item) -> tuple[np.ndarray, float]:
    """Return the entries of a look-up table for `values`, and its largest possible entry.

    Our own, because pydicom's takes whole numbers only, and wraps round below the first entry.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    table, count = item.LUTData, count or 2**16
    if isinstance(table, bytes):
        table = np.frombuffer(table, np.uint8 if len(table) < 2 * count else "<u2")[:count]
    table = np.asarray(table, float)
    if first > values.max():
        first -= 2**16  # a negative number that was written without its sign
    places = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(int)
    return table[places], max(2.0**bits - 1, table.max())


def _view(dataset, values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, str, dict]:
    """Return (N,) float from 0 to 255, which view it is, and a note if one was of no use."""
    notes = {}
    for name, apply in (("window", _window), ("VOI LUT", _voi_table)):
        try:
            shown, view = apply(dataset, values)
            if not view:
                continue
            if np.isfinite(shown).all() and (
                np.ptp(shown[counts > 0]) >= 1 or np.ptp(values[counts > 0]) == 0
            ):
                return shown, view, notes
        except Exception:  # the tags may hold anything
            pass
        notes["unusable window"] = f" ({name})"
    return *_data_range(dataset, values, counts), notes


def _window(dataset, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Apply the first window, by pydicom: linear, exactly linear or sigmoid."""
    from pydicom import Dataset
    from pydicom.pixels import apply_windowing

    if not ("WindowCenter" in dataset or "WindowWidth" in dataset):
        return values, ""
    plain = Dataset()  # 8 bits without a modality step, so that the result reaches from 0 to 255
    plain.PhotometricInterpretation, plain.BitsStored = "MONOCHROME2", 8
    plain.PixelRepresentation = 0
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if keyword in dataset:
            plain[keyword] = dataset[keyword]
    center, width = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    view = f"window {center[0]:g}/{width[0]:g} (center/width)"
    if len(center) > 1:
        view += f", 1 of {len(center)}"
    return apply_windowing(values, plain), view


def _voi_table(dataset, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Apply the first VOI look-up table."""
    if not dataset.get("VOILUTSequence"):
        return values, ""
    shown, most = _look_up(values, dataset.VOILUTSequence[0])
    return shown * (255 / most), f"VOI LUT 1 of {len(dataset.VOILUTSequence)}"


def _data_range(dataset, values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, str]:
    """Spread the range of the data; 8 bits without a modality step are shown as they are."""
    if values.min() >= 0 and values.max() <= 255 and number(dataset, "BitsStored") == 8:
        return values, "stored values"
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    low, high = values[order][np.searchsorted(share, [0.005, 0.995])]
    return (values - low) * (255 / ((high - low) or 1)), f"data range {low:g} to {high:g}"
