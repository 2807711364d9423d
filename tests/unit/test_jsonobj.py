"""jsonobj reads and writes what the standard library's json does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.jsonobj import JsonError, dump, get, parse_object, parse_objects

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
    assert text.decode() == json.dumps({"value": value}, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("code", [0xDCE9, 0xD800, 0xDFFF])
def test_surrogates_become_the_replacement_character_as_in_go(code: int) -> None:
    """Bytes of argv that are no UTF-8, and lone escapes in a docker config."""
    text = f"caf{chr(code)}"

    assert dump({"Cmd": [text], text: 1}) == '{"Cmd":["caf\ufffd"],"caf\ufffd":1}'.encode()


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_write_is_refused(value: float) -> None:
    with pytest.raises(JsonError, match="not JSON"):
        dump({"NanoCpus": value})


def test_a_missing_field_and_one_of_another_type_are_named() -> None:
    obj = parse_object(b'{"State":{"Pid":"7","Running":true}}')

    with pytest.raises(JsonError, match=r"^no field State\.ExitCode$"):
        get(obj, "State.ExitCode", int)
    with pytest.raises(JsonError, match=r"^field State\.Pid: expected int, got str$"):
        get(obj, "State.Pid", int)
    with pytest.raises(JsonError, match=r"^field State\.Running: expected int, got bool$"):
        get(obj, "State.Running", int)


BAD = [
    b"",
    b"   ",
    b"{",
    b'{"a"',
    b'{"a":}',
    b'{"a":1,}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":' + b"1" * 5000 + b"}",
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
