from __future__ import annotations

import pytest

from systemd_docker.undo import Undo


def test_what_was_done_last_is_undone_first() -> None:
    calls: list[str] = []
    with Undo() as undo:
        undo.callback(calls.append, "first")
        undo.callback(calls.append, "second")

    assert calls == ["second", "first"]


def test_what_raises_keeps_nothing_else_from_being_undone() -> None:
    calls: list[str] = []
    undo = Undo()
    undo.callback(calls.append, "first")
    undo.callback(int, "no number")
    undo.callback(calls.append, "third")

    with pytest.raises(ValueError, match="no number"):
        undo.close()

    assert calls == ["third", "first"]
    undo.close()
    assert calls == ["third", "first"], "once"


def test_an_error_goes_on_when_all_is_undone() -> None:
    calls: list[str] = []

    def fail() -> None:
        with Undo() as undo:
            undo.callback(calls.append, "done")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert calls == ["done"]


def test_calls_that_were_handed_over_are_anothers() -> None:
    calls: list[str] = []
    with Undo() as undo:
        undo.callback(calls.append, "done")
        other = undo.pop_all()

    assert calls == []
    other.close()
    assert calls == ["done"]
