"""Which tests belong to which room, and what a small change of the code is."""

import mutate
import pytest

PACKAGE = mutate.PROJECT / "unet_lib"
ROOMS = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix()
               for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_has_tests(room):
    """A file of its own, that of its wing, or it is told in whose."""
    files = mutate.tests_of(room)
    assert files and [name for name in files if not (mutate.PROJECT / name).is_file()] == []


def test_of_no_room_is_it_told_that_has_a_file_of_its_own_or_is_gone():
    assert set(mutate.ELSEWHERE) <= set(ROOMS)
    for room in mutate.ELSEWHERE:
        folder, _, name = room.rpartition("/")
        assert not (mutate.PROJECT / "tests" / folder / f"test_{name}.py").exists(), room


@pytest.mark.parametrize("source, changed", [
    ("a < 1", {"a <= 1", "a < 2"}), ("a and b", {"a or b"}), ("a + b", {"a - b"}),
    ("if a:\n    b", {"if not a:\n    b"}), ("a = True", {"a = False"}),
    ("a = 0.5", {f"a = {0.5 * 1.3 + 0.01}"}), ("a: int | None = b", set()), ("a = 'x'", set()),
])
def test_what_is_changed(source, changed):
    assert {text for _, text in mutate.mutants(source)} == changed


def test_a_sample_is_of_all_rooms_and_a_count_of_each():
    sources = {"few": "a < b", "many": "\n".join(f"a + {n}" for n in range(50))}
    each = mutate.choose(sources, count=3, sample=None, seed=0)
    assert {room: len(changes) for room, changes in each.items()} == {"few": 1, "many": 3}
    drawn = mutate.choose(sources, count=3, sample=20, seed=0)
    assert sum(map(len, drawn.values())) == 20 and len(drawn["many"]) >= 19
    every = mutate.choose(sources, count=3, sample=1000, seed=0)
    assert {room: len(changes) for room, changes in every.items()} == {"few": 1, "many": 100}
