"""What a run shows while it lasts: a bar for each notebook, or plain lines if no terminal."""

import time
from collections.abc import Iterable
from pathlib import Path


class Board:
    """The lines of all notebooks of a run, in reading order; each appears when it begins.

    Args:
        notebooks: their files.
    """

    def __init__(self, notebooks: Iterable[Path]):
        from rich import console, progress, table

        screen = console.Console()
        self.live = screen.is_terminal
        one_row = table.Column(no_wrap=True, overflow="ellipsis")
        self.bars = progress.Progress(
            progress.TextColumn("{task.description:<22}"), progress.BarColumn(20),
            progress.MofNCompleteColumn(), progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False, table_column=one_row),
            console=screen, disable=not self.live,
        )  # fmt: skip
        self.lines = {notebook: Line(self, notebook) for notebook in notebooks}

    def __enter__(self) -> "Board":
        self.bars.start()
        return self

    def __exit__(self, *error) -> None:
        self.bars.stop()

    def show(self, task: int, note: str, **more) -> None:
        """Change a bar; a row never fills the width of the screen, for Ctrl-C writes ^C there."""
        room = max(0, self.bars.console.width - 61)
        self.bars.update(task, note=note[:room], **more)

    def tell_failure(self, name: str, beside: Iterable[str]) -> None:
        """Say at once that a notebook failed, if those that run beside it go on."""
        if others := ", ".join(beside):
            print(f"{name} has failed; the run stops when {others} has ended", flush=True)


class Line:
    """The line of one notebook: cells done, time, what it printed last.

    Args:
        board: where it stands.
        notebook: its file.
    """

    def __init__(self, board: Board, notebook: Path):
        self.board, self.name, self.cell, self.total = board, notebook.stem, "", 0
        self.task = board.bars.add_task(self.name, start=False, visible=False, note="")

    def begin(self, total: int) -> None:
        """Show the line; `total` counts the notebook's cells."""
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.last = self.began
        self.board.bars.start_task(self.task)
        self.board.bars.update(self.task, total=total, visible=True)
        self._say(f": {total} cells")

    def start_cell(self, cell, cell_index: int) -> None:
        """Count the cells before this one as done."""
        self.cell, self.done = cell.get("id", str(cell_index)), cell_index
        self.board.show(self.task, "", completed=cell_index)

    def write(self, text: str) -> None:
        """Show the last line of what the notebook prints; as a plain line at most once a minute."""
        note = (text.strip().splitlines() or [""])[-1][:60]
        self.board.show(self.task, note)
        if note and time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            self._say(f", {self.cell}: {note}")

    def flush(self) -> None:
        """Do nothing: papermill wants a file."""

    def end(self, note: str = "") -> None:
        """Stop the clock; a note says why if the notebook did not run to its end."""
        self.done = self.done if note else self.total
        self.board.show(self.task, note, completed=self.done)
        self.board.bars.stop_task(self.task)
        seconds = time.monotonic() - self.began
        self._say(f": {self.done}/{self.total} cells, {seconds:.0f} s{note and f', {note}'}")

    def _say(self, text: str) -> None:
        if not self.board.live:
            print(f"{self.name}{text}\n", end="", flush=True)  # at once: others print too
