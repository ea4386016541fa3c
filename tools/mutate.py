"""Do the tests bite? Change the code in small ways, and see whether its tests notice.

    python tools/mutate.py [--count 8 | --sample 60] [--seed 0] [ROOM …]

A room is a path below unet_lib without .py, such as `metrics` or `intake/tree`; default: all.
`--count` is for each room, `--sample` for all of them together. Each change (a comparison or
condition turned, a number moved, an operator exchanged) is made in a copy of the project, and the
room's own test file is run there. What no test notices is printed with its line. Exit 1 if fewer
than 95 % are noticed. A change that alters nothing, such as the wording of a message, counts as
unnoticed: judge the list, not the number alone.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
ELSEWHERE = {  # rooms without a test file of their own
    "__main__": ["tests/test_packaging.py", "tests/commands/test_check.py"],
    "parallel": ["tests/slow/test_parallel.py"],
}
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
               ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
               ast.Is: ast.IsNot, ast.IsNot: ast.Is}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
             ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}  # fmt: skip


def change(node: ast.AST) -> bool:
    """Change one node in place; return whether it could be changed."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        node.ops[0] = COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        node.value = not node.value
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value = node.value + 1 if isinstance(node.value, int) else node.value * 1.3 + 0.01
    else:
        return False
    return True


def mutants(source: str) -> list[tuple[int, str]]:
    """Return the line and the changed source of every change that can be made."""
    tree, found = ast.parse(source), []
    hints = _type_hints(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in hints or not change(copy.deepcopy(node)):
            continue
        fresh = ast.parse(source)
        change(list(ast.walk(fresh))[place])
        found.append((node.lineno, ast.unparse(fresh)))
    return found


def choose(
    sources: dict[str, str], *, count: int, sample: int | None, seed: int
) -> dict[str, list[tuple[int, str]]]:
    """Return the changes to make, by room: `count` of each, or `sample` of all together."""
    found = {room: mutants(source) for room, source in sources.items()}
    if sample is None:
        return {room: random.Random(seed).sample(every, min(count, len(every)))
                for room, every in found.items()}  # fmt: skip
    all_of_them = [(room, one) for room, every in found.items() for one in every]
    drawn = random.Random(seed).sample(all_of_them, min(sample, len(all_of_them)))
    return {room: [one for of, one in drawn if of == room] for room, _ in sorted(drawn)}


def _type_hints(tree: ast.AST) -> set[int]:
    """Return the nodes of type hints: `int & None` cannot be imported, which proves nothing."""
    fields = [getattr(n, name, None) for n in ast.walk(tree) for name in ("annotation", "returns")]
    return {id(part) for hint in fields if hint is not None for part in ast.walk(hint)}


def tests_of(room: str) -> list[str]:
    """Return the files that test a room: its own, or those of its wing that do."""
    folder, name = os.path.split(room)
    own = Path("tests", folder, f"test_{name.strip('_')}.py")
    wing = Path("tests", f"test_{folder}.py")
    return ELSEWHERE.get(room) or [str(own if (PROJECT / own).is_file() else wing)]


def noticed(project: Path, room: str, source: str) -> bool:
    """Tell whether the room's own tests fail on a changed source."""
    path = project / "unet_lib" / f"{room}.py"
    whole = path.read_text("utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", *tests_of(room)]
    try:
        path.write_text(source, "utf-8")
        done = subprocess.run(command, cwd=project, capture_output=True, timeout=600)
        return done.returncode not in (0, 5)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(whole, "utf-8")


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8, help="changes for each room")
    parser.add_argument("--sample", type=int, help="changes in all, from any room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("rooms", nargs="*", metavar="ROOM")
    asked = parser.parse_args()
    package = PROJECT / "unet_lib"
    every = sorted(p.relative_to(package).with_suffix("").as_posix() for p in package.rglob("*.py"))
    rooms = asked.rooms or [room for room in every if "__init__" not in room]
    sources = {room: (package / f"{room}.py").read_text("utf-8") for room in rooms}
    chosen = choose(sources, count=asked.count, sample=asked.sample, seed=asked.seed)
    caught = total = 0
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        ignored = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__")
        shutil.copytree(PROJECT, project, ignore=ignored)
        subprocess.run(["git", "init", "-q"], cwd=project, check=True)  # a test lists files by it
        for room, changes in chosen.items():
            source = sources[room]
            if noticed(project, room, source):
                sys.exit(f"{room}: its tests fail, or take too long, before anything is changed")
            for line, changed in changes:
                total += 1
                if noticed(project, room, changed):
                    caught += 1
                else:
                    text = source.splitlines()[line - 1].strip()
                    print(f"unnoticed: {room}.py:{line}: {text}", flush=True)
            print(f"{room}: {caught} of {total} noticed so far", flush=True)
    return int(caught < 0.95 * total)


if __name__ == "__main__":
    sys.exit(main())
