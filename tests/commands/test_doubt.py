"""Which masks are to be looked at: the figures by hand, and what the shipped model makes of
chests and of all that is none."""

import dataclasses

import cv2
import foreign
import numpy as np
import pytest

from unet_lib import phantom
from unet_lib.commands import doubt, models, usual

NOTHING = doubt.Limits(doubt=None)


def boxes(*places, side=128):
    """A mask (side, side) bool with boxes (top, bottom, left, right)."""
    mask = np.zeros((side, side), bool)
    for top, bottom, left, right in places:
        mask[top:bottom, left:right] = True
    return mask


LUNGS = boxes((20, 100, 16, 50), (20, 100, 78, 112))
GREY = np.full((128, 128), 90, np.uint8)


def judge(mask, probability=None, *, image=GREY, limits=NOTHING):
    if probability is None:
        probability = mask.astype(np.float32)
    return doubt.judge(image, probability, mask, limits=limits)


def test_the_figures_of_a_mask_by_hand():
    chance = np.where(LUNGS, .9, .1).astype(np.float32)
    found = judge(LUNGS, chance)
    inside, outside = 2 * 80 * 34, 128 ** 2 - 2 * 80 * 34
    assert (found.parts, found.area_share) == (2, inside / 128 ** 2)
    assert found.confidence_inside == pytest.approx(.9)
    assert found.confidence_rim == pytest.approx(.8)
    expected = 2 * .9 * inside / (inside + .9 * inside + .1 * outside)
    assert found.doubt == pytest.approx(1 - expected)


def test_doubt_is_one_less_the_dice_that_draws_from_the_probabilities_have():
    rng = np.random.default_rng(0)
    chance = cv2.GaussianBlur(LUNGS.astype(np.float32), (0, 0), 6)
    truths = rng.random((50, 128, 128)) < chance
    dice = [2 * (LUNGS & t).sum() / (LUNGS.sum() + t.sum()) for t in truths]
    assert judge(LUNGS, chance).doubt == pytest.approx(1 - np.mean(dice), abs=.003)


def test_the_rim_lies_within_two_px_of_the_outline():
    rim = cv2.dilate(LUNGS.astype(np.uint8), np.ones((5, 5))) > 0
    rim &= cv2.erode(LUNGS.astype(np.uint8), np.ones((5, 5))) == 0
    chance = np.where(rim, .5, LUNGS).astype(np.float32)
    assert judge(LUNGS, chance).confidence_rim == 0
    assert judge(LUNGS, np.where(rim, LUNGS, .5).astype(np.float32)).confidence_rim == 1


def test_figures_hardly_depend_on_the_size():
    chance = cv2.GaussianBlur(LUNGS.astype(np.float32), (0, 0), 3)
    found = judge(chance >= .5, chance)
    for size in ((512, 512), (301, 402)):
        larger = cv2.resize(chance, size)
        other = judge(larger >= .5, larger, image=cv2.resize(GREY, size))
        for name in ("area_share", "confidence_inside", "confidence_rim", "doubt"):
            assert getattr(other, name) == pytest.approx(getattr(found, name), abs=.02), name


def test_an_empty_and_a_full_mask_can_be_judged():
    empty, full = judge(LUNGS & False), judge(LUNGS | True)
    assert empty == doubt.Judgement(0, 0, 0, 0, 1, None, ("nothing found",))
    assert full.reasons == () and (full.parts, full.area_share, full.doubt) == (1, 1, 0)


@pytest.mark.parametrize("limits, reason", [
    ({"parts": 1}, "2 connected parts instead of 1"),
    ({"parts": 3}, "2 connected parts instead of 3"),
    ({"area": (.4, .5)}, "takes 33% of the picture, usual are 40% to 50%"),
    ({"area": (.1, .3)}, "takes 33% of the picture, usual are 10% to 30%"),
    ({"doubt": .1}, "doubt 0.176 is above 0.1"),
])
def test_each_limit_has_its_reason(limits, reason):
    chance = np.where(LUNGS, .7, 0).astype(np.float32)
    limits = doubt.Limits(**{"doubt": None} | limits)
    assert judge(LUNGS, chance, limits=limits).reasons == (reason,)


def test_what_is_not_known_is_no_reason():
    assert judge(LUNGS, np.full((128, 128), .5, np.float32)).reasons == ()
    assert judge(LUNGS).ratio is None


def test_one_part_is_said_in_the_singular():
    limits = doubt.Limits(parts=2)
    assert judge(boxes((9, 90, 9, 90)), limits=limits).reasons == (
        "1 connected part instead of 2",)


def test_another_shape_and_an_inverted_look_are_told():
    ramp = np.tile(np.linspace(0, 255, 128), (128, 1)).astype(np.uint8)
    picture = usual.shrink(ramp)
    limits = doubt.Limits(shape=usual.shape_of(LUNGS), likeness=.6, picture=picture)
    disc = cv2.circle(np.zeros((128, 128), np.uint8), (64, 64), 40, 1, -1) > 0
    assert judge(LUNGS, image=ramp, limits=limits).reasons == ()
    said = "does not look like what the model was trained on"
    assert judge(disc, image=ramp, limits=limits).reasons == (said,)
    chests = dataclasses.replace(limits, chests=True)
    assert judge(disc, image=ramp, limits=chests).reasons == (
        "does not look like a frontal chest",)
    assert judge(LUNGS, image=255 - ramp, limits=limits).reasons == (
        "looks inverted: try --invert auto",)
    assert doubt.looks_inverted(255 - ramp, limits) and not doubt.looks_inverted(ramp, limits)
    assert not doubt.looks_inverted(255 - ramp, NOTHING)


@pytest.mark.parametrize("size", [(128, 128), (512, 640), (100, 90)])
def test_the_ratio_of_two_boxes(size):
    mask = cv2.resize(LUNGS.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    assert doubt.ratio(mask) == pytest.approx(28 / 96, abs=.02)
    assert judge(LUNGS, limits=doubt.Limits(chests=True)).ratio == doubt.ratio(LUNGS)


def test_the_ratio_leaves_out_the_lowest_and_the_highest_fifth():
    notched = LUNGS.copy()
    notched[20:34, 30:98] = notched[86:100, 30:98] = False
    assert doubt.ratio(notched) == doubt.ratio(LUNGS)
    notched[40:44, 40:98] = False
    assert doubt.ratio(notched) > doubt.ratio(LUNGS) + .05


def test_without_two_parts_side_by_side_there_is_no_ratio():
    assert doubt.ratio(boxes((9, 90, 9, 90))) is None
    assert doubt.ratio(boxes((10, 50, 20, 90), (60, 100, 20, 90))) is None
    assert doubt.ratio(LUNGS & False) is None


@pytest.fixture(scope="module")
def judge_pictures():
    """What `predict` says of pictures with the shipped model: their judgements."""
    shipped = models.load(None, kept_too=False)

    def run(images):
        chances = [models.predict(shipped, image) for image in images]
        masks = [models.threshold(shipped, chance, .5) for chance in chances]
        return [doubt.judge(*each, limits=shipped.limits)
                for each in zip(images, chances, masks, strict=True)]

    return run


@pytest.fixture(scope="module")
def chests():
    return [phantom.draw([91, k], size=foreign.SIZE)[0] for k in range(6)]


def test_hardly_a_chest_is_marked(judge_pictures, chests):
    wide = [phantom.draw([91, k], size=128, variety="wide")[0] for k in range(14)]
    assert sum(bool(found.reasons) for found in judge_pictures([*chests, *wide])) <= 1


@pytest.mark.parametrize("kind", foreign.DRAWN)
def test_what_is_no_chest_is_marked(judge_pictures, kind):
    drawn = [foreign.DRAWN[kind](np.random.default_rng([k, 5])) for k in range(3)]
    assert all(found.reasons for found in judge_pictures(drawn))


@pytest.mark.parametrize("kind", foreign.CHANGED)
def test_a_changed_chest_is_marked(judge_pictures, chests, kind):
    found = judge_pictures([foreign.CHANGED[kind](image) for image in chests])
    assert all(verdict.reasons for verdict in found)
    inverted = [any("--invert auto" in reason for reason in v.reasons) for v in found]
    assert all(inverted) if kind == "inverted" else not any(inverted)


def test_the_ratio_is_that_of_the_drawn_lungs(judge_pictures):
    """Mean error 0.007 on 300 phantoms (tools/measure_doubt.py)."""
    drawn = [phantom.draw([92, k], size=foreign.SIZE) for k in range(6)]
    found = judge_pictures([image for image, _, _ in drawn])
    wanted = [doubt.ratio(mask > 0) for _, mask, _ in drawn]
    assert np.mean([abs(f.ratio - w) for f, w in zip(found, wanted, strict=True)]) < .02
