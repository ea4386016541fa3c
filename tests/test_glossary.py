"""The glossary has every word that a notebook sets in bold to explain it, and nothing else."""

import functools
import re

import nbformat
import pytest

from unet_lib import workspace
from unet_lib.series import plan

FOLDER = workspace.PROJECT / "notebooks"
PAGE = workspace.PROJECT / "docs" / "glossary.md"
NOTEBOOKS = plan.select(FOLDER, every=True)
# Bold for its weight or as the name of a row, not to explain a word. Besides: what ends like a
# sentence or a heading ("Limits.", "Hypothesis:"), numbers of exercises, and all of a title cell.
EMPHASES = {"not", "guilty", "not guilty", "ours", "few", "few+"}
ENTRY = re.compile(r"^## (.+)\n\n(.+) \[(\d\d)\]\(\.\./notebooks/(\d\d_\w+\.ipynb)\)$", re.M)


def plain(text: str) -> str:
    """Return a word as the glossary files it: small letters, one blank, no article, no plural."""
    words = " ".join(text.casefold().split())
    return words.removeprefix("the ").removesuffix("s")


@functools.cache
def prose(path) -> str:
    cells = nbformat.read(path, 4).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown" and c.id != "title")


def bold(text: str) -> set[str]:
    """Return the words that a text explains in bold, as `plain` writes them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found = re.findall(r"\*\*([^*\s](?:[^*]*[^*\s])?)\*\*", text)
    words = [word for word in found if not re.search(r"[.:?!]$|^\d", word)]
    return {plain(word) for word in words if word.casefold() not in EMPHASES}


@functools.cache
def entries() -> dict[str, tuple[str, str, str]]:
    """Return each word of the glossary with its text, the number and the file of its notebook."""
    return {word: tuple(rest) for word, *rest in ENTRY.findall(PAGE.read_text("utf-8"))}


def anchor(word: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", word.casefold()).replace(" ", "-")


def test_bold_tells_a_word_from_an_emphasis():
    text = ("A **skip\nconnection** is **not** a **`path`**.\n**Limits.** **1.** **The Dices**\n"
            "```python\nx**2 + y**3\n```\n[**width**](../docs/glossary.md#width) 2**3 and 4**5")
    assert bold(text) == {"skip connection", "`path`", "dice", "width"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_bold_word_is_in_the_glossary(path):
    missing = bold(prose(path)) - {plain(word) for word in entries()}
    assert not missing, f"explain in docs/glossary.md, or set without bold: {sorted(missing)}"


@pytest.mark.parametrize("word", entries())
def test_each_entry_names_a_notebook_that_explains_it(word):
    _, number, file = entries()[word]
    assert number == file[:2]
    places = [path.name for path in NOTEBOOKS if plain(word) in bold(prose(path))]
    if places:
        assert file in places, f"{word} is bold in {places}"
    else:
        assert plain(word) in " ".join(prose(FOLDER / file).casefold().split())


def test_entries_are_in_order_short_and_complete():
    words = list(entries())
    assert words == sorted(words, key=str.casefold)
    assert len({anchor(word) for word in words}) == len(words) >= 40
    assert len(re.findall(r"^#+ ", PAGE.read_text("utf-8"), re.M)) == len(words) + 1
    long = [word for word, (text, *_) in entries().items()
            if len(re.findall(r"[.?!] ", text + " ")) > 2 or len(text) > 240]
    assert long == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_bold_word_leads_to_its_entry(path):
    linked = re.findall(r"\[\*\*([^*]+)\*\*\]\(\.\./docs/glossary\.md#([^)]+)\)", prose(path))
    assert {plain(word) for word, _ in linked} == bold(prose(path))
    places = {plain(word): anchor(word) for word in entries()}
    assert [(word, place) for word, place in linked if places[plain(word)] != place] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_into_the_glossary_arrive(path):
    links = set(re.findall(r"docs/glossary\.md#([^)\s]+)", path.read_text("utf-8")))
    assert links <= {anchor(word) for word in entries()}
