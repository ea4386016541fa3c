"""What `predict` prints at its end: how many, and the few that matter first."""

from unet_lib.commands import summary


def test_of_many_skipped_files_those_with_an_older_mask_come_first(tmp_path, capsys):
    skipped = dict.fromkeys("abcd", "") | {"e": "masks/e.png is old"}
    summary.show({}, skipped, tmp_path, None, ())
    assert ("5 files skipped, no picture: e (masks/e.png is old), a, b, ...\n"
            in capsys.readouterr().out)


def test_one_and_several(capsys):
    summary.show_gone([])
    summary.show_gone(["a"])
    summary.show_gone(["a", "b", "c", "d"])
    assert capsys.readouterr().out == (
        "1 file is gone: a; its mask is left\n"
        "4 files are gone: a, b, c, ...; their masks are left\n")
