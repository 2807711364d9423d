"""Records behave as dataclasses do: held side by side with the real ones."""

from __future__ import annotations

import dataclasses

import pytest

from systemd_docker.frozen import frozen, replace


@frozen
class Ours:
    name: str
    pid: int = 0

    def doubled(self) -> int:
        return 2 * self.pid


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    name: str
    pid: int = 0


@pytest.mark.parametrize("args", [("a",), ("a", 2), ()])
@pytest.mark.parametrize("kwargs", [{}, {"pid": 3}, {"name": "b"}, {"oops": 1}])
def test_construction_agrees_with_dataclasses(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    try:
        theirs = dataclasses.astuple(Theirs(*args, **kwargs))  # type: ignore[arg-type]  # wrong on purpose
    except TypeError:
        with pytest.raises(TypeError):
            Ours(*args, **kwargs)  # type: ignore[arg-type]  # wrong on purpose
    else:
        ours = Ours(*args, **kwargs)  # type: ignore[arg-type]  # right, but the checker cannot see it
        assert (ours.name, ours.pid) == theirs


def test_a_record_cannot_be_changed() -> None:
    ours = Ours("a")

    with pytest.raises(AttributeError, match="pid"):
        ours.pid = 2  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(AttributeError):
        ours.other = 2  # type: ignore[attr-defined]  # wrong on purpose


def test_records_compare_hash_show_and_copy_by_value() -> None:
    ours = Ours("a", 21)
    same_values: object = ("a", 21)

    assert ours == Ours("a", 21)
    assert ours != Ours("a", 22)
    assert ours != same_values
    assert hash(ours) == hash(Ours("a", 21))
    assert repr(ours) == "Ours(name='a', pid=21)"
    assert replace(ours, pid=1) == Ours("a", 1)
    assert ours.doubled() == 42
    match ours:
        case Ours(name, pid):
            assert (name, pid) == ("a", 21)


def test_a_default_that_records_would_share_is_refused() -> None:
    with pytest.raises(ValueError, match="mutable default of names"):

        @frozen
        class Shared:
            names: list[str] = []  # noqa: RUF012  # wrong on purpose
