"""The committed notebooks: their anatomy, and the traps that let nbval or papermill check nothing.

`faults` is the linter; `sound_notebook` is the smallest notebook that it accepts, and each rule is
shown to bite on a copy of that notebook with one thing wrong.
"""

import ast
import copy
import html
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import maintain
import nbformat
import papermill
import pytest
from nbval.plugin import get_sanitize_patterns

from unet_lib import phantom, workspace
from unet_lib.parameters import check_all
from unet_lib.series import execute, plan

FOLDER = workspace.PROJECT / "notebooks"
NOTEBOOKS = plan.select(FOLDER, every=True)
LESSON = [path for path in NOTEBOOKS if path.stem not in plan.PRACTICE]
REPOSITORY, RELEASE = maintain.read_address()
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{}/blob/{}/notebooks/{})"
)
METADATA = {"kernelspec": maintain.KERNEL}
LANGUAGE = {"codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py",
            "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python",
            "pygments_lexer": "ipython3"}
OPENING = ("bootstrap", "imports", "parameters")
# Who explains the parameters below such a line.
LATER = r"# (?:later|earlier): (?:notebook (\d\d)|(data/README\.md))\b"
TEXT = ("text/plain", "text/html", "text/markdown", "text/latex")


# ------------------------------------------------------------------------------------ the linter


def lines(cell) -> int:
    return len([line for line in cell.source.splitlines() if line.strip()])


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def output_texts(cell):
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from (text for kind, text in output.get("data", {}).items() if kind in TEXT)


def faults(notebook, name: str = "01_sound.ipynb") -> list[str]:
    """Return what is wrong with a notebook; `name` is its file name, for the badge."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    rules = [_shape(notebook, code, prose), _title(notebook, name), _opening(code),
             _parameters(code), _ending(notebook), _outputs(notebook, code)]
    return [fault for rule in rules for fault in rule]


def _shape(notebook, code, prose):
    count = len(_lesson(notebook))
    if not 25 <= count <= 45:
        yield f"{count} cells before 'Check yourself', expected 25 to 45"
    if len(prose) < len(code):
        yield f"{len(prose)} markdown cells for {len(code)} code cells"
    if statistics.median(map(lines, code)) > 6:
        yield f"the median code cell has {statistics.median(map(lines, code))} lines, at most 6"
    yield from (f"{c.id}: {lines(c)} lines, at most 20" for c in code
                if lines(c) > 20 and "parameters" not in tags(c))  # those are a table
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    if "ccc" in kinds:
        yield f"{notebook.cells[kinds.index('ccc')].id}: three code cells in a row"
    ids = [cell.get("id", "") for cell in notebook.cells]
    if len(ids) != len(set(ids)):
        yield "cell ids are not unique"
    unreadable = [i for i in ids if not re.fullmatch(r"[a-z]+[0-9]*(-[a-z0-9]+)*", i)
                  or re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4})?.*|cell-?\d+", i)]
    yield from (f"cell id {i!r} is not readable" for i in unreadable)
    headings = [h for c in prose for h in re.findall(r"^# .+", _unfenced(c.source), re.M)]
    if len(headings) != 1:
        yield f"{len(headings)} headings of the first level, expected one"


def _lesson(notebook) -> list:
    """Return the cells before "Check yourself": exercises, appendices and recap come on top."""
    starts = [n for n, c in enumerate(notebook.cells) if c.source.startswith("## Check yourself")]
    return notebook.cells[: min(starts, default=None)]


def _unfenced(source: str) -> str:
    return re.sub(r"^```.*?^```", "", source, flags=re.M | re.S)


def _title(notebook, name):
    title = notebook.cells[0].source
    if notebook.cells[0].cell_type != "markdown" or not title.startswith("# "):
        yield "the first cell is not a title"
    repository = REPOSITORY.removeprefix("https://github.com/")
    if BADGE.format(repository, RELEASE, name) not in title.splitlines():
        yield "the badge is not that of this file, repository and release"
    for word in ("?", "**You will learn**", "**Needs**", "**Produces**", "minute"):
        if word not in title:
            yield f"the title cell has no {word!r}"


def _opening(code):
    ids = tuple(cell.id for cell in code[:3])
    if ids != OPENING:
        yield f"the code begins with {ids}, expected {OPENING}"
        return
    bootstrap, imports, _ = code[:3]
    if len(bootstrap.source.splitlines()) > 12:
        yield "the bootstrap cell has more than 12 lines"
    if f'REPOSITORY, RELEASE = "{REPOSITORY}", "{RELEASE}"\n' not in bootstrap.source:
        yield "the bootstrap cell has another repository or release than pyproject.toml"
    nodes = ast.parse(imports.source).body
    if not all(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes):
        yield "the imports cell holds more than imports"
    yield from (
        f"{cell.id}: imports belong into the imports cell"
        for cell in code[2:]
        if re.search(r"^(import|from) ", cell.source, re.M)
    )


def _parameters(code):
    tagged = [cell for cell in code if "parameters" in tags(cell)]
    if [cell.id for cell in tagged] != ["parameters"]:
        yield f"the cells tagged 'parameters' are {[c.id for c in tagged]}, expected one of that id"
        return
    names = []
    for line in tagged[0].source.splitlines():
        if re.match(LATER, line):
            continue
        match = re.fullmatch(r"(\w+): (str|int|float|bool) = (\S.*?)  # (\S.*)", line)
        if not match:
            yield f"no typed literal with a comment: {line!r}"
            continue
        names.append(match[1])
        try:
            kind = type(ast.literal_eval(match[3])).__name__
        except ValueError:
            kind = "expression"
        if kind != match[2]:
            yield f"parameter {match[1]} is declared {match[2]} but holds: {kind}"
    seen = [p.name for p in papermill.inspection._infer_parameters(
        nbformat.v4.new_notebook(cells=tagged), "python3", "python")]
    if seen != names:  # it skips a line with two "="
        yield f"papermill reads the parameters {seen}, the cell has {names}"


def _ending(notebook):
    headings = [re.match(r"## (.+)", c.source) for c in notebook.cells if c.cell_type == "markdown"]
    parts = [h[1].strip() for h in headings if h and not h[1].startswith("Appendix")]
    if parts[-2:] != ["Check yourself", "Recap"]:
        yield "the last two parts, appendices aside, are not 'Check yourself' and 'Recap'"
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    folded = text.count("<details>"), text.count("</details>"), text.count("<summary>")
    if folded[0] < 4 or len(set(folded)) > 1:  # at least one exercise, and a quiz of three
        yield f"{folded[0]} folded answers, expected four or more, each with a <summary>"
    if notebook.cells[-1].cell_type != "markdown" or ".ipynb)" not in notebook.cells[-1].source:
        yield "the recap links to no other notebook"


def _outputs(notebook, code):
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):  # an unrun cell is never compared
        yield f"execution counts are {counts}, expected 1 to {len(code)}: run make notebooks"
    for cell in code:
        machine = r"(?<![\w.:/])/(home|root|tmp|Users|work|mnt|usr|opt|content|private)/|\b[A-Z]:\\"
        if any(re.search(machine, text) for text in output_texts(cell)):
            yield f"{cell.id}: an output holds a path of this machine"
        if any(re.search(r" at 0x[0-9a-f]{6,}", text) for text in output_texts(cell)):
            yield f"{cell.id}: an output holds an object's address"
        if any(output.output_type == "error" for output in cell.outputs):  # papermill would stop
            yield f"{cell.id}: an error is committed as output; catch it and print it"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"{cell.id}: stderr is committed, which nobody compares"
        if any(_is_empty(output.get("data", {})) for output in cell.outputs):
            yield f"{cell.id}: an output shows nothing, and leaves a gap on the page"
        if cell.source.rstrip().endswith(";"):  # nbval would run it without the semicolon's effect
            yield f"{cell.id}: ends with a semicolon; assign to _ instead"
        if "nbval-ignore-output" in tags(cell) and not re.search(r"^\s*assert ", cell.source, re.M):
            yield f"{cell.id}: its output is ignored and nothing is asserted"
        known = {"parameters", "nbval-ignore-output"}
        yield from (f"{cell.id}: tag {t!r} is not allowed" for t in tags(cell) if t not in known)
        if re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)_", cell.source):
            yield f"{cell.id}: a comment steers nbval; use the tag"
        if set(cell.metadata) - set(maintain.KEPT):
            yield f"{cell.id}: metadata of one execution: run make notebooks"
    ignored = [cell.id for cell in code if "nbval-ignore-output" in tags(cell)]
    if len(ignored) * 5 > len(code):
        yield f"{len(ignored)} of {len(code)} code cells are ignored, at most one in five"
    size = sum(len(json.dumps(cell.outputs)) for cell in code)
    if size > 900_000:
        yield f"outputs of {size // 1000} kB, at most 900"
    if notebook.metadata != METADATA | {"language_info": LANGUAGE | {
            "version": notebook.metadata.get("language_info", {}).get("version")}}:
        yield f"notebook metadata is {dict(notebook.metadata)}, expected what Jupyter writes"


def _is_empty(data) -> bool:
    """Say whether what is displayed is text alone, with no letter in it."""
    texts = [re.sub(r"<[^>]*>", "", text) for kind, text in data.items() if kind in TEXT]
    return bool(data) and set(data) <= set(TEXT) and not "".join(texts).strip()


# -------------------------------------------------------------------------- the linter must bite


def sound_notebook():
    """Return the smallest notebook that keeps every rule."""
    prose, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    badge = BADGE.format(REPOSITORY.removeprefix("https://github.com/"), RELEASE, "01_sound.ipynb")
    title = (f"# Sound\n\n{badge}\n\nWhat is it?\n\n**You will learn** to\n\n"
             "**Needs** nothing. **Produces** nothing. 2 minutes.")
    solution = "<details><summary>Solution</summary>\n\n4\n\n</details>\n" * 4
    cells = [
        prose(title, id="title"),
        code(f'REPOSITORY, RELEASE = "{REPOSITORY}", "{RELEASE}"\n', id="bootstrap"),
        code("import math", id="imports"),
        prose("Choose.", id="parameters-why"),
        code("epochs: int = 2  # passes", id="parameters", metadata={"tags": ["parameters"]}),
        *(prose("## Beat", id=f"why-{k}") for k in range(11)),
        *(cell for k in range(4) for cell in (code(f"print({k})", id=f"show-{k}"),
                                              prose("We see it.", id=f"seen-{k}"))),
        code("assert 0.7 < math.pi / 4 < 0.8", id="bounded",
             metadata={"tags": ["nbval-ignore-output"]}),
        prose(f"## Check yourself\n\n{solution}", id="check-yourself"),
        prose("## Recap\n\nNext: [two](02_two.ipynb)", id="recap"),
    ]
    for count, cell in enumerate((c for c in cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    metadata = METADATA | {"language_info": LANGUAGE | {"version": "3.11.7"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def cell_of(notebook, cell_id):
    return next(cell for cell in notebook.cells if cell.id == cell_id)


def put(cell_id, **values):
    """Return a change of one cell's fields."""
    return lambda notebook: cell_of(notebook, cell_id).update(values)


def swap(cell_id, old, new):
    """Return a change of one cell's text."""

    def change(notebook):
        cell = cell_of(notebook, cell_id)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def move(cell_id, place):
    """Return a change of one cell's place."""

    def change(notebook):
        cell = cell_of(notebook, cell_id)
        notebook.cells.remove(cell)
        notebook.cells.insert(place, cell)

    return change


def stream(text, name="stdout"):
    return [nbformat.v4.new_output("stream", name=name, text=text)]


BROKEN = {
    "24 cells before 'Check yourself', expected 25": lambda nb: nb.cells.remove(
        cell_of(nb, "why-0")),
    "median code cell has 7": lambda nb: [
        put(f"show-{k}", source="x = 1\n" * 7)(nb) for k in range(4)] + [
        put("bounded", source="assert 1\n" * 7)(nb)],
    "show-1: 21 lines": put("show-1", source="x = 1\n" * 21),
    "7 markdown cells for": lambda nb: [
        c.update(cell_type="raw") for c in nb.cells if c.id.startswith(("why", "seen-1"))],
    "bootstrap: three code cells in a row": move("parameters-why", 8),
    "ids are not unique": put("show-1", id="show-2"),
    "cell id '3f2a91bc' is not readable": put("show-1", id="3f2a91bc"),
    "2 headings of the first level": put("why-1", source="# Another"),
    "0 headings of the first level": swap("title", "# Sound", "Sound"),
    "the first cell is not a title": move("title", 1),
    "the badge is not that": swap("title", "01_sound", "02_sound"),
    "has no '**You will learn**'": swap("title", "**You will learn**", "Learn"),
    "has no 'minute'": swap("title", "minutes", "hours"),
    "the code begins with": move("bootstrap", 5),
    "bootstrap cell has more than 12": swap("bootstrap", "\n", "\nx = 1" * 12),
    "another repository or release": swap("bootstrap", RELEASE, "v9.9.9"),
    "holds more than imports": swap("imports", "math", "math\nx = 1"),
    "show-1: imports belong": put("show-1", source="import os"),
    "the cells tagged 'parameters' are []": put("parameters", metadata={}),
    "no typed literal with a comment: 'epochs = 2": swap("parameters", ": int", ""),
    "no typed literal with a comment: 'epochs: int = 2'": swap("parameters", "  # passes", ""),
    "papermill reads the parameters []": swap("parameters", "passes", "passes = rounds"),
    "declared int but holds: float": swap("parameters", "2", "2.5"),
    "declared int but holds: expression": swap("parameters", "2", "1 + len('a')"),
    "last two parts, appendices aside, are not": move("recap", 20),
    "1 folded answers": put("check-yourself", source="## Check yourself\n<details><summary>x"
                              "</summary></details>"),
    "the recap links to no other": swap("recap", "02_two.ipynb", "x"),
    "execution counts are [1, 2, 3, 4, None": put("show-1", execution_count=None),
    "show-1: an output holds a path": put("show-1", outputs=stream("in /home/me/data\n")),
    "show-2: an output holds a path": put("show-2", outputs=stream("in C:\\data\n")),
    "an object's address": put("show-1", outputs=stream("<x at 0x7f00aabbcc>")),
    "an error is committed": put("show-1", outputs=[
        nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]),
    "stderr is committed": put("show-1", outputs=stream("pid 1", "stderr")),
    "an output shows nothing": put("show-1", outputs=[nbformat.v4.new_output(
        "display_data", {"text/plain": "", "text/html": "<pre style='x'>\n</pre>\n"})]),
    "ends with a semicolon": put("show-1", source="print(1);"),
    "ignored and nothing is asserted": put("bounded", source="print(1)"),
    "tag 'nbval-skip' is not allowed": put("show-1", metadata={"tags": ["nbval-skip"]}),
    "tag 'raises-exception' is not": put("show-1", metadata={"tags": ["raises-exception"]}),
    "a comment steers nbval": put("show-1", source="# NBVAL_SKIP\nprint(1)"),
    "metadata of one execution": put("show-1", metadata={"execution": {"a": "b"}}),
    "2 of 8 code cells are ignored": put("show-1", source="assert 1",
                                         metadata={"tags": ["nbval-ignore-output"]}),
    "outputs of 950 kB": put("show-1", outputs=stream("x" * 950_000)),
    "notebook metadata is": lambda nb: nb.metadata.kernelspec.update(name="jax38"),
}


def test_linter_accepts_a_sound_notebook():
    assert faults(sound_notebook()) == []


@pytest.mark.parametrize("message", BROKEN)
def test_linter_bites(message):
    notebook = copy.deepcopy(sound_notebook())
    BROKEN[message](notebook)
    assert message in "\n".join(faults(notebook))


# --------------------------------------------------------------------------- the committed ones


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_anatomy(path):
    assert faults(nbformat.read(path, 4), path.name) == []


def test_notebooks_are_numbered_without_a_gap():
    assert [int(p.name[:2]) for p in LESSON] == list(range(1, 10))  # 09 ends the lesson
    assert [int(name[:2]) for name in plan.PRACTICE] == [10, 11, 12]


def test_bootstrap_is_the_same_everywhere_introduced_and_folded():
    """The first code on the page is none that a beginner has to read."""
    cells = []
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, 4)
        cells.append(cell_of(notebook, "bootstrap"))
        before = notebook.cells[notebook.cells.index(cells[-1]) - 1]
        said = "This cell finds or fetches the project. You need not read it."
        assert before.source.splitlines()[-1] == said, path.stem
    assert len({cell.source for cell in cells}) == 1
    folded = {"jupyter": {"source_hidden": True}, "cellView": "form"}
    assert [dict(cell.metadata) for cell in cells] == [folded] * len(cells)


CONTENTS = (workspace.PROJECT / "docs" / "index.md").read_text("utf-8")
DRAWING = re.search(r"^```text\n(.+?)\n```$", CONTENTS, re.M | re.S)[1]


def test_the_way_is_drawn_with_every_step_once_and_fits_a_page():
    """docs/index.md has the drawing without a mark."""
    rows = DRAWING.splitlines()
    assert len(rows) <= 8 and max(map(len, rows)) <= 77  # the site's column
    assert sorted(re.findall(r"\d\d", DRAWING)) == [path.name[:2] for path in NOTEBOOKS]
    of_one_width_in_all_fonts = set("─│┌┐└┘├┤┬┴┼►▼:\n")
    assert set(re.sub(r"[\w ]", "", DRAWING)) <= of_one_width_in_all_fonts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_title_says_where_we_are_and_how_long_it_takes(path):
    """Right below the question the way is drawn, the same everywhere but for the mark."""
    title = nbformat.read(path, 4).cells[0].source.split("\n\n")
    assert title[2].endswith("?**") and title[3].startswith("```text\n")
    drawn = title[3].removeprefix("```text\n").removesuffix("\n```")
    (step,) = re.findall(r"▐(\d\d [a-z ]+)▌", drawn)
    unmarked = re.sub("[▐▌]", " ", drawn)
    assert [row.rstrip() for row in unmarked.splitlines()] == DRAWING.splitlines()
    assert step[:2] == path.name[:2] and title[4].startswith(f"We are at **{step}**; ")
    times = r"Runs in (about )?\d+ (seconds|minutes?); takes about \d+ minutes to read\."
    assert re.match(times, title[-1])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_figure_is_described(path):
    """In the cell's metadata, which the report prints, for who does not see the picture."""
    for cell in nbformat.read(path, 4).cells:
        drawn = [out for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
        assert len(cell.metadata.get("alt", "").split()) >= 8 if drawn else True, cell.id
        assert drawn or "alt" not in cell.metadata, cell.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_wider_than_the_page(path):
    """JupyterLab's column holds some 107 characters."""
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            known = cell.id in ("bootstrap", "parameters")  # folded; a line each
            wide = [line for line in cell.source.splitlines() if len(line) > 96 and not known]
            texts = [out.get("text", out.get("data", {}).get("text/plain", ""))
                     for out in cell.outputs]
            printed = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(texts)).splitlines()  # no colours
            assert wide + [line for line in printed if len(line) > 100] == [], cell.id


def typed_decimals(source: str) -> list[str]:
    """Return numbers like 0.93 in prose: outside code, links and folded answers."""
    for part in (r"^```.*?^```", r"<details>.*?</details>", r"`[^`]*`", r"\[[^\]]*\]\([^)]*\)"):
        source = re.sub(part, "", source, flags=re.M | re.S)
    return re.findall(r"(?<![\w.])0\.\d+", source)


def test_a_typed_decimal_is_found_and_a_setting_is_not():
    source = "Dice 0.93, [0.5](a-0.7.md), `0.85`, 1.0.2\n```\n0.1\n```\n<details>0.3\n</details>"
    source += " and 0.04."
    assert typed_decimals(source) == ["0.93", "0.04"]


@pytest.mark.parametrize("path", NOTEBOOKS[3:], ids=lambda p: p.stem)
def test_no_measured_decimal_stands_in_prose(path):
    """It goes stale in silence; a cell prints it. Settings and toy values stand in backticks."""
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    assert {c.id: found for c in cells if (found := typed_decimals(c.source))} == {}


def unexplained(paths: list[Path]) -> list[str]:
    """Return the parameters that neither the first notebook with them nor a later text explains.

    A text explains a parameter if it names it in backticks.
    """
    prose = {path.name[:2]: "\n".join(c.source for c in nbformat.read(path, 4).cells
                                      if c.cell_type == "markdown") for path in paths}
    seen, missing = set(), []
    for path in paths:
        place, text = path.name[:2], prose[path.name[:2]]
        for line in cell_of(nbformat.read(path, 4), "parameters").source.splitlines():
            if (later := re.match(LATER, line)):
                place = later[1] or later[2]
                text = prose.get(place) or (workspace.PROJECT / later[2]).read_text("utf-8")
            elif (name := line.partition(":")[0]) not in seen:
                seen.add(name)
                if not re.search(rf"`[^`\n]*\b{name}\b", text):
                    missing.append(f"{path.name[:2]}: {name} is not explained in {place}")
    return missing


def test_every_parameter_is_explained():
    assert unexplained(NOTEBOOKS) == []


def test_a_parameter_without_a_word_is_found(tmp_path):
    for number, prose, parameters in (
        ("01", "`epochs` are", "epochs: int = 2  # a\nwidth: int = 2  # b"),
        ("02", "`epoch`", "epochs: int = 2  # a\n# later: notebook 03\nhead: str = ''  # c\n"
         "loss: str = ''  # d"),
        ("03", "`head = 'direct'`", "# later: data/README.md\ninvert: str = 'no'  # e"),
    ):
        cells = [nbformat.v4.new_markdown_cell(prose, id="why"),
                 nbformat.v4.new_code_cell(parameters, id="parameters")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{number}_one.ipynb")
    assert unexplained(sorted(tmp_path.iterdir())) == [
        "01: width is not explained in 01", "02: loss is not explained in 03"]


def needless_underscores(source: str) -> list[int]:
    """Return the lines that give `_` a value which Jupyter would not have shown.

    It shows the value of a cell's last line alone.
    """
    tree = ast.parse(source)
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "_" and node is not tree.body[-1]]


def test_an_underscore_before_the_last_line_is_found():
    source = "_ = 1\nfor k in range(3):\n    _ = k\n_, ax = 1, 2\nmask, _ = 3, 4\n_ = 5"
    assert needless_underscores(source) == [1, 3]
    assert needless_underscores("def draw():\n    _ = 1\n    return 2") == [2]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_underscore_stands_without_need(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert needless_underscores(cell.source) == [], cell.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_times_fit_what_there_is_to_read_and_the_readme_gives_the_same(path):
    cells = nbformat.read(path, 4).cells
    text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    run, unit, read = re.search(
        r"Runs in (?:about )?(\d+) (second|minute)s?; takes about (\d+)", text).groups()
    words = len(re.sub(r"\]\([^)]*\)", "", text).split())
    assert 40 <= words / int(read) <= 90  # a minute; the code between them takes its time too
    minutes = -(-int(run) // 60) if unit == "second" else int(run)
    row = next(line for line in (workspace.PROJECT / "README.md").read_text("utf-8").splitlines()
               if line.startswith("|") and f"(notebooks/{path.name})" in line)
    assert row.endswith(f"| {minutes}, {read} |")


@pytest.mark.parametrize("stem", ["07_close_the_gap", "08_how_wide"])
def test_what_holds_for_the_committed_table_is_said_of_no_other(stem):
    """With `own_table` the cells show other sizes, epochs and pairs above the same sentences."""
    cells = nbformat.read(FOLDER / f"{stem}.ipynb", 4).cells
    ids = [cell.id for cell in cells]
    shown = cells[ids.index("table-why") : ids.index("verdict") + 1]
    settings = r"\d px\b|(?:five|ten|forty) epochs|\b(?:425|42|75)\b|forty-two"
    found = [cell for cell in shown if cell.cell_type == "markdown"
             and re.search(settings, cell.source, re.I)]
    assert len(found) >= 3
    assert [cell.id for cell in found if "ommitted table" not in cell.source] == []
    assert "`own_table`" in cells[ids.index("table-why")].source


def test_nothing_reads_the_true_masks_of_test_images_before_the_end_of_07():
    readers = {(path.stem, cell.id) for path in NOTEBOOKS for cell in nbformat.read(path, 4).cells
               if cell.cell_type == "code" and "test_truth" in cell.source}
    assert readers == {("07_close_the_gap", "test")}
    rooms = (workspace.PROJECT / "unet_lib").rglob("*.py")
    assert {path.stem for path in rooms if "test_truth" in path.read_text("utf-8")} == {
        "writing", "prepare"}  # which put them aside


def test_shared_parameters_are_equal():
    """A parameter means the same in every notebook: type, default, help."""
    declared = {}
    for path in NOTEBOOKS:
        for name, parameter in papermill.inspect_notebook(path).items():
            declared.setdefault(name, {}).setdefault(json.dumps(parameter), []).append(path.stem)
    assert {name: forms for name, forms in declared.items() if len(forms) > 1} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", cell.source):
                assert (FOLDER / html.unescape(target)).exists(), (cell.id, target)


@pytest.mark.parametrize("path", sorted((FOLDER / "params").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_parameter_file_runs_on_a_machine_that_holds_nothing_else(
    path, tmp_path, monkeypatch
):
    monkeypatch.setattr(workspace, "PROJECT", tmp_path / "stranger" / "unet-lowered")
    monkeypatch.chdir(tmp_path)
    given = plan.read_parameters(str(path))
    if path.stem == "em":  # it says what it needs, and is refused without it
        assert re.search(r"^# Needs .* folder of your own", path.read_text("utf-8"), re.M)
        with pytest.raises(plan.Refused, match="looked for .*unet-lowered/membranes"):
            plan.plan([str(path)], {})
        assert plan.plan([str(path)], {"source": "phantom"})[0].name == "em"
        return
    (run,) = plan.plan([str(path)], {})
    assert run.name == path.stem
    assert given["source"] in ("phantom", "kaggle") or "/versions/" in given["source"]
    outside = re.compile(r"\.\./|(^|\s)[/~]|:\\")
    assert not [line for line in path.read_text("utf-8").splitlines() if outside.search(line)]


def test_nothing_but_the_tests_knows_where_real_x_rays_lie_here():
    beside = "../" + "shared"
    kinds = ("*.md", "Makefile", "notebooks/**/*.*", "docs/*.md", "data/*.md", "tools/*.py",
             "unet_lib/**/*.py", "tests/**/*.py")  # fmt: skip
    files = [path for kind in kinds for path in workspace.PROJECT.glob(kind) if path.is_file()]
    assert len(files) > 60
    assert not [path for path in files if beside.encode() in path.read_bytes()]


def test_documents_have_the_same_address():
    repository = REPOSITORY.removeprefix("https://github.com/")
    for path in [*workspace.PROJECT.glob("*.md"), *workspace.PROJECT.glob("data/*.md")]:
        for found in re.findall(r"github(?:\.com)?/([\w.-]+/unet-lowered)\b", path.read_text()):
            assert found == repository, path


# ------------------------------------------------------- traps of nbval: what passes unchecked


def nbval(folder, *options):
    """Run the comparison as `make nbval` does on a folder; return outcome by notebook."""
    shutil.copy(workspace.PROJECT / "conftest.py", folder)
    makefile = (workspace.PROJECT / "Makefile").read_text()
    flags = re.search(r"^NBVAL = (.+)", makefile, re.M)[1].split()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *flags, *options, folder],
        cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(workspace.PROJECT)},
    )
    found = re.findall(r"^(PASSED|FAILED) (?:\S*/)?(\w+)\.ipynb::Cell (\d+)", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    return {(name, int(number)): word == "PASSED" for word, name, number in found}


def save(path, source, outputs, count=1):
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=count)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def test_what_nbval_compares_and_what_it_lets_pass(tmp_path):
    """What is printed is compared, stderr too; an unrun cell passes, so the linter refuses it."""
    loud = "import sys\nprint('Dice 0.91')\nprint('W', file=sys.stderr)"
    save(tmp_path / "same.ipynb", "print('Dice 0.91')", stream("Dice 0.91\n"))
    save(tmp_path / "loud.ipynb", loud, stream("Dice 0.91\n"))
    save(tmp_path / "changed.ipynb", "print('Dice 0.91')", stream("Dice 0.92\n"))
    save(tmp_path / "gone.ipynb", "pass", stream("Dice\n"))
    save(tmp_path / "unrun.ipynb", "print('Dice 0.91')", [], count=None)
    passed = {name: ok for (name, _), ok in nbval(tmp_path).items()}
    assert passed == {"same": True, "loud": False, "changed": False, "gone": False, "unrun": True}
    assert "execution counts are [None]" in "".join(
        _outputs(*(lambda nb: (nb, nb.cells))(nbformat.read(tmp_path / "unrun.ipynb", 4)))
    )


def test_conftest_is_active_in_this_project():
    """nbval must find it from the notebooks folder: it lies in the folder above."""
    assert (workspace.PROJECT / "conftest.py").is_file()
    assert not list(FOLDER.glob("conftest.py")) and not list(FOLDER.glob("pytest.ini"))


def sanitizer_faults(text: str) -> list[str]:
    """Return the lines of a sanitizer file that nbval would silently ignore."""
    used = [part for pair in get_sanitize_patterns(text) for part in pair]
    written = [line for line in text.splitlines() if re.match(r"\s*(regex|replace)\b", line)]
    known = [line for line in written if line.split(": ", 1)[-1] in used]
    return [line for line in written if line not in known]


def test_sanitizer_lines_are_all_understood():
    """There is no sanitizer file now; one that comes later is checked here."""
    assert sanitizer_faults("regex: [0-9]+\nreplace: N\n") == []
    assert sanitizer_faults("regex:[0-9]+\nreplace: N\n") == ["regex:[0-9]+", "replace: N"]
    assert sanitizer_faults("regex: a\n\nreplace: N\n") == ["regex: a", "replace: N"]
    makefile = (workspace.PROJECT / "Makefile").read_text()
    for file in re.findall(r"sanitize-with[= ](\S+)", makefile):
        assert sanitizer_faults((workspace.PROJECT / file).read_text()) == []


def test_nbval_is_strict_and_skips_nothing():
    makefile = (workspace.PROJECT / "Makefile").read_text()
    flags = re.search(r"^NBVAL = (.+)", makefile, re.M)[1].split()
    assert {"--nbval", "--nbval-current-env"} <= set(flags)
    assert any(flag.startswith("--nbval-cell-timeout=") for flag in flags)
    oldest = re.compile(r"^ifdef OLDEST\n.*?^endif\n", re.M | re.S)  # versions that draw otherwise
    strict = [line for line in oldest.sub("", makefile).splitlines() if "NBVAL" in line]
    for text in ("\n".join(strict), (workspace.PROJECT / "pyproject.toml").read_text()):
        assert not re.search(r"nbval-lax|--deselect|--ignore\b|--ignore-glob|nbdime", text)


def first_cells(path: Path, pattern: str):
    """Return a notebook cut after its first cell whose printed output matches, and that cell."""
    notebook = nbformat.read(path, 4)
    for place, cell in enumerate(notebook.cells):
        if any(re.search(pattern, text) for text in output_texts(cell)):
            notebook.cells = notebook.cells[: place + 1]
            return notebook, notebook.cells[-1]
    raise AssertionError(f"{path.name} prints nothing like {pattern}")


def test_nbval_bites_on_a_committed_notebook(tmp_path):
    """One changed digit in notebook 03 fails, in that cell alone; the notebook as it is passes."""
    notebook, cell = first_cells(FOLDER / "03_build_unet.ipynb", r"\d")
    nbformat.write(notebook, tmp_path / "sound.ipynb")
    output = next(out for out in cell.outputs if re.search(r"\d", out.get("text", "")))
    digit = re.search(r"\d", output.text)
    changed = str((int(digit[0]) + 1) % 10)
    output.text = output.text[: digit.start()] + changed + output.text[digit.end() :]
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    outcome = nbval(tmp_path)
    last = max(number for _, number in outcome)
    assert [key for key, ok in outcome.items() if not ok] == [("changed", last)]


# ----------------------------------------------------- traps of papermill: exit 0, defaults win


@pytest.fixture
def one(tmp_path):
    """One notebook in a folder of its own, and what papermill would put into it."""
    save(tmp_path / "01_one.ipynb", "epochs: int = 2  # passes", [])
    notebook = nbformat.read(tmp_path / "01_one.ipynb", 4)
    notebook.metadata.kernelspec = maintain.KERNEL
    notebook.cells[0].metadata.tags = ["parameters"]
    return notebook, tmp_path


def injected(notebook, **parameters):
    made = papermill.execute_notebook(notebook, None, parameters, prepare_only=True)
    return [c.source for c in made.cells]


def test_papermill_lets_an_unknown_name_pass_and_the_runner_does_not(one):
    notebook, folder = one
    _, cell = injected(notebook, epoch=3)  # papermill: no error, and no effect
    with pytest.raises(ValueError, match="no parameter 'epoch'; did you mean 'epochs'"):
        check_all({"epochs": 2, "epoch": 3, "In": ["", "epochs = 2", cell]})
    nbformat.write(notebook, folder / "01_one.ipynb")
    with pytest.raises(plan.Refused, match="did you mean 'epochs'"):
        plan.plan([], {"epoch": "3"}, folder=folder)


def test_papermill_lets_a_missing_tag_pass_and_the_runner_does_not(one):
    notebook, folder = one
    notebook.cells[0].metadata.tags = []
    assert injected(notebook, epochs=3)[1] == "epochs: int = 2  # passes"  # comes last and wins
    nbformat.write(notebook, folder / "01_one.ipynb")
    with pytest.raises(plan.Refused, match="its defaults would win silently"):
        plan.plan([], {"epochs": "3"}, folder=folder)
    assert any("tagged 'parameters' are []" in fault for fault in _parameters(notebook.cells))


# ------------------------------------------------------------------- the whole series, tiny


OTHER = {  # for every parameter a value that is not the default
    "dataset": "other", "run_name": "other", "phantoms": 5, "external_dataset": "other",
    "image_size": 64, "batch_size": 3,
    "learning_rate": 0.003, "epochs": 2, "val_fraction": 0.25, "seed": 5, "split_seed": 6,
    "split": "last", "group_by": "^(PHANTOM_[0-9]+)_", "mask_values": "1-255",
    "intensity": "0,4095", "invert": "auto", "empty_masks": "keep", "follow_links": True,
    "training_pairs": 6, "judged_epoch": "last",
    "width": 8, "head": "direct", "normalization": "batch", "standardize": True, "dropout": 0.0,
    "loss": "bce_dice", "schedule": "cosine", "augment": True, "augmentation_strength": 1.5,
    "precision": "mixed_bfloat16", "phantom_masks": "sides", "flip": True, "parts": 3,
    "required_dice": 0.0, "other_run": "other", "tolerance_width": 0.02, "draws": 3,
    "tensorboard": True, "suspects": "dropout", "widths": "4,2", "situations": "original, few+",
    "experiment_size": 48, "experiment_epochs": 1,
    "experiment_seeds": 1, "experiment_pairs": 8, "experiment_minutes": 5.0, "own_table": True,
    "retrain": False,
    "labelled_pairs": 4, "tuning_updates": 3,
}


def watch_asserts(notebook, name: str) -> set[str]:
    """Make each assertion of a notebook leave a line in $REACHED when it has held.

    Returns:
        The lines to expect: notebook, cell and number of the assertion in the cell.
    """
    expected = set()
    for cell in notebook.cells:
        if cell.cell_type != "code" or "assert " not in cell.source:
            continue
        lines = cell.source.splitlines()
        found = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Assert)]
        for number, node in enumerate(sorted(found, key=lambda n: -n.lineno)):
            key = f"{name}:{cell.id}:{number}"
            expected.add(key)
            place = "open(__import__('os').environ['REACHED'], 'a')"
            told = f"with {place} as _file: _file.write({key + chr(10)!r})"
            lines.insert(node.end_lineno, " " * node.col_offset + told)
        cell.source = "\n".join(lines)
    return expected


def test_an_assertion_that_is_not_reached_is_missed(tmp_path, monkeypatch):
    source = "for k in range(2):\n    assert (\n        k < 2\n    )\nif k > 5:\n    assert k"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="loop")])
    assert watch_asserts(notebook, "01") == {"01:loop:0", "01:loop:1"}
    monkeypatch.setenv("REACHED", str(tmp_path / "reached"))
    exec(notebook.cells[0].source, {})
    assert (tmp_path / "reached").read_text().split() == ["01:loop:1"] * 2


def test_plain_papermill_with_other_values_from_another_directory(tmp_path):
    """Each notebook of the lesson runs by the papermill command alone, wherever it is called."""
    from unet_lib import phantom

    phantom.write_primary_tree(tmp_path / "source", train=12, test=2, seed=3)
    values = {**OTHER, "source": str(tmp_path / "source")}
    (tmp_path / "elsewhere").mkdir()
    environment = {**os.environ, "UNET_LOWERED_WORKSPACE": str(tmp_path / "workspace"),
                   "PYTHONPATH": str(workspace.PROJECT)}
    expected, environment["REACHED"] = set(), str(tmp_path / "reached")
    for path in LESSON:
        notebook = nbformat.read(path, 4)
        expected |= watch_asserts(notebook, path.stem)
        (tmp_path / "watched").mkdir(exist_ok=True)
        nbformat.write(notebook, tmp_path / "watched" / path.name)
        declared = papermill.inspect_notebook(path)
        assert set(declared) <= set(values), "give each new parameter another value here"
        given = {name: values[name] for name in declared}
        assert not [n for n, p in declared.items() if ast.literal_eval(p["default"]) == given[n]]
        options = [part for name, value in given.items() for part in ("-p", name, str(value))]
        done = subprocess.run(
            [sys.executable, "-m", "papermill", tmp_path / "watched" / path.name,
             tmp_path / path.name, *options,
             "--no-progress-bar", "-k", "python3"],
            cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True,
        )
        assert done.returncode == 0, f"{path.name}\n{done.stderr[-3000:]}"
    assert expected - set((tmp_path / "reached").read_text().split()) == set()
    assert not list((tmp_path / "elsewhere").iterdir())  # all files went to the workspace
    run = tmp_path / "workspace" / "runs" / "other"
    record = json.loads((run / "run.json").read_text())["parameters"]
    assert {k: v for k, v in record.items() if k in values and v != values[k]} == {}
    assert {"epochs", "width", "loss"} <= set(record) and "tensorboard" not in record
    assert len(list(run.glob("tensorboard/*/events.*"))) == 2  # of training and of validation
    depth = json.loads((run / "depth.json").read_text())  # no dropout: no rank of its draws
    assert depth["spearman"]["disagreement of the draws"] is None
    assert len((run / "history.csv").read_text().splitlines()) == 1 + values["epochs"]
    assert len(list((run / "predictions").glob("*.png"))) == 2
    assert (run / "own_images" / "tuned.json").is_file()  # what `predict` compares masks with
    manifest = json.loads((tmp_path / "workspace/data/other/manifest.json").read_text())
    assert len(manifest["split"]["validation"]) == 3


def test_notebook_01_takes_a_list(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    phantom.write_primary_tree(tmp_path / "made", train=4, test=0)
    lines = [f"{p},{p.parents[1] / 'masks' / p.name}"
             for p in sorted((tmp_path / "made").glob("train_images/*/images/*.png"))]
    (tmp_path / "pairs.csv").write_text("\n".join(["image,mask", *lines]))
    texts = {"source": str(tmp_path / "pairs.csv"), "dataset": "listed", "val_fraction": "0.5"}
    asked = plan.plan([], texts, run_name="listed", only=["01_restructure_dataset"])
    assert execute.run_all(asked) == 0
    assert len(list(workspace.data_dir("listed").glob("train/masks/*.png"))) == 4


def test_runner_on_forty_real_pairs(xrays, tmp_path, monkeypatch):
    """The whole series by the runner on 40 real X-rays at 64 px, copied to outside the project."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    for part, count in (("train_images", 40), ("test_images", 4)):
        for item in sorted((xrays / "shenzhen" / part).iterdir())[:count]:
            shutil.copytree(item, tmp_path / "source" / part / item.name)
    texts = {"source": str(tmp_path / "source"), "dataset": "real", "image_size": "64",
             "epochs": "1", "batch_size": "10", "required_dice": "0"}
    assert execute.run_all(plan.plan([], texts, run_name="real40")) == 0
    run = workspace.run_dir("real40")
    assert len(list((run / "notebooks").glob("*.ipynb"))) == len(LESSON)
    assert len(list((run / "predictions").glob("*.png"))) == 4
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0.6 < metrics["baselines"]["all_background"]["accuracy"]["mean"] < 0.9
    assert 0 <= metrics["validation"]["dice"]["mean"] <= 1
    assert (run / "report.html").stat().st_size > 100_000
