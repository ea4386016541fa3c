"""Every file is listed once; links only lead where they may."""

import os

import pytest
from made_trees import place

from unet_lib.intake import walk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and these names need POSIX")


def names(listing, *, refused=False):
    entries = [e for e in listing.entries if e.refused == refused]
    return sorted("/".join((*e.folders, e.name)) for e in entries)


def notes(listing, root):
    return sorted(
        (fault, path.relative_to(root).as_posix(), text) for fault, path, text in listing.notes
    )


def test_files_come_sorted_whatever_their_names(tmp_path):
    files = ["b/[x]*?.png", "b/Ärzte é 1.png", "a.png", "b/ -x.png"]
    listing = walk.walk(place(tmp_path / "quelle [1]", *files))
    assert names(listing) == ["a.png", "b/ -x.png", "b/[x]*?.png", "b/Ärzte é 1.png"]
    assert not listing.notes


@pytest.mark.parametrize("junk", [".DS_Store", "._x.png", "Thumbs.db", "desktop.ini", "THUMBS.DB"])
def test_what_systems_leave_behind_is_noted(junk, tmp_path):
    listing = walk.walk(place(tmp_path, f"images/{junk}", "images/x.png"))
    assert names(listing) == ["images/x.png"]
    assert notes(listing, tmp_path) == [("stray file", f"images/{junk}", "")]


@pytest.mark.parametrize("junk", ["__MACOSX", ".git", ".ipynb_checkpoints"])
def test_folders_that_systems_leave_behind_are_noted_once_and_not_entered(junk, tmp_path):
    listing = walk.walk(place(tmp_path, f"{junk}/images/a.png", f"{junk}/b.png", "x.png"))
    assert names(listing) == ["x.png"]
    assert notes(listing, tmp_path) == [("stray file", junk, "")]


@pytest.mark.parametrize("odd", ["line\nbreak.png", "..\\..\\evil.png", "\udcff.png"])
def test_a_name_that_could_lead_elsewhere_is_refused(odd, tmp_path):
    listing = walk.walk(place(tmp_path, odd, "x.png"))
    assert names(listing) == ["x.png"] and names(listing, refused=True) == [odd]
    assert [fault for fault, _, _ in listing.notes] == [walk.ODD]


def test_what_is_no_regular_file_is_noted(tmp_path):
    os.mkfifo(place(tmp_path, "x.png") / "pipe.png")
    listing = walk.walk(tmp_path)
    assert names(listing) == ["x.png"]
    assert notes(listing, tmp_path) == [("stray file", "pipe.png", ": no regular file")]


# Links


@pytest.fixture
def linked(tmp_path):
    """A folder whose images are single links, and whose masks are a linked folder."""
    place(tmp_path / "store", "images/a.png", "masks/a.png", "masks/more/b.png")
    root = place(tmp_path / "snap", "x.png")
    (root / "images").mkdir()
    (root / "images/a.png").symlink_to(tmp_path / "store/images/a.png")
    (root / "masks").symlink_to(tmp_path / "store/masks")
    return root


def test_links_that_lead_outside_are_refused_each_once(linked):
    listing = walk.walk(linked)
    assert names(listing) == ["x.png"]
    assert names(listing, refused=True) == ["images/a.png", "masks/a.png", "masks/more/b.png"]
    assert notes(listing, linked) == [
        (walk.LINK, "images/a.png", ""),
        (walk.LINK, "masks", ": a linked folder"),
    ]


def test_links_are_followed_on_request(linked):
    listing = walk.walk(linked, follow_links=True)
    assert names(listing) == ["images/a.png", "masks/a.png", "masks/more/b.png", "x.png"]
    assert not listing.notes


def test_links_that_stay_inside_are_followed(linked, tmp_path):
    assert "snap/masks/a.png" in names(walk.walk(tmp_path))
    assert not walk.walk(tmp_path).notes


def test_a_source_that_is_a_link_itself_is_no_fault(tmp_path):
    place(tmp_path / "real", "images/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    listing = walk.walk(tmp_path / "link")
    assert names(listing) == ["images/a.png"] and not listing.notes


@pytest.mark.parametrize("follow", [False, True])
def test_links_in_a_circle_end(follow, tmp_path):
    root = place(tmp_path / "s", "a/x.png", "b/y.png")
    (root / "a/up").symlink_to(root)
    (root / "a/self").symlink_to(root / "a")
    (root / "a/b").symlink_to(root / "b")
    (root / "b/a").symlink_to(root / "a")
    (root / "loop.png").symlink_to(root / "loop.png")
    listing = walk.walk(root, follow_links=follow)
    assert names(listing) == ["a/b/y.png", "a/x.png", "b/a/x.png", "b/y.png"]
    told = notes(listing, root)
    assert ("stray file", "a/up", ": a link back to a folder that holds it") in told
    assert ("unreadable file", "loop.png", ": a link to nothing") in told


def test_many_links_between_many_folders_end_soon(tmp_path):
    folders = [place(tmp_path / "s", f"{n}/x.png") / str(n) for n in range(8)]
    for folder in folders:
        for other in folders:
            (folder / f"to {other.name}").symlink_to(other)
    assert len(walk.walk(tmp_path / "s", follow_links=True).entries) < 8**4 + 1


def test_a_refused_folder_is_not_searched_to_its_end(tmp_path):
    place(tmp_path / "store", "images/a.png", "one/two/three/b.png")
    (place(tmp_path / "s", "x.png") / "far").symlink_to(tmp_path / "store")
    assert names(walk.walk(tmp_path / "s"), refused=True) == ["far/images/a.png"]
