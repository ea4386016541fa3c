"""`check` says what would be trained, or what to change; it writes only where it is told to."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from made_sets import LEFT, LUNGS, RIGHT, WHITE, chest, dicom, make_set, put
from made_trees import state

from unet_lib import __main__, workspace
from unet_lib.commands import check
from unet_lib.intake import prepare
from unet_lib.series import plan


def called(*arguments, capsys):
    """Return the exit code and what was printed."""
    code = __main__.main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def labels(number):
    return np.uint8(1) * RIGHT + np.uint8(2) * LEFT


def test_a_sound_set(tmp_path, capsys):
    root = make_set(tmp_path / "films", count=20)
    put(root / "notes.txt", "hello")
    before = state(tmp_path)
    code, out, err = called("films", capsys=capsys)
    assert (code, err) == (0, "")
    assert out == (
        f"source: {root}\n"
        f"layout: flat, in {root}\n"
        "pairs: 20, test images: 0\n"
        "formats: PNG (20)\n"
        "sizes in px (width x height): 64 x 64 (20)\n"
        "depth: 8 bits\n"
        "values of the masks:\n"
        "         value  of the pixels   files  of the border\n"
        "             0          62.9%      20         100.0%\n"
        "           255          37.1%      20           0.0%\n"
        "foreground: 255\n"
        "findings: 1 (a remedy such as 'invert: auto' is tried with -p invert auto)\n"
        "  1 x stray file: ignored\n"
        "      notes.txt\n"
        "      remedy: none is needed, unless it was meant to be an image or mask\n"
        "would be trained: 64 px, 60 epochs of 4 steps; 17 pairs train, 3 validate\n"
        "  about 130 s on this machine (500 ms a step, ten steps timed)\n"
        "  800 MB of memory, 0 MB on disk\n"
        "--out DIR also writes this plan, ready to run, and a sheet of outlined images\n"
    )
    assert state(tmp_path) == before


def test_the_disk_holds_image_and_mask_of_each_pair_as_bytes(capsys):
    plan = {"head": "original", "normalization": "none", "standardize": False, "image_size": 512,
            "batch_size": 4, "loss": "bce", "epochs": 2}  # fmt: skip
    check.show_plan(plan, {"train": range(2000), "validation": range(48)})
    told = capsys.readouterr().out
    assert "2 epochs of 500 steps; 2000 pairs train, 48 validate" in told
    assert "about 504 s on" in told and "1024 MB on disk" in told


def test_out_holds_a_plan_that_the_series_takes_and_a_sheet(tmp_path, capsys):
    make_set(tmp_path / "my films", count=30, mask=labels)
    before = state(tmp_path / "my films")
    code, out, _ = called("my films", "--out", "o", "-p", "mask_values", "1,2", capsys=capsys)
    assert code == 0 and state(tmp_path / "my films") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my films", "o"]
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["check.yaml", "contact_sheet.png"]
    assert f"make run PARAMS={tmp_path / 'o/check.yaml'}\n" in out
    proposed = yaml.safe_load((tmp_path / "o/check.yaml").read_text("utf-8"))
    assert proposed["source"] == str(tmp_path / "my films") and proposed["mask_values"] == "1,2"
    assert proposed["dataset"] == proposed["run_name"] == "my_films"
    run, = plan.plan([str(tmp_path / "o/check.yaml")], {})
    assert run.name == "my_films"
    sheet = cv2.imread(str(tmp_path / "o/contact_sheet.png"))
    assert sheet.shape[1] > sheet.shape[0] > 500


def test_what_check_wrote_is_written_anew(tmp_path, capsys):
    make_set(tmp_path / "a")
    make_set(tmp_path / "b", mask=labels)
    assert called("a", "--out", "o", capsys=capsys)[0] == 0
    first = state(tmp_path / "o")
    assert called("b", "--out", "o", "-p", "mask_values", "1,2", capsys=capsys)[0] == 0
    assert state(tmp_path / "o").keys() == first.keys() and state(tmp_path / "o") != first
    assert yaml.safe_load((tmp_path / "o/check.yaml").read_text("utf-8"))["mask_values"] == "1,2"


@pytest.mark.parametrize(("name", "content"), [
    ("check.yaml", "epochs: 7\n"), ("check.yaml", b""), ("contact_sheet.png", WHITE),
    ("contact_sheet.png", "a note"), ("contact_sheet.png/x.png", WHITE)])  # fmt: skip
def test_a_file_of_the_users_own_is_left_alone(name, content, tmp_path, capsys, monkeypatch):
    make_set(tmp_path / "s")
    assert called("s", "--out", "o", capsys=capsys)[0] == 0
    (tmp_path / "o" / Path(name).parts[0]).unlink()
    put(tmp_path / "o" / name, content)
    monkeypatch.setattr(prepare, "find_tree", lambda *_: 1 / 0)
    before = state(tmp_path / "o")
    code, out, err = called("s", "--out", "o", capsys=capsys)
    assert (code, out) == (2, "") and state(tmp_path / "o") == before
    assert f"o/{Path(name).parts[0]} is there and was not written by check" in err
    assert "choose another --out" in err


def test_the_recipe_is_the_learners_one():
    file = workspace.PROJECT / "notebooks/params/shenzhen_quick.yaml"
    shipped = yaml.safe_load(file.read_text("utf-8"))
    assert {name: shipped[name] for name in check._RECIPE} == check._RECIPE


@pytest.mark.parametrize(("pairs", "side", "epochs", "image_size"), [
    (500, 3000, 6, 192), (20, 64, 60, 64), (4000, 150, 6, 144), (100, 20, 30, 32)])  # fmt: skip
def test_the_plan_fits_the_set(pairs, side, epochs, image_size, tmp_path):
    from unet_lib.intake.audit import Audited
    from unet_lib.intake.looks import Look

    names = [str(n) for n in range(pairs)]
    audited = Audited(dict.fromkeys(names, Look((side, side + 9))), names, None, None, frozenset())
    split = {"train": names[: pairs * 17 // 20], "validation": names[pairs * 17 // 20 :]}
    proposed = check.propose("/x/films", audited, split, {"invert": "auto"})
    assert (proposed["epochs"], proposed["image_size"]) == (epochs, image_size)
    assert proposed["invert"] == "auto"


@pytest.mark.parametrize(("source", "name"), [
    ("/x/my films", "my_films"), ("/x/set.v2", "set.v2"), ("/x/list.csv", "list"),
    ("kaggle:owner/lungs/versions/3", "lungs"), ("kaggle", "kaggle"), ("phantom", "phantom"),
    ("/x/снимки", "own"), ("/", "own")])  # fmt: skip
def test_a_name_for_the_data_set(source, name):
    assert check._name(source) == name


def test_the_data_set_is_never_the_sources_own_folder(tmp_path, capsys):
    make_set(tmp_path / "workspace/data/films")
    assert called("workspace/data/films", "--out", "o", capsys=capsys)[0] == 0
    proposed = yaml.safe_load((tmp_path / "o/check.yaml").read_text("utf-8"))
    assert proposed["dataset"] == "films_set"
    prepare.restructure(proposed["source"], workspace.data_dir(proposed["dataset"]))


def test_the_sheet_shows_what_would_be_stored(tmp_path, monkeypatch):
    """Twelve pairs from first to last; scaled and turned images, joined and fitted masks."""
    from unet_lib import plotting

    def film(number):
        return (chest(number) if number % 4 else 255 - chest(number)).astype(np.uint16) * 16

    root = make_set(tmp_path / "s", lambda n: labels(n)[::2, ::2], count=23, image=film)
    options = prepare.Options(mask_values="1,2", invert="auto")
    tree, audited = prepare.examine(root, options)
    shown = []
    monkeypatch.setattr(plotting, "contact_sheet",
                        lambda *given, **_: shown.append(given) or plotting.plt.figure())
    plotting.plt.close(check.contact_sheet(tree, audited))
    (images, outlines, titles), = shown
    assert len(titles) == 12 and (titles[0], titles[-1]) == ("P00", "P22")
    for image, outline in zip(images, outlines, strict=True):
        assert image.dtype == np.uint8 and image.shape == outline.shape == (64, 64)
        assert image[LUNGS].mean() < image[~LUNGS].mean() - 50
        assert (outline != LUNGS).mean() < 0.06


def test_long_ids_are_shortened_on_the_sheet(tmp_path, monkeypatch):
    root = make_set(tmp_path / "s", count=2, name="a_very_long_name_of_some_hospital_{:09d}")
    tree, audited = prepare.examine(root, prepare.Options())
    figure = check.contact_sheet(tree, audited)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["a_very_long_n…ital_000000000", "a_very_long_n…ital_000000001"]
    assert figure._suptitle.get_text() == "Blue: the masks, as they are understood"
    from matplotlib import pyplot

    pyplot.close(figure)


def test_masks_that_are_not_plain(tmp_path, capsys):
    root = make_set(tmp_path / "s", labels)
    put(root / "images/P00.png", b"")
    before = state(tmp_path)
    code, out, err = called("s", "--out", "o", capsys=capsys)
    assert code == 1 and state(tmp_path) == before
    assert "refused, see below; further findings: 1" in out
    assert f"source: {root}\nlayout: flat" in out and "1 x unreadable file: excluded" in out
    assert err.startswith("This cannot be trained on: what the values of these masks mean is not")
    assert '    mask_values: "1,2"\nin the parameter file, or -p mask_values "1,2"\n' in err


def test_a_refused_source_never_reads_as_if_all_was_well(tmp_path, capsys):
    make_set(tmp_path / "s", labels)
    _, out, _ = called("s", capsys=capsys)
    assert "\nrefused, see below; further findings: none\n" in out and "\nfindings" not in out


def test_images_without_masks(tmp_path, capsys):
    for number in range(4):
        put(tmp_path / f"films/{number}.png", chest(number))
    before = state(tmp_path)
    code, out, err = called("films", "--out", "o", capsys=capsys)
    assert (code, out) == (1, "") and state(tmp_path) == before
    assert "python -m unet_lib predict" in err and str(tmp_path / "films") in err


def test_too_few_pairs(tmp_path, capsys):
    make_set(tmp_path / "s", count=1)
    code, _, err = called("s", capsys=capsys)
    assert code == 1 and "val_fraction 0.15 of 1 pairs" in err


def test_findings_come_from_worst_to_least_with_files_and_remedy(tmp_path, capsys):
    root = make_set(tmp_path / "s", count=16, image=lambda n: chest(n) if n % 2 else 255 - chest(n))
    for number in range(9, 16):
        put(root / f"images/P{number:02d}.png", chest(number))
    put(root / "masks/P15.png", b"")
    put(root / "masks/P13.png", WHITE // 255)
    _, out, _ = called("s", capsys=capsys)
    assert out.index("unreadable file") < out.index("may be a negative") < out.index("of 0 and 1")
    assert (
        "  5 x may be a negative: kept as it is\n"
        "      images/P00.png; images/P02.png; images/P04.png; and 2 more\n"
        "      remedy: invert: auto turns such images round\n"
    ) in out
    assert "remedy: none is needed\n" not in out


WRONG = [  # the arguments, what is said
    (["nothing"], "source must be"), (["s", "-p", "epoch", "3"], "no parameter 'epoch'"),
    (["s", "-p", "val_fraction", "2"], "val_fraction must be"),
    (["s", "-p", "invert", "maybe"], "invert must be"),
    (["s", "-p", "follow_links", "perhaps"], "follow_links must be"),
    (["s", "-p", "mask_values", "1,,2"], "mask_values must be"),
    (["s", "-p", "intensity", "9,1"], "intensity must be"),
    (["s", "-p", "group_by", "("], "group_by must be"),
    (["kaggle:x"], "source must be"), (["s", "--out", "file"], "--out must be a folder"),
    (["s", "--out", "s/o"], "lies in the source, which is never written to"),
    (["list.csv", "--out", "s/images"], "lies in the source, which is never written to"),
    (["list.csv", "--out", "s/masks/o"], "lies in the source, which is never written to"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), WRONG)
def test_a_wrong_command_line_is_refused_before_anything_is_read(
    arguments, text, tmp_path, capsys, monkeypatch
):
    make_set(tmp_path / "s")
    put(tmp_path / "file", "")
    put(tmp_path / "list.csv", "image,mask\ns/images/P00.png,s/masks/P00.png\n")
    monkeypatch.setattr(prepare, "find_tree", lambda *_: 1 / 0)
    before = state(tmp_path)
    code, out, err = called(*arguments, capsys=capsys)
    assert (code, out) == (2, "") and state(tmp_path) == before
    assert err.startswith("Refused, nothing has run: ") and text in err


def test_values_are_typed(tmp_path):
    given = [("val_fraction", "0.3"), ("split_seed", "7"), ("follow_links", "True"),
             ("mask_values", "1"), ("phantoms", "9")]  # fmt: skip
    assert check.convert("phantom", given) == {
        "val_fraction": 0.3, "split_seed": 7, "follow_links": True, "mask_values": "1",
        "phantoms": 9}  # fmt: skip


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys):
    make_set(tmp_path / "s")
    put(tmp_path / "file", "")
    code, _, err = called("s", "--out", "file/o", capsys=capsys)
    assert code == 1 and "file" in err


def test_ctrl_c(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    make_set(tmp_path / "s")
    monkeypatch.setattr(prepare, "audit_tree", interrupt)
    assert called("s", capsys=capsys)[0] == 130


def test_phantoms_are_drawn_once_and_nothing_else_is_made(tmp_path, capsys):
    code, out, _ = called("phantom", "-p", "phantoms", "8", capsys=capsys)
    assert code == 0 and "pairs: 8, test images: 12\n" in out and "source: phantom\n" in out
    assert {p.name for p in (tmp_path / "workspace/data").iterdir() if p.is_dir()} == {
        "phantom-source-8"}  # fmt: skip


def test_formats_and_sizes_are_counted(tmp_path, capsys):
    root = make_set(tmp_path / "s")
    put(root / "images/P00.png", dicom(chest(0) * np.uint16(16)))
    put(root / "images/P01.png", chest(1, 400)[:399])
    _, out, _ = called("s", capsys=capsys)
    assert "formats: PNG (7), DICOM (1)\n" in out
    assert "(width x height): 64 x 64 (7), 400 x 399 (1)\n" in out
    for number in range(2, 8):
        put(root / f"images/P{number:02d}.png", chest(number, 60 + number))
    _, out, _ = called("s", capsys=capsys)
    assert "(width x height): 7 different ones, 62 x 62 to 400 x 399\n" in out


class Terminal:
    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_terminal_gets_folded_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    check._say("  a line of words that goes on for more than forty columns\nshort", stream)
    check._say("https://one-long-word.example.org/" + "x" * 30, stream)
    assert stream.text == (
        "  a line of words that goes on for more\n"
        "    than forty columns\n"
        "short\n"
        "https://one-long-word.example.org/" + "x" * 30 + "\n"
    )


def test_an_installed_package_checks_too(tmp_path):
    """Outside a checkout, from another folder, with a real probe, and silent on stderr."""
    shutil.copytree(workspace.PROJECT / "unet_lib", tmp_path / "site/unet_lib")
    make_set(tmp_path / "films", count=8)
    before = state(tmp_path / "site")
    environment = {k: v for k, v in os.environ.items() if k != "UNET_LOWERED_WORKSPACE"}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1",
                    "MPLBACKEND": "module://no_such_backend"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "unet_lib", "check", "films", "--out", "o"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "would be trained: 64 px" in done.stdout
    assert f"next, in the project: make run PARAMS={tmp_path / 'o/check.yaml'}\n" in done.stdout
    assert state(tmp_path / "site") == before
    assert {p.name for p in tmp_path.iterdir()} == {"site", "films", "o"}


def test_the_next_command_takes_a_file_whose_path_holds_blanks_for_one(tmp_path):
    """`make run PARAMS="my films/check.yaml"` are two files."""
    plain, blanks = Path("/films/check.yaml"), Path("/my films/Söhne & co/check.yaml")
    assert check._command(plain) == "make run PARAMS=/films/check.yaml"
    *call, last = shlex.split(check._command(blanks))
    assert call == [sys.executable, "-m", "unet_lib", "run", "--params"] and last == str(blanks)


def test_help_answers():
    with pytest.raises(SystemExit) as end:
        __main__.main(["check", "--help"])
    assert end.value.code == 0


def test_phantoms_that_tell_sides_apart_need_no_word(tmp_path, capsys):
    few = ("-p", "phantoms", 8, "-p", "phantom_masks", "sides")
    code, out, err = called("phantom", *few, "--out", "seen", capsys=capsys)
    assert (code, err) == (0, "")
    assert "foreground: 1, 2\nclasses told apart: right lung, left lung\n" in out
    plan_made = yaml.safe_load((tmp_path / "seen/check.yaml").read_text("utf-8"))
    assert plan_made["phantom_masks"] == "sides"
    code, out, _ = called("phantom", *few[:3], capsys=capsys)
    assert code == 0 and "classes" not in out
