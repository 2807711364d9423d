"""service.serialization: frozen records to JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.frozen import frozen, replace
from systemd_docker.jsonobj import JsonError
from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.service.serialization import dump, load


@frozen
class Inner:
    fd: Fd = NO_FD
    data: bytes = b""


@frozen
class Outer:
    number: int = 0
    share: float = 0.0
    is_true: bool = False
    text: str = ""
    words: tuple[str, ...] = ()
    rows: tuple[tuple[int, float, bytes], ...] = ()
    inner: Inner = Inner()


TEXT = st.text().filter(str.isprintable)

OUTERS = st.builds(
    Outer,
    number=st.integers(-(2**70), 2**70),
    share=st.floats(allow_nan=False, allow_infinity=False),
    is_true=st.booleans(),
    text=TEXT,
    words=st.lists(TEXT).map(tuple),
    rows=st.lists(st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.binary())).map(tuple),
    inner=st.builds(Inner, fd=st.integers(-1, 1000).map(Fd), data=st.binary()),
)


@given(OUTERS)
def test_a_record_survives_json_with_its_types(record: Outer) -> None:
    loaded = load(Outer(), json.loads(json.dumps(dump(record))))

    assert loaded == record
    assert type(loaded.inner.fd) is Fd
    assert type(loaded.is_true) is bool


def test_an_older_versions_missing_fields_have_their_defaults_and_a_newer_ones_are_left_out() -> None:
    dumped = dump(replace(Outer(), number=7))
    del dumped["words"], dumped["inner"]

    assert load(Outer(text="default"), dumped | {"later": 1}) == Outer(number=7, text="")
    assert load(Outer(), dumped).inner == Inner()


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "7"), ("number", True), ("is_true", 1), ("text", 7), ("words", "x"), ("inner", 7), ("share", "x")],
)
def test_a_value_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(JsonError, match=rf"^{field}: expected \w+"):
        load(Outer(), dump(Outer()) | {field: value})
