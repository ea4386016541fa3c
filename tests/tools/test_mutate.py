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
