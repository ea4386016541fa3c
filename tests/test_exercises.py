"""The checks of what a reader writes: right, not written yet, each usual mistake, an exception."""

import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from unet_lib import exercises, metrics
from unet_lib.series import plan

CHECKS = {name: getattr(exercises, name) for name in exercises.__all__}


@pytest.fixture
def told(capsys):
    """Return what a check prints about a function."""

    def tell(check, function):
        assert CHECKS[check](function) is None
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 96
        return " ".join(text.split())

    return tell


# ------------------------------------------------------------- solutions, written by one or another


def my_pairs(image_files, mask_files):
    images = {path.stem: path for path in image_files}
    masks = {path.stem: path for path in mask_files}
    return [(images[name], masks[name]) for name in sorted(images.keys() & masks.keys())]


def pairs_one_by_one(image_files, mask_files):
    for image in sorted(image_files):
        for mask in mask_files:
            if mask.stem == image.stem:
                yield [image, mask]


def my_mean_mask(masks):
    total = np.zeros(masks[0].shape)
    for mask in masks:
        total += mask
    return total / len(masks)


def my_parameters(size, channels, filters):
    return filters * (size * size * channels + 1)


def my_update(loss_at, weight, learning_rate):
    slope = (loss_at(weight + 0.001) - loss_at(weight)) / 0.001
    return weight - learning_rate * slope


def my_dice(mask, prediction):
    areas = mask.sum() + prediction.sum()
    return 2 * np.sum(mask * prediction) / areas if areas else 1


def my_bootstrap(a, b, rng):
    difference = b - a
    means = [rng.choice(difference, len(difference)).mean() for _ in range(2000)]
    return np.percentile(means, [2.5, 97.5])


def bootstrap_of_rows(a, b, rng):
    rows = rng.integers(0, len(a), (3000, len(a)))
    means = np.sort(b[rows].mean(axis=1) - a[rows].mean(axis=1))
    return float(means[74]), float(means[2924])


def my_enough(pairs, scores, margin):
    return min(pairs[scores >= scores.max() - margin])


def enough_one_by_one(pairs, scores, margin):
    for number, score in sorted(zip(pairs, scores, strict=True)):
        if score >= max(scores) - margin:
            return number


def my_deviation(groups):
    squares = sum(((group - group.mean()) ** 2).sum() for group in groups)
    return (squares / (sum(map(len, groups)) - len(groups))) ** 0.5


def deviation_one_by_one(groups):
    deviations = [run - sum(group) / len(group) for group in groups for run in group]
    return math.sqrt(math.fsum(d * d for d in deviations) / (len(deviations) - len(groups)))


def my_combine(gradients, counts):
    total = sum(count * each for each, count in zip(gradients, counts, strict=True))
    return total / sum(counts)


def my_speedup(rows, size, runtime):
    taken = {row["runtime"]: row["ms"] for row in rows if row["size"] == size}
    return taken["Keras"] / taken[runtime]


def speedup_one_by_one(rows, size, runtime):
    for row in rows:
        for other in rows:
            if (row["size"], other["size"], row["runtime"], other["runtime"]) == (
                    size, size, "Keras", runtime):
                return row["ms"] / other["ms"]


SOLUTIONS = {
    "check_pairs": [my_pairs, pairs_one_by_one, lambda i, m: tuple(my_pairs(i, m))],
    "check_mean_mask": [my_mean_mask, lambda masks: np.mean(masks, axis=0)],
    "check_parameters": [my_parameters, lambda k, c, f: float(k**2 * c * f + f)],
    "check_update": [
        my_update,
        *(lambda loss_at, w, rate, h=h: w - rate * (loss_at(w + h) - loss_at(w - h)) / (2 * h)
          for h in (1e-6, 0.1))],
    "check_dice": [my_dice, metrics.dice],
    "check_bootstrap": [my_bootstrap, bootstrap_of_rows],
    "check_enough": [my_enough, enough_one_by_one],
    "check_deviation": [my_deviation, deviation_one_by_one],
    "check_combine": [my_combine, lambda g, n: np.average(g, axis=0, weights=n)],
    "check_speedup": [my_speedup, speedup_one_by_one],
}


def solutions():
    return [(check, solution) for check, several in SOLUTIONS.items() for solution in several]


@pytest.mark.parametrize(("check", "solution"), solutions())
def test_a_solution_is_right(told, check, solution):
    found = told(check, solution)
    assert re.fullmatch(r"[\w<>]+: right in all [5-9]? ?[1-9]? ?cases\.", found), found


def test_every_check_has_a_solution():
    assert set(SOLUTIONS) == set(CHECKS) and len(CHECKS) == 10


# --------------------------------------------------------------------------- the usual mistakes


def in_place(masks):
    total = masks[0]
    for mask in masks[1:]:
        total += mask
    return total / len(masks)


def in_bytes(masks):
    total = np.zeros(masks[0].shape, np.uint8)
    for mask in masks:
        total += mask
    return total / len(masks)


def unpaired(a, b, rng):
    means = [rng.choice(b, len(b)).mean() - rng.choice(a, len(a)).mean() for _ in range(2000)]
    return np.percentile(means, [2.5, 97.5])


def dice_without_rule(mask, prediction):
    return 2 * np.sum(mask & prediction) / (mask.sum() + prediction.sum())


def dice_in_plain_python(mask, prediction):
    truth, guess = set(np.flatnonzero(mask)), set(np.flatnonzero(prediction))
    return 2 * len(truth & guess) / (len(truth) + len(guess))


def smooth_dice(mask, prediction):
    return 2 * np.sum(mask & prediction) / (mask.sum() + prediction.sum() + 1e-7)


def means_of(difference, rng):
    return [rng.choice(difference, len(difference)).mean() for _ in range(2000)]


def paths(ids, *folders):
    return [tuple(files[name] for files in folders) for name in ids]


def stems(files):
    return {path.stem: path for path in files}


MISTAKES = {
    "check_pairs": [
        ("by position. A listing is no order", lambda i, m: list(zip(i, m, strict=False))),
        ("by position. A listing is no order", zip),
        ("by position. A listing is no order",
         lambda i, m: [[i[k], m[k]] for k in range(min(len(i), len(m)))]),
        ("only until one file is missing", lambda i, m: zip(sorted(i), sorted(m), strict=False)),
        ("not every file has a partner", lambda i, m: paths(sorted(stems(i)), stems(i), stems(m))),
        ("not every file has a partner", lambda i, m: paths(sorted(stems(m)), stems(i), stems(m))),
        ("Use `sorted`", lambda i, m: [p for p in paths(
            [x.stem for x in i if x.stem in stems(m)], stems(i), stems(m))]),
        ("`path.stem`, not `path.name`", lambda i, m: [
            (x, y) for x in sorted(i) for y in m if x.name == y.name]),
        ("these are the ids", lambda i, m: sorted(set(stems(i)) & set(stems(m)))),
        ("should be a list, this is a dict", lambda i, m: dict(my_pairs(i, m))),
    ],
    "check_mean_mask": [
        ("as high and as wide as one mask", lambda masks: np.mean(masks)),
        ("as high and as wide as one mask", lambda masks: np.mean(masks, axis=1)),
        ("as high and as wide as one mask", lambda masks: np.mean(masks, axis=(1, 2))),
        ("divide by the number of masks", lambda masks: np.sum(masks, axis=0)),
        ("threshold at one half comes later", lambda masks: np.mean(masks, axis=0) >= 0.5),
        ("threshold at one half comes later", lambda masks: np.mean(masks, axis=0) > 0.5),
        ("`//` drops the fraction", lambda masks: np.sum(masks, axis=0) // len(masks)),
        ("counts to 255", in_bytes),
        ("counts to 255", lambda masks: sum(masks) / len(masks)),
        ("adds up in the first mask", in_place),
    ],
    "check_parameters": [
        ("the biases are missing", lambda k, c, f: k * k * c * f),
        ("as many biases as filters", lambda k, c, f: k * k * c * f + 1),
        ("one kernel for each input channel", lambda k, c, f: k * k * f + f),
        ("one kernel for each input channel", lambda k, c, f: k * k * f),
        ("k · k numbers, not k", lambda k, c, f: k * c * f + f),
        ("not to the input channels", lambda k, c, f: k * k * c * f + c),
    ],
    "check_update": [
        ("it climbs", lambda loss_at, w, rate: w + rate * (loss_at(w + 1e-3) - loss_at(w)) / 1e-3),
        ("learning rate is missing",
         lambda loss_at, w, rate: w - (loss_at(w + 1e-3) - loss_at(w)) / 1e-3),
        ("return the new weight",
         lambda loss_at, w, rate: rate * (loss_at(w + 1e-3) - loss_at(w)) / 1e-3),
        ("*divided* by", lambda loss_at, w, rate: w - rate * (loss_at(w + 1e-3) - loss_at(w))),
        ("2 h, not h",
         lambda loss_at, w, rate: w - rate * (loss_at(w + 1e-3) - loss_at(w - 1e-3)) / 1e-3),
        ("not the loss", lambda loss_at, w, rate: w - rate * loss_at(w)),
        ("too far apart", lambda loss_at, w, rate: w - rate * (loss_at(w + 1) - loss_at(w))),
    ],
    "check_dice": [
        ("factor 2 is missing", lambda m, p: np.sum(m & p) / max(1, m.sum() + p.sum())),
        ("this is IoU", lambda m, p: np.sum(m & p) / max(1, np.sum(m | p))),
        ("counts background", lambda m, p: np.mean(m == p)),
        ("counts background", lambda m, p: 2 * np.sum(m == p) / (m.sum() + p.sum())),
        ("leave 0 / 0", dice_without_rule),
        ("leave 0 / 0", dice_in_plain_python),
        ("leave 0 / 0", smooth_dice),
        ("without `axis`", lambda m, p: 2 * (m & p).sum(axis=0) / (m.sum(axis=0) + p.sum(axis=0))),
        ("divides by one area", lambda m, p: np.sum(m & p) / p.sum()),
        ("should be one number, this is an array of shape (2, 4)", lambda m, p: m & p),
    ],
    "check_bootstrap": [
        ("apart from each other", unpaired),
        ("how much better B is", lambda a, b, rng: my_bootstrap(b, a, rng)),
        ("Draw with replacement", lambda a, b, rng: np.percentile(
            [rng.permutation(b - a).mean() for _ in range(2000)], [2.5, 97.5])),
        ("the range of single images", lambda a, b, rng: np.percentile(b - a, [2.5, 97.5])),
        ("2.5 and 97.5", lambda a, b, rng: np.percentile(means_of(b - a, rng), [5, 95])),
        ("2.5 and 97.5", lambda a, b, rng: np.percentile(means_of(b - a, rng), [0.025, 0.975])),
        ("the two ends", lambda a, b, rng: np.mean(means_of(b - a, rng))),
    ],
    "check_enough": [
        ("not against the one before", lambda n, s, m: n[np.argmax(np.diff(s, append=s[-1]) < m)]),
        ("need not be the best", lambda n, s, m: my_enough(n, np.minimum(s, s[-1]), m)),
        ("fewer pairs may come", lambda n, s, m: dict(zip(s, n, strict=True))[max(s)]),
        ("a place in the list", lambda n, s, m: list(s >= max(s) - m).index(True)),
        ("this is a score", lambda n, s, m: next(x for x in s if x >= max(s) - m)),
        ("need not be the smallest", lambda n, s, m: n[s >= s.max() - m][0]),
    ],
    "check_deviation": [
        ("distance between settings", lambda g: np.std([run for group in g for run in group])),
        ("distance between settings", lambda g: np.concatenate(g).std(ddof=1)),
        ("has used up one run", lambda g: np.concatenate([x - x.mean() for x in g]).std()),
        ("only one mean", lambda g: np.concatenate([x - x.mean() for x in g]).std(ddof=1)),
        ("squares, not deviations", lambda g: np.mean([x.std(ddof=1) for x in g if len(x) > 1])),
        ("squares, not deviations", lambda g: sum(x.std() for x in g) / len(g)),
        ("more runs knows more", lambda g: np.sqrt(np.mean([x.var(ddof=1) for x in g
                                                            if len(x) > 1]))),
        ("the root is missing", lambda g: my_deviation(g) ** 2),
    ],
    "check_combine": [
        ("the plain mean", lambda g, n: sum(g) / len(g)),
        ("this is a sum", lambda g, n: my_combine(g, n) * sum(n)),
        ("not by that of the shards", lambda g, n: my_combine(g, n) * sum(n) / len(n)),
        ("means already", lambda g, n: sum(g)),
    ],
    "check_speedup": [
        ("turn it round", lambda r, s, n: 1 / my_speedup(r, s, n)),
        ("whose pipeline counts", lambda r, s, n: my_speedup(r, s, n) / my_speedup(
            r, s, "Keras predict")),
        ("at the size that is asked for", lambda r, s, n: my_speedup(r, r[0]["size"], n)),
        ("at the size that is asked for", lambda r, s, n: my_speedup(
            [{**row, "size": s} for row in r], s, n)),
        ("divide", lambda r, s, n: (1 - 1 / my_speedup(r, s, n)) * next(
            row["ms"] for row in r if (row["size"], row["runtime"]) == (s, "Keras"))),
    ],
}


@pytest.mark.parametrize(
    ("check", "hint", "mistake"),
    [(check, *row) for check, rows in MISTAKES.items() for row in rows])
def test_a_usual_mistake_gets_its_own_hint(told, check, hint, mistake):
    found = told(check, mistake)
    assert "Case: " in found and "; expected " in found
    assert hint in found.partition("Hint: ")[2], found


@pytest.mark.parametrize("check", CHECKS)
def test_three_mistakes_or_more_have_hints_of_their_own(check):
    assert len({hint for hint, _ in MISTAKES[check]}) >= 4


def test_a_mistake_is_told_to_the_letter(capsys):
    def my_dice(mask, prediction):
        return np.sum(mask & prediction) / (np.sum(mask) + np.sum(prediction))

    exercises.check_dice(my_dice)
    assert capsys.readouterr().out == (
        "my_dice: right in 2 of 6 cases. The first to mend:\n"
        "Case: a part of the lung is found. my_dice([[1, 1, 1, 0], [1, 0, 0, 0]], "
        "[[0, 1, 1, 1], [0, 0,\n0, 0]]) gave 0.285714; expected 0.571429.\n"
        "Hint: the factor 2 is missing. The overlap is in both areas, so it counts twice.\n")


# ---------------------------------------------------------- stubs, exceptions, other strange things


def raises(*args):
    raise NotImplementedError


def dots(*args):
    ...


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("stub", [raises, dots, lambda *args: ..., lambda *args: print(end="")])
def test_a_stub_is_told_apart_and_does_not_fail(told, check, stub):
    found = told(check, stub)
    assert found.startswith(f"{stub.__name__}: not written yet.") and "Hint" not in found


def stops(*args):
    return 1 / (len(args) - len(args))


@pytest.mark.parametrize("check", CHECKS)
def test_an_exception_is_quoted_with_its_line(told, check):
    found = told(check, stops)
    line = stops.__code__.co_firstlineno + 1
    assert f"ZeroDivisionError: division by zero, in line {line}: `return 1 / (len" in found


def test_an_exception_below_a_library_is_quoted_with_the_readers_line(told):
    def my_mean_mask(masks):
        return np.concatenate([masks, [1]])

    found = told("check_mean_mask", my_mean_mask)
    assert "ValueError" in found and "`return np.concatenate([masks, [1]])`" in found


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answer", [
    "text", b"", {}, {1, 2}, object(), [[1], [1, 2]], np.array(["a"]), np.nan, (), dots, 1j,
    range(3), Path("a"), np.array(None), [None], True])
def test_no_answer_makes_a_check_raise(told, check, answer):
    assert "Hint: " in told(check, lambda *args: answer)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("other", [None, 3, "my_dice", np.zeros(3)])
def test_what_is_no_function_is_told(told, check, other):
    assert "the function itself" in told(check, other)


def test_wrong_number_of_arguments_is_told(told):
    assert "TypeError" in told("check_dice", lambda mask: 1)


def test_one_way_without_return_is_told(told):
    def my_dice(mask, prediction):
        if mask.any():
            return metrics.dice(mask, prediction)

    assert "each way through the function must end with a `return`" in told("check_dice", my_dice)


def test_a_changed_argument_is_told(told):
    def my_dice(mask, prediction):
        mask &= prediction
        return metrics.dice(mask, prediction)

    assert "changed what it was given" in told("check_dice", my_dice)
    assert "work on a copy" in told("check_dice", my_dice)


def test_a_changed_array_in_a_list_is_told(told):
    def my_deviation(groups):
        groups[0] -= groups[0].mean()
        return my_deviation_of_copies(groups)

    def emptied(groups):
        result = my_deviation_of_copies(groups)
        groups.pop()
        return result

    my_deviation_of_copies = SOLUTIONS["check_deviation"][0]
    for changes in (my_deviation, emptied):
        assert "changed what it was given" in told("check_deviation", changes)


def test_an_answer_is_the_same_each_time(told):
    assert len({told("check_bootstrap", unpaired) for _ in range(2)}) == 1


# ----------------------------------------------------------------------------------- the notebooks


def test_the_notebooks_that_ask_hold_a_stub_and_a_solution_that_is_right(told):
    asked = {}
    for path in plan.select(plan.NOTEBOOKS, every=True):
        cells = nbformat.read(path, 4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for cell in cells:
            if (found := re.search(r"^exercises\.(check_\w+)\((\w+)\)$", cell.source, re.M)):
                asked[found[1]] = path.name[:2]
                stub, solution = {"np": np}, {"np": np}
                exec(cell.source[:found.start()], stub)
                assert "not written yet" in told(found[1], stub[found[2]])
                blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
                exec(next(b for b in blocks if f"def {found[2]}(" in b), solution)
                assert "right in all" in told(found[1], solution[found[2]])
    expected = {"check_pairs": "01", "check_mean_mask": "02", "check_parameters": "03",
                "check_update": "04", "check_dice": "05", "check_bootstrap": "06",
                "check_enough": "09", "check_deviation": "10", "check_combine": "11",
                "check_speedup": "12"}
    assert asked == expected
