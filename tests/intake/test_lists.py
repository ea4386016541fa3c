"""A CSV list says which image has which mask, group and part."""

import itertools
import os
from pathlib import Path

import pytest
from made_trees import noted, picture, place, save, truth

from unet_lib.intake import lists, prepare
from unet_lib.intake.tree import find_tree

HEADER = "image,mask,group,part\n"
NAMES = ("a", "b", "c", "ä ö", "x,y")
FILES = [f"{kind}/{name}.png" for kind in ("films", "seg") for name in NAMES]


@pytest.fixture
def write(tmp_path):
    place(tmp_path / "set", *FILES, "more/a.png", "outline.json")

    def write(text, encoding="utf-8", name="list.csv"):
        path = tmp_path / "set" / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def pairs(tree):
    return {i: [tree.name(p) for p in (tree.images[i], *tree.masks[i])] for i in tree.images}


def refused(path):
    with pytest.raises(ValueError) as caught:
        find_tree(path)
    assert "image,mask,group,part" in str(caught.value)
    return str(caught.value)


def test_a_list_says_it_all(write):
    rows = "films/a.png,seg/a.png,p1,train\nfilms/b.png,seg/b.png,p2,val\n"
    tree = find_tree(write(HEADER + rows + "\n , ,,\nfilms/c.png,,p3,test\n"))
    assert tree.layout == "list" and noted(tree) == {}
    assert pairs(tree) == {
        "a": ["films/a.png", "seg/a.png"],
        "b": ["films/b.png", "seg/b.png"],
    }
    assert tree.validation == {"b"} and tree.group == {"a": "p1", "b": "p2", "c": "p3"}
    assert {i: tree.name(p) for i, p in tree.test.items()} == {"c": "films/c.png"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_common_form_of_csv_is_read(encoding, delimiter, end, write):
    rows = [["Mask ", "IMAGE"], ['"seg/ä ö.png"', "films/ä ö.png"], ['"seg/x,y.png"'] * 2]
    text = end.join(delimiter.join(row) for row in rows) + end * 3
    tree = find_tree(write(text, encoding))
    assert pairs(tree) == {
        "ä ö": ["films/ä ö.png", "seg/ä ö.png"],
        "x,y": ["seg/x,y.png", "seg/x,y.png"],
    }


def test_excels_own_first_line_is_skipped(write):
    tree = find_tree(write("sep=;\r\nimage;mask\r\nfilms/a.png;seg/a.png\r\n"))
    assert list(tree.images) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="there a backslash parts folders anyway")
def test_backslashes_of_windows_part_folders(write):
    tree = find_tree(write("image,mask\nfilms\\a.png,seg\\a.png\n"))
    assert pairs(tree) == {"a": ["films/a.png", "seg/a.png"]}


def test_paths_may_be_absolute_or_lead_out_of_the_folder(write, tmp_path):
    place(tmp_path, "far/a.png", "far/b.png")
    text = f"image,mask\n../far/a.png,seg/a.png\n{tmp_path / 'far/b.png'},seg/b.png\n"
    assert pairs(find_tree(write(text))) == {
        "a": ["../far/a.png", "seg/a.png"],
        "b": ["../far/b.png", "seg/b.png"],
    }


def test_rows_of_one_image_join_their_masks(write):
    rows = "films/a.png,seg/a.png\nfilms/../films/a.png,seg/b.png\nfilms/a.png,seg/a.png\n"
    tree = find_tree(write("image,mask\n" + rows))
    assert pairs(tree) == {"a": ["films/a.png", "seg/a.png", "seg/b.png"]}
    assert noted(tree) == {"row twice in the list": ["row 4"]}


def test_equal_names_are_made_distinct_by_their_folders(write):
    tree = find_tree(write("image,mask\nfilms/a.png,seg/a.png\nmore/a.png,seg/b.png\n"))
    assert pairs(tree) == {
        "films_a": ["films/a.png", "seg/a.png"],
        "more_a": ["more/a.png", "seg/b.png"],
    }
    assert noted(tree) == {"one id in several folders": ["a: films_a, more_a"]}


def test_what_a_list_leaves_open_is_told(write):
    rows = "films/a.png,seg/a.png,7,\nfilms/b.png,,8,\nfilms/c.png,seg/c.png,,test\n"
    tree = find_tree(write("image,mask,age,part\n" + rows))
    assert list(tree.images) == ["a"] and list(tree.truth) == ["c"]
    assert noted(tree) == {
        "column ignored": ["age"],
        "image without mask": ["films/b.png"],
        "mask of a test image": ["seg/c.png"],
    }


def test_a_group_that_the_list_divides_is_told(write):
    rows = "films/a.png,seg/a.png,p1,train\nfilms/b.png,seg/b.png,p1,validation\n"
    tree = find_tree(write(HEADER + rows + "films/c.png,seg/c.png,p2,train\n"))
    assert noted(tree) == {"group on both sides": ["p1 (train, validation)"]}


def test_an_annotation_file_may_stand_for_a_mask(write):
    tree = find_tree(write("image,mask\nfilms/a.png,outline.json\nfilms/b.png,outline.json\n"))
    assert pairs(tree)["b"] == ["films/b.png", "outline.json"]


def test_all_wrong_rows_are_named_at_once(write):
    text = refused(
        write(
            HEADER + "films/q.png,seg/a.png,,\nfilms/a.png,seg/r.png,,\n"
            "films/b.png,seg/b.png,,hold\nfilms/x,y.png,seg/a.png,p,train\n,seg/a.png,,\nfilms,seg/a.png,,\n"
            "films/c.png,seg/c.png,1,\nfilms/c.png,seg/b.png,2,\nfilms/z.png,,,\n"
        )
    )
    assert "source set/list.csv cannot be used as a list" in text
    for told in (
        "row 2: films/q.png does not exist",
        "row 3: seg/r.png does not exist",
        "row 4: part 'hold' is none of train, validation, test",
        "row 5 has 5 cells, the header 4; put quotes around a name",
        "row 6: no image\n",
        "row 7: films is a folder",
        "rows 8 and 9 name one image but not one group and part",
        "row 10: films/z.png does not exist",
    ):
        assert told in text
    assert "more" not in text


def test_a_thousand_missing_files_do_not_fill_the_screen(write):
    text = refused(write("image\n" + "".join(f"{n}.png\n" for n in range(1000))))
    assert "row 9: 7.png does not exist\n    and 992 more" in text


@pytest.mark.parametrize(
    "text, told",
    [("", 'no column "image" in its header: an empty file'),
     ("file,mask\nfilms/a.png,seg/a.png\n", 'no column "image" in its header: file,mask'),
     (HEADER, "no row below the header"), ("image,mask,image\na,b,c\n", "names image twice"),
     ("image,mask,part\nfilms/a.png,seg/a.png,valid\n", "no row with a mask is left for training")],
)  # fmt: skip
def test_what_is_no_list_is_refused(text, told, write):
    assert told in refused(write(text))


@pytest.mark.parametrize("header", ["image,masks", "image,left_mask,right_mask", "image,label"])
def test_another_word_for_the_mask_is_named(header, write):
    row = ",".join(["films/a.png"] + ["seg/a.png"] * header.count(","))
    assert f'no column "mask" in its header: {header}\n' in refused(write(f"{header}\n{row}\n"))


@pytest.mark.parametrize("column, cell", [
    ("mask_right", "seg/b.png"), ("mask2", "seg\\b.png"), ("outline", "outline.json"),
    ("left", "films/../seg/b.png"), ("heart", "seg/b.png"), ("gt 1", "seg/b.png"),
])  # fmt: skip
def test_a_column_of_masks_under_another_name_is_refused(column, cell, write):
    """Else a lung would be lost."""
    rows = f"films/a.png,seg/a.png,\nfilms/b.png,seg/c.png,{cell}\n"
    text = refused(write(f"image,mask,{column}\n{rows}"))
    shown = cell.replace("\\", "/")
    assert f"column {column!r} names files, such as {shown}: put each mask on a row of its" in text


@pytest.mark.parametrize("column, cells", [
    ("image_path", ("films/a.png", "films/../films/b.png")), ("reader", ("A", "B")),
    ("notes", ("x" * 300, "films")), ("report", ("reports/a.txt", "")),
    ("dicom", ("raw/a.dcm", "raw/b.dcm")), ("original", ("raw/a.jpg", "")), ("age", ("0", "")),
    ("mask_path", ("seg\\a.png", "seg/b.png")), ("masks", ("0", "")), ("label", ("1", "0")),
])  # fmt: skip
def test_a_column_that_names_no_further_masks_is_ignored(column, cells, write, tmp_path):
    place(tmp_path / "set", "reports/a.txt", "raw/a.dcm", "raw/b.dcm", "raw/a.jpg", "0")
    rows = "".join(f"films/{i}.png,seg/{i}.png,{c}\n" for i, c in zip("ab", cells, strict=True))
    tree = find_tree(write(f"image,mask,{column}\n{rows}"))
    assert len(tree.images) == 2 and noted(tree) == {"column ignored": [column]}


@pytest.mark.parametrize("header, cells, hint", [
    ("image,mask,split", ("train", "test"), "a column called part; rename it"),
    ("image,mask,usage", ("Training", "val"), "a column called part; rename it"),
    ("image,mask,fold", ("0", "1"), ""), ("image,mask,split", ("train", "holdout"), ""),
    ("image,mask,patient_id", ("7", "8"), "call the column group"),
    ("image,mask,Subject", ("7", "8"), "call the column group"),
    ("image,mask,study uid", ("1.2", "1.3"), "call the column group"),
    ("image,mask,patient age", ("7", "8"), ""), ("image,mask,usage", ("train", "clinic"), ""),
    ("image,mask,note", ("", ""), ""), ("image,mask,group,patient", ("g,7", "g,8"), ""),
    ("image,mask,part,split", (",train", ",test"), ""),
])  # fmt: skip
def test_a_column_that_is_meant_for_a_part_or_a_group_is_told(header, cells, hint, write):
    rows = "".join(f"films/{i}.png,seg/{i}.png,{c}\n" for i, c in zip("ab", cells, strict=True))
    (note,) = noted(find_tree(write(f"{header}\n{rows}")))["column ignored"]
    assert note.endswith(hint) and (": " in note) is bool(hint)


def test_masks_that_a_list_gives_twice_or_forgets_are_told(write):
    rows = "films/a.png,seg/a.png\nfilms/a.png,seg/b.png\nfilms/b.png,seg/b.png\n"
    more = "films/c.png,seg/c.png\nfilms/c.png,seg/x,y.png\n".replace("seg/x,y", '"seg/x,y')
    tree = find_tree(write("image,mask\n" + rows + more.replace("y.png", 'y.png"')))
    assert noted(tree) == {
        "one mask of several images": ["seg/b.png (a)", "seg/b.png (b)"],
        "fewer masks than most images have": ["b (1, not 2)"],
    }


def test_where_images_have_as_many_masks_as_they_like_none_has_fewer(write):
    """As of nuclei; two images have three masks, which is no rule."""
    numbers = [3, 3, 2, 5, 1]
    rows = [f"films/{n}.png,seg/{n}_{k}.png\n" for n, many in enumerate(numbers)
            for k in range(many)]  # fmt: skip
    path = write("image,mask\n" + "".join(rows))
    place(path.parent, *(cell for row in rows for cell in row.strip().split(",")))
    assert noted(find_tree(path)) == {}


def test_another_encoding_is_refused_with_its_row(write):
    text = refused(write(HEADER + "films/a.png,,,\nfilms/ä ö.png,,,\n", "cp1252"))
    assert 'row 3 is not UTF-8; save it again as "CSV UTF-8"' in text
    assert "is not UTF-8" in refused(write(HEADER, "utf-16"))


def test_a_list_without_masks_points_to_predict(write):
    text = refused(write("image\nfilms/a.png\n"))
    assert "nothing to learn from" in text and "`python -m unet_lib predict" in text


def test_a_list_in_a_folder_is_named_where_nothing_else_is_known(write, tmp_path):
    write("image,mask\n")
    (tmp_path / "set" / "other.csv").write_text("name,age\n")
    (tmp_path / "set/seg").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match='to use it: source: "set/list.csv"\n'):
        find_tree(tmp_path / "set")


def test_a_list_is_known_by_its_header(write):
    assert lists.is_list(write("image;mask\n")) and lists.is_list(write("image\n", name="a.tsv"))
    assert not lists.is_list(write("picture\n"))
    assert not lists.is_list(write("image\n", name="a.txt"))
    assert not lists.is_list(Path("missing.csv"))


def test_a_data_set_is_made_from_a_list(tmp_path, target):
    rows = [HEADER]
    for number in range(8):
        save(tmp_path / f"s/{number}/film.png", picture(f"{number}"))
        save(tmp_path / f"other/{number}.png", truth("") * 255)
        rows.append(f"{number}/film.png,../other/{number}.png,,\n")
    (tmp_path / "s/list.csv").write_text("".join(rows))
    manifest = prepare.restructure(tmp_path / "s/list.csv", target)
    assert sorted(manifest["items"]) == [f"{n}_film" for n in range(8)]
    assert prepare.restructure(tmp_path / "s/list.csv", target)["written"] is False


def test_names_that_begin_with_a_tilde(write):
    path = write("image,mask\n~a.png,films/a.png\n")
    (path.parent / "~a.png").write_bytes((path.parent / "films/b.png").read_bytes())
    assert pairs(find_tree(path)) == {"~a": ["~a.png", "films/a.png"]}
    assert "~no.such.user/x.png does not exist" in refused(write("image\n~no.such.user/x.png\n"))


def test_blanks_before_quotes(write):
    path = write('"image" , "mask"\n"films/x,y.png", "seg/x,y.png"\n')
    assert pairs(find_tree(path)) == {"x,y": ["films/x,y.png", "seg/x,y.png"]}


def test_bytes_of_zero(write):
    assert "bytes of zero, as in UTF-16" in refused(write("image\na\0.png\n"))
    assert "bytes of zero, as in UTF-16" in refused(write("image\na.png\n", "utf-16-le"))


CROSSED = "mask bears another image's name"


@pytest.mark.parametrize("images, masks, told", [
    ("abc", "bca", ["seg/a.png (c.png)", "seg/b.png (a.png)", "seg/c.png (b.png)"]),
    (["a", "b", "ä ö"], ["b", "c", "ä ö"], []),  # c is no image: such a numbering may be meant
    ("abc", "bc", ["seg/b.png (a.png)", "seg/c.png (b.png)"]),
    ("abc", "abc", []),
])  # fmt: skip
def test_masks_that_bear_the_names_of_other_images_are_told(images, masks, told, write):
    rows = [f"films/{i}.png,{m and f'seg/{m}.png'}\n"
            for i, m in zip(images, [*masks, *[""] * (len(images) - len(masks))], strict=True)]
    assert sorted(find_tree(write("image,mask\n" + "".join(rows))).notes[CROSSED]) == told


def test_masks_that_each_patient_numbers_from_one_bear_no_others_name(tmp_path, write):
    rows = ["a/1", "a/2", "b/3", "b/4", "c/5"], ["a/1", "a/2", "b/1", "b/2", "c/1"]
    named = [(f"films/{i}.png", f"seg/{m}.png") for i, m in zip(*rows, strict=True)]
    place(tmp_path / "set", *itertools.chain(*named))
    text = "".join(f"{i},{m}\n" for i, m in named)
    assert find_tree(write("image,mask\n" + text)).notes[CROSSED] == []


def test_left_and_right_masks_of_which_one_column_was_moved_are_told(tmp_path, write):
    place(tmp_path / "set", *(f"{side}/{m}.png" for side in ("left", "right") for m in "abc"))
    rows = [f"films/{i}.png,{side}/{m}.png\n" for i, m in zip("abc", "bca", strict=True)
            for side in ("left", "right")]
    assert len(find_tree(write("image,mask\n" + "".join(rows))).notes[CROSSED]) == 6


def test_one_mask_of_a_picture_and_its_copy_bears_no_others_name(write):
    text = "image,mask\nfilms/a.png,seg/a.png\nmore/a.png,seg/a.png\nfilms/b.png,seg/b.png\n"
    assert find_tree(write(text + "films/c.png,seg/b.png\n")).notes[CROSSED] == []
