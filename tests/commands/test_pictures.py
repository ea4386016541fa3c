"""Which files `predict` takes, and what their masks are called."""

import os

import pytest

from unet_lib.commands import pictures


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def names(*given, made=lambda path: False):
    return {p.file: p.name for p in pictures.find(given, made=made)}


def test_a_folder_gives_all_below_it_by_their_path_from_it(tmp_path):
    touch(tmp_path / "in", "b.png", "a/c.dcm", "a/d/1.2.840.113", "a/IM0001")
    assert names(tmp_path / "in") == {
        "a/IM0001": "a/IM0001", "a/c.dcm": "a/c", "a/d/1.2.840.113": "a/d/1.2.840.113",
        "b.png": "b",
    }


def test_a_file_is_taken_by_its_own_name(tmp_path):
    touch(tmp_path, "far/x.PNG")
    assert names(tmp_path / "far/x.PNG") == {"x.PNG": "x"}


def test_the_ending_stays_where_stems_collide(tmp_path):
    touch(tmp_path, "x.png", "X.jpg", "y.png")
    assert names(tmp_path) == {"X.jpg": "X.jpg", "x.png": "x.png", "y.png": "y"}


def test_two_folders_with_one_name_each_keep_their_folder(tmp_path):
    touch(tmp_path, "a/x.png", "b/x.png", "b/y.png")
    assert names(tmp_path / "a", tmp_path / "b/x.png", tmp_path / "b") == {
        "a/x.png": "a/x", "b/x.png": "b/x", "y.png": "y",
    }


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    touch(tmp_path, "1/in/x.png", "2/in/x.png")
    with pytest.raises(ValueError, match="1/in/x.png' and '.*2/in/x.png' would get the same name"):
        names(tmp_path / "1/in", tmp_path / "2/in")
    touch(tmp_path, "3/a.png", "3/b.png", "3/A.jpg", "3/a.jpg")
    with pytest.raises(ValueError, match="3/A.jpg' and '.*3/a.jpg' .*rename one, or predict it in"):
        names(tmp_path / "3")


def test_what_is_reached_twice_is_taken_once(tmp_path):
    touch(tmp_path / "in", "a/x.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/a")
    (tmp_path / "in/a/round").symlink_to(tmp_path / "in")
    given = [tmp_path / "in", tmp_path / "in/a/x.png", tmp_path / "link"]
    assert names(*given) == {"a/x.png": "a/x"}


def test_links_to_files_elsewhere_are_followed(tmp_path):
    touch(tmp_path, "far/x.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/y.png").symlink_to(tmp_path / "far/x.png")
    assert names(tmp_path / "in") == {"y.png": "y"}


def test_what_systems_leave_behind_is_left_out(tmp_path):
    touch(tmp_path, ".DS_Store", "Thumbs.db", "__MACOSX/x.png", ".git/y.png", "z.png")
    assert names(tmp_path) == {"z.png": "z"}


def test_earlier_outputs_are_left_out_of_folders(tmp_path):
    touch(tmp_path, "x.png", "masks/x.png")
    assert names(tmp_path, made=lambda p: p.parent.name == "masks") == {"x.png": "x"}


@pytest.mark.parametrize("name", ["снимок é[1].png", "a,b.png", 'q"uote.png', "new\nline.png",
                                  "-leading.png", "*.png", "=1+1.png"])
def test_any_name_is_taken_as_it_is(tmp_path, name):
    touch(tmp_path, name, "other.png")
    assert names(tmp_path)[name] == name.removesuffix(".png")
    assert names(tmp_path / name) == {name: name.removesuffix(".png")}


@pytest.mark.skipif(os.name != "posix", reason="bytes that are no text: POSIX only")
def test_a_name_that_is_no_text(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(folder + b"/\xff.png", "wb") as file:
        file.write(b"x")
    assert names(tmp_path) == {"\\udcff.png": "\udcff"}


def test_what_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="'gone.png' is not there; expected a picture, or a "
                                                f"folder of pictures .looked for {tmp_path}"):
        names("gone.png")
