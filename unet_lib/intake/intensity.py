"""16-bit pictures -> 8 bits, by one scale for the whole set: grey values stay comparable."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

import numpy as np

APART = "16-bit picture unlike the rest"
OUTSIDE = "16-bit picture outside the range"


@dataclass(frozen=True)
class Depth:
    """Which of its 65536 values a 16-bit picture uses.

    Attributes:
        low, high: where all but the darkest and the brightest half per cent lie. What lies far
            apart from the rest (a burnt-in marker, padding) does not count: one value whatever its
            share, several up to two per cent.
        minimum, maximum: the smallest and the largest value.
    """

    low: int
    high: int
    minimum: int
    maximum: int

    @property
    def bits(self) -> int:
        """How many bits the values need; 8 at least."""
        return max(8, self.high.bit_length())


@dataclass(frozen=True)
class Scales:
    """How the 16-bit pictures of a set become 8-bit ones.

    Attributes:
        ranges: id -> the values that become 0 and 255.
        rule: in words, what was taken; "" without 16-bit pictures.
        notes: fault, id and detail of each picture that the rule does not fit.
    """

    ranges: dict[str, tuple[int, int]]
    rule: str = ""
    notes: list[tuple[str, str, str]] = field(default_factory=list)


def measure(grey: np.ndarray) -> Depth | None:
    """Return which values a (H, W) uint16 picture uses, None for uint8."""
    if grey.dtype == np.uint8:
        return None
    counts = np.bincount(grey.ravel())
    used = np.flatnonzero(counts)
    counts[_far(used)] = 0
    total = np.cumsum(counts)
    places = np.searchsorted(total, np.multiply([0.005, 0.02, 0.98, 0.995], total[-1]))
    low, inner_low, inner_high, high = places.tolist()
    if high - low > 4 * (inner_high - low):
        high = inner_high
    if high - low > 4 * (high - inner_low):
        low = inner_low
    return Depth(low, high, int(used[0]), int(used[-1]))


def _far(used: np.ndarray) -> list[int]:
    """Return the ends of sorted values that lie farther from the others than these spread."""
    far = []
    for ends in (used[::-1], used):
        rest = ends[1:]
        if len(rest) > 2 and abs(int(ends[0]) - int(rest[0])) > np.ptp(rest):
            far.append(int(ends[0]))
    return far


def parse(text: str) -> tuple[int, int] | None:
    """Read the parameter `intensity`: None for "auto", else the two ends of a fixed range.

    Raises:
        ValueError: neither "auto" nor two whole numbers from 0 to 65535, the smaller one first.
    """
    if text == "auto":
        return None
    if found := re.fullmatch(r"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*", text):
        low, high = int(found[1]), int(found[2])
        if low < high <= 65535:
            return low, high
    raise ValueError(
        'intensity must be "auto" or the values that become black and white, two whole numbers '
        f'from 0 to 65535 with the smaller one first, got {text!r}; use for example "0,4095"'
    )


def choose(depths: dict[str, Depth | None], intensity: str = "auto") -> Scales:
    """Choose the range of every 16-bit picture of a set.

    A range that is given is taken for all. Else the depth decides that most pictures share, in
    bits of their `high`; where they use less than a quarter of it, because something was added to
    every value, the range in which most lie. A picture that does not fit gets its own range, and
    so do all where no depth is common to most.

    Args:
        depths: id -> what `measure` returned; None is left out.
        intensity: "auto" or a fixed range such as "0,4095".
    """
    fixed = parse(intensity)
    deep = {name: depth for name, depth in depths.items() if depth}
    if not deep:
        return Scales({})
    if fixed:
        rule = f"{fixed[0]} to {fixed[1]}, as the parameter intensity says"
        outside = [name for name, d in deep.items() if d.high <= fixed[0] or d.low >= fixed[1]]
        notes = [(OUTSIDE, name, _span(deep[name])) for name in outside]
        return Scales(dict.fromkeys(deep, fixed), rule, notes)
    bits, sharing = _common_bits([depth.bits for depth in deep.values()])
    if sharing * 2 <= len(deep):
        rule = f"each by its own range, as no depth is common to most of the {len(deep)} pictures"
        return Scales({name: (d.low, d.high) for name, d in deep.items()}, rule)
    common = 0, 2**bits - 1
    rule = f"{bits} bits, as {_most(sharing, len(deep))}"
    if offset := _shared_span(deep.values(), bits):
        common = offset
        sharing = sum(_fits(depth, common) for depth in deep.values())
        rule = f"{common[0]} to {common[1]} of {bits} bits, as {_most(sharing, len(deep))}"
    return _by(deep, common, rule)


def _by(deep: dict[str, Depth], common: tuple[int, int], rule: str) -> Scales:
    """Give all the common range but for those which it would turn black, white or flat."""
    apart = [name for name, depth in deep.items() if not _fits(depth, common)]
    ranges = {name: common for name in deep} | {n: (deep[n].low, deep[n].high) for n in apart}
    return Scales(ranges, rule, [(APART, name, _span(deep[name])) for name in apart])


def _common_bits(bits: list[int]) -> tuple[int, int]:
    """Return the depth that pictures share, and how many pictures do.

    The most frequent depth, and the next ones above it as long as each is found in a tenth of the
    pictures, two at least: dark pictures of a 12-bit detector need 11 bits only. Those of the
    depths next below share it too.
    """
    counts = {depth: bits.count(depth) for depth in sorted(set(bits), reverse=True)}
    common = lowest = max(counts, key=counts.get)
    while counts.get(common + 1, 0) >= max(2, len(bits) / 10):
        common += 1
    while lowest - 1 in counts:
        lowest -= 1
    return common, sum(lowest <= depth <= common for depth in bits)


def _shared_span(depths: Iterable[Depth], bits: int) -> tuple[int, int] | None:
    """Return the range in which most pictures lie if that is less than a quarter of `bits`."""
    members = [depth for depth in depths if depth.bits <= bits]
    low, high = median(d.low for d in members), median(d.high for d in members)
    width = high - low
    near = [d for d in members if d.low >= low - width and d.high <= high + width]
    if width == 0 or not near:
        return None
    span = min(d.low for d in near), max(d.high for d in near)
    return span if span[1] - span[0] < 2**bits / 4 else None


def _fits(depth: Depth, common: tuple[int, int]) -> bool:
    """Say if a picture keeps its contrast: inside the range, and not in a sixteenth of it."""
    low, high = common
    if depth.low == depth.high:
        return True  # one value: no range would show more
    inside = depth.low >= low - (high - low) / 16 and depth.high <= high + (high - low) / 16
    return inside and depth.high - depth.low >= (high - low) / 16


def _span(depth: Depth) -> str:
    return f" ({depth.low} to {depth.high})"


def _most(sharing: int, total: int) -> str:
    if total == 1:
        return "the one 16-bit picture uses"
    return f"all {total} pictures use" if sharing == total else f"most of the {total} pictures use"


def to_8_bit(grey: np.ndarray, low: int, high: int) -> np.ndarray:
    """Scale (H, W) uint16 to uint8: `low` and below become 0, `high` and above 255."""
    values = (np.arange(65536, dtype=np.float64) - low) * (255 / max(high - low, 1))
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)[grey]
