"""Checks of what a reader writes about training and its result: notebooks 04 to 06, 09 to 11."""

from collections.abc import Callable

import numpy as np

from unet_lib.exercises.teacher import Case, answer


def check_update(my_update: Callable) -> None:
    """Try one update of gradient descent on one weight (notebook 04), and print the answer.

    Args:
        my_update: takes a function that returns the loss at a weight, the weight and the learning
            rate. Returns the new weight; its slope may come from a small difference.
    """
    valley, steep = _loss(lambda w: (w - 3) ** 2), _loss(lambda w: 10 * w**2)
    bent = _loss(lambda w: np.log(1 + np.exp(-w)))
    cases = [
        Case("loss (w - 3)², left of its lowest point", (valley, 1.0, 0.1), 1.4, 0.005),
        Case("loss (w - 3)², right of its lowest point", (valley, 5.0, 0.1), 4.6, 0.005),
        Case("loss (w - 3)², at its lowest point", (valley, 3.0, 0.1), 3.0, 0.005),
        Case("loss (w - 3)², a smaller learning rate", (valley, 1.0, 0.02), 1.08, 0.005),
        Case("loss 10 w², which is steep", (steep, 1.0, 0.01), 0.8, 0.005),
        Case("loss log(1 + exp(-w)), which is no parabola", (bent, 0.0, 1.0), 0.5, 0.005),
    ]
    print(answer(my_update, cases, {
        "it climbs. The slope points uphill, so subtract it.": [
            lambda loss_at, w, rate: w + rate * _slope(loss_at, w)],
        "the learning rate is missing: it says how far to go along the slope.": [
            lambda loss_at, w, rate: w - _slope(loss_at, w)],
        "this is the step; return the new weight, the old one minus the step.": [
            lambda loss_at, w, rate: rate * _slope(loss_at, w),
            lambda loss_at, w, rate: -rate * _slope(loss_at, w)],
        "the weight hardly moves. A slope is the difference of two losses *divided* by how far "
        "apart the two weights are, such as 0.001.": [lambda loss_at, w, rate: w],
        "from w - h to w + h it is 2 h, not h; this slope is twice too steep.": [
            lambda loss_at, w, rate: w - 2 * rate * _slope(loss_at, w)],
        "subtract the slope of the loss, not the loss: how it changes with the weight.": [
            lambda loss_at, w, rate: w - rate * loss_at(w)],
        "the two weights are too far apart for a slope; take a difference of 0.001.": [
            lambda loss_at, w, rate, h=h: w - rate * (loss_at(w + h) - loss_at(w)) / h
            for h in (1.0, 0.1)],
    }))


def _loss(formula: Callable) -> Callable:
    def loss_at(weight):
        return formula(weight)

    return loss_at


def _slope(loss_at: Callable, weight: float) -> float:
    return (loss_at(weight + 0.001) - loss_at(weight - 0.001)) / 0.002


def check_dice(my_dice: Callable) -> None:
    """Try the Dice coefficient (notebook 05) on small masks, and print the answer.

    Args:
        my_dice: takes mask (H, W) uint8 of 0 and 1 and prediction (H, W) bool. Returns one number
            in [0, 1]; two empty masks agree: 1.
    """
    lung, none = [[1, 1, 1, 0], [1, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]
    cases = [
        _dice_case("a part of the lung is found", lung, [[0, 1, 1, 1], [0, 0, 0, 0]], 4 / 7),
        _dice_case("all is right", lung, lung, 1),
        _dice_case("nothing in common", lung, [[0, 0, 0, 1], [0, 1, 0, 0]], 0),
        _dice_case("everything is called lung", lung, [[1, 1, 1, 1], [1, 1, 1, 1]], 8 / 12),
        _dice_case("no lung is found", lung, none, 0),
        _dice_case("no lung is there, and none is found", none, none, 1),
    ]
    no_rule = [lambda m, p: 2 * int((m & p).sum()) / int(m.sum() + p.sum()),
               lambda m, p: 2 * (m & p).sum() / (m.sum() + p.sum()),
               lambda m, p: 2 * (m & p).sum() / max(1, m.sum() + p.sum())]
    print(answer(my_dice, cases, {
        "the factor 2 is missing. The overlap is in both areas, so it counts twice.": [
            lambda m, p: (m & p).sum() / (m.sum() + p.sum())],
        "this is IoU. Dice divides by the sum of both areas, not by their union.": [
            lambda m, p: (m & p).sum() / (m | p).sum(),
            lambda m, p: 2 * (m & p).sum() / (m | p).sum()],
        "it counts background that both agree on. Dice looks at lung alone: `mask & prediction`, "
        "not `mask == prediction`.": [
            lambda m, p: (m == p).mean(), lambda m, p: 2 * (m == p).sum() / (m.sum() + p.sum())],
        "two empty masks leave 0 / 0. They agree, so say it first: 1 if both are empty.": no_rule,
        "sum over the whole mask, without `axis`: Dice is one number.": [
            lambda m, p, a=axis: 2 * (m & p).sum(axis=a) / (m.sum(axis=a) + p.sum(axis=a))
            for axis in (0, 1)],
        "it divides by one area. Dice divides by the sum of both.": [
            lambda m, p: (m & p).sum() / p.sum(), lambda m, p: (m & p).sum() / m.sum()],
    }))


def _dice_case(name: str, mask: list, prediction: list, expected: float) -> Case:
    return Case(name, (np.array(mask, np.uint8), np.array(prediction, bool)), expected)


def check_bootstrap(my_bootstrap: Callable) -> None:
    """Try a paired bootstrap of a mean difference (notebook 06), and print the answer.

    Args:
        my_bootstrap: takes the Dice of model A and of model B, (N,) floats in the same order of
            images, and a NumPy random generator. Returns the lower and upper end of the 95 %
            interval of the mean of B - A, from 2,000 or more resamples.
    """
    print(answer(my_bootstrap, [
        _bootstrap_case("B is a little better on most images", gain=0.02, noise=0.03),
        _bootstrap_case("B is worse", gain=-0.05, noise=0.02),
        _bootstrap_case("the images cannot decide", gain=0.0, noise=0.05),
        _bootstrap_case("A and B are equal", gain=0.0, noise=0.0),
    ], {
        "it resamples A and B apart from each other. They have the same images: take the "
        "difference for each image first, then resample the differences.": [
            lambda a, b, rng: _ends(_means(b, rng) - _means(a, rng))],
        "this is A - B; the question is how much better B is.": [
            lambda a, b, rng: _ends(_means(a - b, rng))],
        "every resample holds the same images, so all means are equal. Draw with replacement: "
        "`rng.choice(difference, len(difference))`.": [
            lambda a, b, rng: np.repeat((b - a).mean(), 2)],
        "this is the range of single images. The interval asks for the mean: average each "
        "resample first.": [lambda a, b, rng: _ends(b - a)],
        "95 % lie between the percentiles 2.5 and 97.5: a half of the 5 % at each end.": [
            lambda a, b, rng: np.percentile(_means(b - a, rng), (5, 95)),
            lambda a, b, rng: np.quantile(_means(b - a, rng), (0.00025, 0.00975))],
        "this is the mean difference; return the two ends of its interval.": [
            lambda a, b, rng: (b - a).mean()],
    }))


def _bootstrap_case(name: str, *, gain: float, noise: float) -> Case:
    """Make 40 images of unlike difficulty; the expected interval is that of many resamples."""
    rng = np.random.default_rng(0)
    a = rng.uniform(0.6, 0.9, 40)
    b = a + gain + noise * rng.normal(size=40)
    expected = _ends(_means(b - a, rng, 20_000))
    return Case(name, (a, b, rng), expected, 1e-9 + 0.06 * np.ptp(expected))


def _means(values: np.ndarray, rng: np.random.Generator, resamples: int = 2000) -> np.ndarray:
    return rng.choice(values, (resamples, len(values))).mean(axis=1)


def _ends(values: np.ndarray) -> np.ndarray:
    return np.percentile(values, (2.5, 97.5))


def check_enough(my_enough: Callable) -> None:
    """Try a reading of a learning curve (notebook 09), and print the answer.

    Args:
        my_enough: takes numbers of pairs, (N,), the score of each, (N,), and a margin. Returns the
            smallest number of pairs whose score is within the margin of the best one.
    """
    print(answer(my_enough, [
        _curve_case("a curve that goes flat", (10, 20, 40, 80), (0.8, 0.9, 0.94, 0.945), 40),
        _curve_case("one that still rises", (10, 20, 40, 80), (0.8, 0.85, 0.9, 0.95), 80),
        _curve_case("the best is not the last", (10, 20, 40, 80), (0.8, 0.93, 0.95, 0.935), 40),
        _curve_case("it rests for a while", (10, 20, 40, 80), (0.8, 0.805, 0.9, 0.905), 40),
        _curve_case("in no order", (80, 10, 40), (0.95, 0.8, 0.945), 40),
        _curve_case("no margin", (10, 20, 40), (0.8, 0.9, 0.901), 40, margin=0.0),
    ], {
        "measure against the best score, not against the one before: a curve can rest and go on.": [
            lambda n, s, m: next((n[k] for k in range(len(n) - 1) if s[k + 1] - s[k] < m), n[-1]),
            lambda n, s, m: next((n[k] for k in range(1, len(n)) if s[k] - s[k - 1] < m), n[-1])],
        "the last score need not be the best: take the maximum.": [
            lambda n, s, m: min(n[s >= s[-1] - m])],
        "this is the number of the best score; fewer pairs may come within the margin.": [
            lambda n, s, m: n[np.argmax(s)]],
        "this is a place in the list; return the number of pairs there.": [
            lambda n, s, m: np.argmax(s >= s.max() - m)],
        "this is a score; return the number of pairs that reaches it.": [
            lambda n, s, m: min(s[s >= s.max() - m])],
        "the first in the list need not be the smallest.": [
            lambda n, s, m: n[np.argmax(s >= s.max() - m)]],
    }))


def _curve_case(name: str, pairs: tuple, scores: tuple, expected: int, margin: float = 0.01):
    return Case(name, (np.array(pairs), np.array(scores), margin), expected)


def check_deviation(my_deviation: Callable) -> None:
    """Try the deviation of a run around the mean of its setting (notebook 10), print the answer.

    Args:
        my_deviation: takes a list of arrays (N,), the Dice of the runs of each setting. Returns the
            standard deviation of one run around the mean of its own setting, all settings together.
    """
    print(answer(my_deviation, [
        _deviation_case("two settings of two runs", [[0.5, 0.7], [0.8, 0.9]], 0.111803),
        _deviation_case("equally noisy, far apart", [[0.1, 0.2], [0.8, 0.9]], 0.070711),
        _deviation_case("one noisy, one quiet", [[0.5, 0.9], [0.7, 0.7]], 0.2),
        _deviation_case("unequal numbers of runs", [[0.4, 0.6, 0.8], [0.9, 0.92]], 0.163503),
        _deviation_case("a setting with one run", [[0.5, 0.7], [0.9]], 0.141421),
        _deviation_case("one setting", [[0.6, 0.7, 0.8]], 0.1),
    ], {
        "it holds the distance between settings too. Take each run's deviation from the mean of "
        "its own setting.": [
            lambda g: np.std(np.concatenate(g)), lambda g: np.std(np.concatenate(g), ddof=1)],
        "each setting has used up one run for its mean: divide by the runs minus the settings.": [
            lambda g: (_squares(g) / sum(map(len, g))) ** 0.5],
        "only one mean is taken off; each setting has its own: divide by the runs minus the "
        "settings.": [lambda g: (_squares(g) / (sum(map(len, g)) - 1)) ** 0.5],
        "average squares, not deviations, and take the root at the end.": [
            lambda g: np.mean([np.std(each, ddof=1) for each in g if len(each) > 1]),
            lambda g: np.mean([np.std(each) for each in g])],
        "a setting with more runs knows more: add up the squares of all runs, then divide once.": [
            lambda g: np.mean([np.var(each, ddof=1) for each in g if len(each) > 1]) ** 0.5],
        "this is a variance; the root is missing.": [
            lambda g: _squares(g) / (sum(map(len, g)) - len(g))],
    }))


def _deviation_case(name: str, groups: list, expected: float) -> Case:
    return Case(name, ([np.array(group) for group in groups],), expected, 1e-5)


def _squares(groups: list) -> float:
    """Return the sum of the squared deviations of all runs from the mean of their setting."""
    return float(sum(np.var(group) * len(group) for group in groups))


def check_combine(my_combine: Callable) -> None:
    """Try the gradient of a batch from those of its shards (notebook 11), print the answer.

    Args:
        my_combine: takes a list of arrays (K,), the gradient of each shard, and a list with the
            number of pairs of each. Returns the gradient of the whole batch, (K,).
    """
    print(answer(my_combine, [
        _shards_case("two equal shards", [[1, 2], [3, 6]], [4, 4], [2, 4]),
        _shards_case("six pairs and two", [[1, 2], [5, 2]], [6, 2], [2, 2]),
        _shards_case("three shards", [[1, 0, 3], [4, 6, 3], [1, 0, 0]], [1, 2, 1], [2.5, 3, 2.25]),
        _shards_case("one shard", [[1, 2]], [3], [1, 2]),
        _shards_case("a shard without a pair", [[1, 2], [9, 9]], [4, 0], [1, 2]),
    ], {
        "this is the plain mean; a shard with more pairs counts for more.": [
            lambda g, n: np.mean(g, axis=0)],
        "this is a sum; divide by the number of all pairs.": [
            lambda g, n: sum(c * each for each, c in zip(g, n, strict=True))],
        "divide by the number of all pairs, not by that of the shards.": [
            lambda g, n: sum(c * each for each, c in zip(g, n, strict=True)) / len(n)],
        "gradients are means already; weigh each by its pairs before you add.": [
            lambda g, n: np.sum(g, axis=0), lambda g, n: np.sum(g, axis=0) / sum(n)],
    }))


def _shards_case(name: str, gradients: list, counts: list, expected: list):
    return Case(name, ([np.array(g, float) for g in gradients], counts), np.array(expected, float))
