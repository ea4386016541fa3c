"""docs/numbers.md: no number that was not measured, and sizes that follow from its own numbers."""

import re

import pytest

from unet_lib import tables, workspace

PAGE = (workspace.PROJECT / "docs" / "numbers.md").read_text("utf-8")
SOURCES = ["docs/results.md", "docs/speed.md", "unet_lib/weights/README.md"]
MEASURED = {  # for this page, by the commands in its table
    "Nothing changed": {"0.93766"},
    "Rounding and processor": {"0.938", "0.939", "0.931", "0.950", "0.603", "0.417"},
    "Threshold": {"0.938", "0.966", "0.15", "0.950", "0.964", "0.20", "0.931", "0.10"},
}
QUOTED = {  # section -> variant and column of notebook 07's table
    "Seed": [("+ augmentation", "dice"), ("the original's recipe", "dice")],
    "Labels": [("+ augmentation", "dice"), ("50% mispaired", "dice"), ("100% mispaired", "dice")],
    "Another hospital": [(variant, column) for variant in ("+ augmentation", "+ Dice in the loss")
                         for column in ("dice", "exposure", "framing")],
}


def decimals(text: str) -> list[str]:
    return re.findall(r"(?<![\d.])0\.\d{2,}(?!\d|\.\d)", text)


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def titles() -> list[str]:
    return re.findall(r"^## (.+)", PAGE, re.M)


def in_the_table_of_07(title: str) -> set[str]:
    """Return mean, lowest and highest seed of what a section quotes of notebook 07's table."""
    rows = tables.read(workspace.PROJECT / "notebooks" / "07_close_the_gap.csv")
    found = [tables.column(rows, *quote) for quote in QUOTED.get(title, ())]
    return {f"{v:.3f}" for c in found for v in (c.mean(), c.min(), c.max())}


@pytest.mark.parametrize("title", titles())
def test_each_number_stands_in_a_source(title):
    sources = [(workspace.PROJECT / name).read_text("utf-8") for name in SOURCES]
    known = {number for text in sources for number in decimals(text)}
    known |= in_the_table_of_07(title) | MEASURED.get(title, set())
    assert set(decimals(section(title))) - known == set()


def test_the_board_of_time_to_quality_says_what_was_measured():
    """Rows of notebook 07 are those of its table, in order of their seconds."""
    text = (workspace.PROJECT / "docs" / "results.md").read_text("utf-8")
    board = text.partition("### Time to quality\n")[2].partition("\nA minute")[0]
    rows = re.findall(r"^\| (\d+) \*? ?\| (?:notebook 07, )?`(.+?)`.* \| (0\.\d+) \|$", board, re.M)
    assert len(rows) == board.count("\n| ") - 1
    assert [int(row[0]) for row in rows] == sorted(int(row[0]) for row in rows)
    table = tables.read(workspace.PROJECT / "notebooks" / "07_close_the_gap.csv")
    known = {row["variant"] for row in table}
    for seconds, name, dice in rows:
        if name in known:
            found = [tables.column(table, name, each).mean() for each in ("seconds", "dice")]
            assert (seconds, dice) == (f"{found[0]:.0f}", f"{found[1]:.3f}")
        else:
            rest = text.replace(board, "")
            assert f"`{name}`" in rest or f"params/{name}`" in rest
            assert dice in rest and seconds in rest.replace(",", "")
    assert sum(name in known for _, name, _ in rows) == 3


def test_each_reason_of_the_table_has_its_section():
    links = re.findall(r"^\| \[(.+?)\]\(#", PAGE, re.M)
    names = [title.casefold().replace(" and ", ", ") for title in titles()]
    assert links == names[:-1] and len(links) == 8
