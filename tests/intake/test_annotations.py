"""LabelMe and COCO files become planes by label name; what cannot is refused or counted."""

import json
import os
import re

import numpy as np
import pytest
from test_outlines import encode, pack, png

from unet_lib.intake import annotations

SHAPE = (20, 24)
BOX = [[3, 5], [9, 5], [9, 15], [3, 15]]


def box(top, bottom, left, right):
    plane = np.zeros(SHAPE, bool)
    plane[top:bottom, left:right] = True
    return plane


def shape(points, kind="polygon", label="lung", **more):
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, **more}


@pytest.fixture
def labelme(tmp_path):
    """Write a LabelMe file of these shapes and return its path."""

    def write(*shapes, **more):
        data = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "P_1.png",
                "imageData": None, "imageHeight": 20, "imageWidth": 24, **more}  # fmt: skip
        path = tmp_path / "P_1.json"
        path.write_text(json.dumps(data), "utf-8")
        return path

    return write


LUNG = {"id": 1, "image_id": 3, "category_id": 7, "segmentation": [[3, 5, 9, 5, 9, 15, 3, 15]]}


def item(segmentation, number=1, **more):
    return {**LUNG, "id": number, "segmentation": segmentation, "iscrowd": 0, **more}


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file of these annotations and return its path."""

    def write(*items, **more):
        data = {
            "images": [{"id": 3, "file_name": "P_1.png", "height": 20, "width": 24}],
            "annotations": list(items),
            "categories": [{"id": 7, "name": "lung"}, {"id": 900000, "name": "heart"}],
            **more,
        }
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(data), "utf-8")
        return path

    return write


def read(path, image="P_1.png", shape=SHAPE):
    return annotations.read(path, image, shape=shape)


def refused(path, text, **options):
    with pytest.raises(ValueError, match=f"{re.escape(path.name)}: .*{text}"):
        read(path, **options)


# LabelMe


@pytest.mark.parametrize(
    "points, kind",
    [(BOX, "polygon"), (BOX, None), ([[3, 5], [9, 15]], "rectangle"), (BOX, "rectangle"),
     ([[9, 15], [3, 5]], "rectangle"), ([[9, 5], [3, 15]], "rectangle"),
     ([[3, 15], [9, 5]], "rectangle"), (BOX, "oriented_rectangle"), (BOX, "rotation")],
)  # fmt: skip
def test_labelme_polygon_and_rectangle(labelme, points, kind):
    planes = read(labelme(shape(points, kind)))
    np.testing.assert_array_equal(planes.masks["lung"], box(5, 15, 3, 9))
    assert planes.notes == {} and planes.masks["lung"].dtype == bool


def test_labelme_circle_and_mask(labelme):
    patch = np.eye(5, 4, dtype=np.uint8)
    planes = read(labelme(
        shape([[10, 10], [13, 14]], "circle", "heart"),
        shape([[2, 3], [5, 7]], "mask", "clavicle", mask=png(patch)),
    ))  # fmt: skip
    y, x = np.mgrid[:20, :24] + 0.5
    np.testing.assert_array_equal(planes.masks["heart"], (x - 10) ** 2 + (y - 10) ** 2 <= 25)
    wanted = np.zeros(SHAPE, bool)
    wanted[3:8, 2:6] = patch
    np.testing.assert_array_equal(planes.masks["clavicle"], wanted)
    assert planes.notes == {}


def test_labelme_a_mask_that_shows_nothing_is_an_empty_plane(labelme):
    nothing = np.zeros((5, 4), np.uint8)
    planes = read(labelme(shape([[2, 3], [5, 7]], "mask", mask=png(nothing))))
    assert not planes.masks["lung"].any() and planes.notes == {}


def test_labelme_labels_stay_apart_and_shapes_of_one_label_are_joined(labelme):
    planes = read(labelme(
        shape([[1, 1], [5, 5]], "rectangle"), shape([[3, 3], [8, 8]], "rectangle", " lung "),
        shape([[4, 4], [12, 12]], "rectangle", "right lung"),
    ))  # fmt: skip
    assert list(planes.masks) == ["lung", "right lung"]
    np.testing.assert_array_equal(planes.masks["lung"], box(1, 5, 1, 5) | box(3, 8, 3, 8))
    np.testing.assert_array_equal(planes.masks["right lung"], box(4, 12, 4, 12))
    assert planes.notes == {}


def test_labelme_what_covers_nothing_is_reported_by_index(labelme):
    planes = read(labelme(
        shape(BOX), shape([[1, 1], [9, 9]], "line", "rib"),
        shape([[1, 1], [5, 5], [9, 3]], "linestrip", "rib"),
        shape([[2, 2]], "point", "tip"), shape([[2, 2], [3, 3]], "points", "tip"),
        shape([[2, 2], [3, 3]]), shape([[2, 2], [5, 5], [8, 8]]),
        shape([[30, 2], [35, 2], [35, 9]]), shape([[1, 1]], "circle"),
        shape([[1, 1]], "rectangle"), shape(BOX, "spline"), shape([]),
    ))  # fmt: skip
    assert list(planes.masks) == ["lung"]
    np.testing.assert_array_equal(planes.masks["lung"], box(5, 15, 3, 9))
    assert planes.notes == {
        "annotation ignored": ': shape 1 "rib" is a line; '
        'shape 2 "rib" is a linestrip; shape 3 "tip" is a point; shape 4 "tip" is a points; '
        'shape 5 "lung" is a polygon of 2 point(s); '
        'shape 6 "lung" covers no pixel of the picture; '
        'shape 7 "lung" covers no pixel of the picture; '
        'shape 8 "lung" is a circle of 1 point(s); shape 9 "lung" is a rectangle of 1 point(s); '
        'shape 10 "lung" is a spline; shape 11 "lung" is a polygon of 0 point(s)'
    }


def test_labelme_without_a_plane_has_no_annotation(labelme):
    planes = read(labelme())
    assert planes.masks == {} and planes.notes == {"no annotation": ": none is listed"}
    assert read(labelme(imageHeight=None)).notes["no annotation"] == ": none is listed"
    planes = read(labelme(shape([[2, 2]], "point")))
    assert planes.masks == {} and planes.notes["no annotation"] == ": all was ignored"
    assert "shape 0" in planes.notes["annotation ignored"]


def test_labelme_reaching_out_is_clipped_and_noted(labelme):
    corner = shape([[20, 8], [24.5, 20.9]], "rectangle")
    assert read(labelme(corner, shape([[-0.9, -0.9], [3, 3]], "rectangle"))).notes == {}
    planes = read(labelme(shape([[-5, -5], [4, 6]], "rectangle"), corner))
    np.testing.assert_array_equal(planes.masks["lung"], box(0, 6, 0, 4) | box(8, 20, 20, 24))
    assert planes.notes == {"annotation clipped": ': shape 0 "lung" reaches out of the picture'}
    planes = read(labelme(shape([[0, 0], [10, 0]], "circle")))
    assert "annotation clipped" in planes.notes and planes.masks["lung"][0, 0]


@pytest.mark.parametrize("order", [1, -1])
def test_a_ring_inside_a_ring_is_filled_and_noted(labelme, order):
    rings = [shape([[1, 1], [20, 18]], "rectangle"), shape([[10, 9], [12, 10]], "circle")][::order]
    planes = read(labelme(*rings))
    np.testing.assert_array_equal(planes.masks["lung"], box(1, 18, 1, 20))
    inner, outer = (1, 0) if order == 1 else (0, 1)
    assert planes.notes == {"ring inside a ring": f': shape {inner} "lung" in shape {outer} "lung"'}


@pytest.mark.parametrize(
    "second",
    [shape([[1, 1], [20, 18]], "rectangle"), shape([[15, 1], [22, 9]], "rectangle"),
     shape([[5, 5], [8, 8]], "rectangle", "heart"), shape([[21, 1], [23, 9]], "rectangle")],
    ids="same overlapping other-label beside".split(),
)  # fmt: skip
def test_other_neighbours_are_no_ring_inside_a_ring(labelme, second):
    assert read(labelme(shape([[1, 1], [20, 18]], "rectangle"), second)).notes == {}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "corner", [(1, 1), (1, 17), (21, 1), (21, 17), (12, 2), (1, 8), (17, 5), (0, 0), (12, 0)]
)
def test_a_small_ring_beside_another_is_not_in_it(labelme, corner, order):
    x, y = corner
    small = shape([[x, y], [x + 2, y + 2]], "rectangle")
    large = shape([[4, 4], [20, 16]], "rectangle")
    if corner == (17, 5):  # in the box of a triangle, but not in the triangle
        large = shape([[4, 4], [20, 16], [4, 16]])
    assert read(labelme(*[large, small][::order])).notes == {}


def test_labelme_another_size_is_refused_with_both(labelme):
    both = r"picture of 40 x 48 px \(height x width\), but the picture has 20 x 24 px; annotate"
    refused(labelme(shape(BOX), imageHeight=40, imageWidth=48), both)
    refused(labelme(shape(BOX), imageHeight="21", imageWidth="24"), "21 x 24 px .height x width")
    for odd in ("tall", "", "20.5", "-20", [20], "²"):
        refused(labelme(shape(BOX), imageHeight=odd), "height and width .* must be numbers, got")
    flag = "24 x 20 px .* 20 x 24 px; exactly transposed: an orientation flag is the likely cause"
    refused(labelme(shape(BOX), imageHeight=24, imageWidth=20), flag)


def test_labelme_without_a_size_or_of_another_picture_is_noted(labelme):
    planes = read(labelme(shape(BOX), imageWidth=None))
    assert planes.notes == {"annotation without picture size": ": taken to be this picture's"}
    planes = read(labelme(shape(BOX), imagePath="..\\pictures\\P_2.png"))
    assert planes.notes == {"annotation names another picture": ": \"imagePath\" is 'P_2.png'"}
    assert read(labelme(shape(BOX), imagePath="..\\pictures\\P_1.jpg")).notes == {}


@pytest.mark.parametrize(
    "wrong, text",
    [
        (shape([[3, 5], [9, "5"], [9, 15]]), "shape 1 \"lung\" needs finite numbers .* got '5'"),
        (shape([[3, 5], [9, float("nan")], [9, 15]]), 'shape 1 "lung" needs finite .* got nan'),
        (shape([[3, 5], [9, float("inf")], [9, 15]]), 'shape 1 "lung" needs finite .* got inf'),
        (shape([[3, 5], [9, 5, 1], [9, 15]]), r'shape 1 "lung" needs points \[x, y\], got'),
        (shape([3, 5, 9, 5, 9, 15]), r'shape 1 "lung" needs points \[x, y\], got'),
        (shape(None), r'shape 1 "lung" needs points \[x, y\], got None'),
        (shape(BOX, label=5), "the label of shape 1 must be a word, got 5"),
        (shape(BOX, label=" "), "the label of shape 1 must be a word, got ' '"),
        (shape(BOX, kind=3), 'the type of shape 1 "lung" must be a word, got 3'),
        (shape(BOX, "mask"), 'shape 1 "lung" cannot be read as a mask: its box needs two'),
        (shape([[1, 1], [5, 5]], "mask"), 'shape 1 "lung" cannot be read as a mask'),
        ([], '"shapes" must be a list of objects'),
    ],
)
def test_labelme_what_cannot_be_drawn_is_refused(labelme, wrong, text):
    refused(labelme(shape(BOX), wrong), text)


def test_labelme_without_a_list_of_shapes_is_refused(labelme):
    refused(labelme(shapes={"label": "lung"}), '"shapes" must be a list of objects, got {\'label')


def test_a_label_that_cannot_be_printed_is_shown_with_question_marks(labelme):
    assert list(read(labelme(shape(BOX, label="l\ud800u\nng"))).masks) == ["l?u?ng"]


# COCO


def test_coco_goes_by_name_whatever_the_ids(coco):
    right = item([[1, 1, 5, 1, 5, 5, 1, 5]], 2, category_id=900000)
    planes = read(coco(LUNG, right))
    np.testing.assert_array_equal(planes.masks["lung"], box(5, 15, 3, 9))
    np.testing.assert_array_equal(planes.masks["heart"], box(1, 5, 1, 5))
    assert planes.notes == {}
    two = [{"id": 0, "name": "lung"}, {"id": 12, "name": "lung"}]
    sides = [item(LUNG["segmentation"], 1, category_id=0), {**right, "category_id": 12}]
    planes = read(coco(*sides, categories=two))
    assert list(planes.masks) == ["lung"]
    np.testing.assert_array_equal(planes.masks["lung"], box(5, 15, 3, 9) | box(1, 5, 1, 5))


def test_coco_parts_are_joined_and_each_filled_alone(coco):
    planes = read(coco(item([[1, 1, 6, 1, 6, 6, 1, 6], [4, 4, 9, 4, 9, 9, 4, 9]])))
    np.testing.assert_array_equal(planes.masks["lung"], box(1, 6, 1, 6) | box(4, 9, 4, 9))
    assert planes.notes == {}
    flat = read(coco(item([3, 5, 9, 5, 9, 15, 3, 15])))
    np.testing.assert_array_equal(flat.masks["lung"], box(5, 15, 3, 9))


def test_coco_a_hole_needs_run_lengths(coco):
    ring = box(2, 18, 2, 20) & ~box(8, 12, 8, 12)
    for counts in (encode(ring), pack(encode(ring))):
        planes = read(coco(item({"size": [20, 24], "counts": counts})))
        np.testing.assert_array_equal(planes.masks["lung"], ring)
        assert planes.notes == {}
    parts = [[2, 2, 20, 2, 20, 18, 2, 18], [8, 8, 12, 8, 12, 12, 8, 12]]
    planes = read(coco(item(parts)))
    np.testing.assert_array_equal(planes.masks["lung"], box(2, 18, 2, 20))
    inside = ': annotation 1 "lung" part 1 in annotation 1 "lung" part 0'
    assert planes.notes == {"ring inside a ring": inside}


def test_coco_run_lengths_are_never_no_annotation(coco):
    planes = read(coco(item({"size": [20, 24], "counts": [480]})))
    assert not planes.masks["lung"].any() and planes.notes == {}
    refused(coco(item({})), 'annotation 1 "lung" has run lengths for a picture of None')
    refused(coco(item({"size": [20, 24]})), 'annotation 1 "lung" needs run lengths .* got None')
    refused(coco(item({"size": [24, 20], "counts": [480]})), r"of \[24, 20\] .* has \[20, 24\]")
    refused(coco(item({"size": [20, 24], "counts": [479]})), "480 pixels, got a sum of 479")


def test_coco_a_crowd_is_stated_and_left_out(coco):
    crowd = item({"size": [20, 24], "counts": [0, 480]}, 5, iscrowd=1)
    planes = read(coco(LUNG, crowd))
    np.testing.assert_array_equal(planes.masks["lung"], box(5, 15, 3, 9))
    assert planes.notes == {"crowd annotation ignored": ': annotation 5 "lung"'}
    planes = read(coco(crowd))
    assert planes.masks == {} and planes.notes["no annotation"] == ": all was ignored"


def test_coco_no_annotation_is_not_no_lung(coco):
    planes = read(coco())
    assert planes.masks == {} and planes.notes == {"no annotation": ": none is listed"}


def test_coco_what_covers_nothing_is_reported_by_id(coco):
    few = [[], None, [[1, 1, 5, 5]], [[]], [[30, 1, 35, 1, 35, 9]]]
    items = [item(segmentation, number) for number, segmentation in enumerate(few)]
    planes = read(coco(LUNG | {"id": 50}, *items))
    assert planes.notes == {
        "annotation ignored": ': annotation 0 "lung" has no outline; '
        'annotation 1 "lung" has no outline; annotation 2 "lung" is a polygon of 2 point(s); '
        'annotation 3 "lung" is a polygon of 0 point(s); '
        'annotation 4 "lung" covers no pixel of the picture'
    }


@pytest.mark.parametrize(
    "segmentation, text",
    [
        ([[1, 1, 5, 1, 5]], "needs pairs x, y, got 5 numbers"),
        ([[1, 1, 5, 1, 5, "5"]], "needs finite numbers .* got '5'"),
        ([[1, 1, 5, 1, 5, float("nan")]], "needs finite numbers .* got nan"),
        ("61X13m", "needs a list of points, got '61X13m'"), (5, "needs a list of points, got 5"),
        ([[1, 1, 5, 1, 5, 5], "x"], "part 1 needs a list of points, got 'x'"),
        ([["1", 1, 5, 1, 5, 5]], "needs finite numbers .* got '1'"),
    ],
)  # fmt: skip
def test_coco_what_cannot_be_drawn_is_refused(coco, segmentation, text):
    refused(coco(item(segmentation)), f'annotation 1 "lung" .*{text}')


@pytest.mark.parametrize(
    "change, text",
    [
        ({"categories": None}, '"categories" must be a list of objects, got None'),
        ({"categories": []}, r'annotation 1 has category 7, which "categories" .* \(it has none'),
        ({"categories": [{"id": 8, "name": "lung"}]}, r"category 7, .* \(it has {8: 'lung'}\)"),
        ({"categories": [{"id": 7}]}, "the name of category 7 must be a word, got None"),
        ({"categories": [{"id": 7, "name": "a"}] * 2}, '"categories" has the id 7 twice'),
        ({"categories": [{"name": "lung"}]}, '"categories" has the id None in place of a number'),
        ({"images": "P_1.png"}, '"images" must be a list of objects, got \'P_1.png\''),
        ({"images": [{"id": 3}]}, 'image 3 needs a "file_name"'),
        ({"images": [{"id": 3, "file_name": "P_1.png"}] * 2}, '"images" has the id 3 twice'),
        ({"images": [{"id": [3], "file_name": "P_1.png"}]}, r'"images" has the id \[3\] in place'),
        ({"images": [{"id": 4, "file_name": "P_1.png"}]}, "annotation 1 belongs to image 3"),
        ({"images": [{"id": "3", "file_name": "P_1.png"}]}, "annotation 1 belongs to image 3"),
        ({"images": [{"id": n, "file_name": "P_1.png"} for n in (3, 4)]},
         "\"images\" lists 'P_1.png' 2 times, with the ids 3, 4"),
        ({"images": [{"id": 3, "file_name": "Q.png"}]},
         "\"images\" does not list 'P_1.png'; its 1 begin with 'Q.png'; correct"),
        ({"annotations": None}, '"annotations" must be a list of objects, got None'),
        ({"images": [{"id": 3, "file_name": "P_1.png", "height": 24, "width": 20}]},
         "24 x 20 px .* 20 x 24 px; exactly transposed"),
    ],
)  # fmt: skip
def test_coco_what_does_not_fit_together_is_refused(coco, change, text):
    refused(coco(LUNG, **change), text)


def test_coco_without_categories_is_refused(coco):
    path = coco(LUNG)
    data = json.loads(path.read_text())
    del data["categories"]
    path.write_text(json.dumps(data))
    refused(path, '"categories" must be a list of objects, got no such key; export')


def test_coco_without_a_size_is_noted(coco):
    planes = read(coco(LUNG, images=[{"id": 3, "file_name": "P_1.png"}]))
    assert list(planes.notes) == ["annotation without picture size"]


def test_coco_names_with_folders(coco):
    names = ["a/P_1.png", "b\\P_1.png", "c/P_2.png", "P_3.png", "d/P_3.png", "cafe\u0301.png"]
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    items = [item([[0, 0, n + 1, 0, n + 1, 1, 0, 1]], n, image_id=n) for n in range(6)]
    path = coco(*items, images=images)
    assert annotations.images_of(path) == names
    areas = {"P_2.png": 3, "c/P_2.png": 3, "x/P_2.png": 3, "a/P_1.png": 1, "b/P_1.png": 2,
             "P_3.png": 4, "d/P_3.png": 5, "caf\u00e9.png": 6}  # fmt: skip
    for image, area in areas.items():
        assert read(path, image).masks["lung"].sum() == area
    refused(path, "lists 'P_1.png' 2 times, with the ids 0, 1", image="P_1.png")
    refused(path, "does not list 'P_9.png'; its 6 begin with 'a/P_1.png', ", image="P_9.png")


# Any file


def test_kind_goes_by_content(labelme, coco, tmp_path):
    assert annotations.kind(labelme(shape(BOX))) == "labelme"
    assert annotations.kind(coco(LUNG)) == "coco"
    assert annotations.kind(coco(LUNG, categories=None)) == "coco"
    other = tmp_path / "other.json"
    texts = ["", "[]", "[1]", "5", "null", "{}", '{"shapes": []}', '{"images": []}',
             '{"findings": []}', "no JSON", "{ not: JSON", '[{"id": 1}]', "\0\0{"]  # fmt: skip
    for text in texts:
        other.write_text(text)
        assert annotations.kind(other) == ""
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(OSError):
            annotations.kind(path)


def test_a_damaged_annotation_file_is_not_overlooked(labelme, coco):
    for make, name in ((labelme, "labelme"), (coco, "coco")):
        path = make(shape(BOX) if name == "labelme" else LUNG, info={"images": []})
        text = path.read_text()
        path.write_text(text[:-9])
        assert annotations.kind(path) == name
        refused(path, r"damaged JSON \(.*\); export the annotations again")
        path.write_bytes(text.replace("lung", "легкое").encode("cp1251"))
        assert annotations.kind(path) == name
        refused(path, r"not UTF-8 text \(.*\); save it again as UTF-8")
        path.write_bytes(text.encode("utf-16"))
        assert annotations.kind(path) == name
        refused(path, r"not UTF-8 text \(.*\); save it again as UTF-8")


def test_text_with_a_mark_of_order_and_any_letters_is_read(labelme):
    path = labelme(shape(BOX, label="легкое"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert annotations.kind(path) == "labelme" and list(read(path).masks) == ["легкое"]


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "other.json"
    reasons = {"": "empty file of 0 bytes; export", "{}": "neither LabelMe .* nor COCO",
               "[]": "neither LabelMe", "{": "damaged JSON", "[" * 10**6: "damaged"}  # fmt: skip
    for text, reason in reasons.items():
        path.write_text(text)
        refused(path, reason)
        with pytest.raises(ValueError, match=f"other.json: .*{reason}"):
            annotations.images_of(path)


def test_images_of_labelme(labelme):
    assert annotations.images_of(labelme(imagePath="..\\x\\P_1.png")) == ["P_1.png"]
    assert annotations.images_of(labelme(imagePath=None)) == []


def test_a_file_is_parsed_once_until_it_changes(coco, monkeypatch):
    calls, loads = [], json.loads
    monkeypatch.setattr(annotations.json, "loads", lambda text: calls.append(1) or loads(text))
    path = coco(LUNG)
    annotations.kind(path), annotations.images_of(path), read(path), read(path)
    assert len(calls) == 1
    coco(item([[0, 0, 2, 0, 2, 2, 0, 2]]))
    os.utime(path, ns=(1, 1))
    assert read(path).masks["lung"].sum() == 4 and len(calls) == 2


def test_planes_of_two_reads_are_not_shared(coco):
    path = coco(LUNG)
    read(path).masks["lung"][:] = True
    assert read(path).masks["lung"].sum() == 60
