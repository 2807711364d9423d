"""jsonobj reads and writes what the standard library's json does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.jsonobj import JsonError, dump, parse_object, parse_objects

if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonValue

VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.sampled_from([None, 0, 2]), st.booleans())
def test_what_json_writes_is_read(value: dict[str, JsonValue], indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001  hypothesis' column
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    assert parse_object(text) == value
    assert parse_object(f" \n{text}\t\r\n".encode()) == value


@given(VALUES)
def test_what_is_written_json_reads(value: JsonValue) -> None:
    text = dump({"value": value})

    assert json.loads(text) == {"value": value}
    assert text == json.dumps({"value": value}, ensure_ascii=False, separators=(",", ":"))


def test_bytes_that_are_no_text_become_what_go_makes_of_them() -> None:
    assert dump({"Cmd": ["caf\udce9"]}) == '{"Cmd":["caf\ufffd"]}'


BAD = [
    b"",
    b"   ",
    b"{",
    b'{"a"',
    b'{"a":}',
    b'{"a":1,}',
    b'{"a":1} x',
    b"{'a': 1}",
    b"nul",
    b'{"a":"\x01"}',
    b"\xff",
    b"<html>",
    b"[" * 100_000,
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_json_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(JsonError) as caught:
        parse_object(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"[]", b"1", b'"text"', b"null"])
def test_an_object_is_expected(text: bytes) -> None:
    with pytest.raises(JsonError, match="expected an object"):
        parse_object(text)


def test_an_array_of_objects_is_read() -> None:
    assert parse_objects(b'[{"Id":"a"},{"Id":"b"},null]') == [{"Id": "a"}, {"Id": "b"}]
