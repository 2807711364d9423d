"""Comma-separated fields as Go's encoding/csv reads them: --mount, --gpus and the long form of --network.

Stricter than Python's csv: a quote may only stand around a whole field, "driver-opt=a=b,c".
"""

from __future__ import annotations

from systemd_docker.errors import UsageError


def split_fields(text: str) -> list[str]:
    """The fields of the first line that is not empty; in a quoted field a doubled quote is one."""
    text = text.replace("\r\n", "\n").lstrip("\n")
    if not text:
        raise UsageError("it is empty")
    fields: list[str] = []
    start = 0
    while True:
        field, end = _quoted_field(text, start) if text[start : start + 1] == '"' else _plain_field(text, start)
        fields.append(field)
        if text[end : end + 1] != ",":
            return fields
        start = end + 1


def _plain_field(text: str, start: int) -> tuple[str, int]:
    end = next((index for index in range(start, len(text)) if text[index] in ",\n"), len(text))
    quote = text.find('"', start, end)
    if quote != -1:
        raise UsageError("a quote inside a field: quote the whole field")
    return text[start:end], end


def _quoted_field(text: str, start: int) -> tuple[str, int]:
    field, begin = "", start + 1
    while (quote := text.find('"', begin)) != -1:
        field += text[begin:quote]
        follower = text[quote + 1 : quote + 2]
        if follower != '"':
            if follower not in ("", ",", "\n"):
                raise UsageError("text after a quoted field")
            return field, quote + 1
        field += '"'
        begin = quote + 2
    raise UsageError("a quote is not closed")
