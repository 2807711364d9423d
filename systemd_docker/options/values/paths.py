"""Paths as Go's path and path/filepath clean them. By hand: os.path would be the only module that reading imports."""

from __future__ import annotations


def clean(path: str) -> str:
    """ "/dev//a/../b/" -> "/dev/b"; "a/.." and "" -> "."."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", ".") and not (part == ".." and rooted):
            parts.append(part)
    return f"/{'/'.join(parts)}" if rooted else "/".join(parts) or "."


def absolute(path: str, directory: str) -> str:
    """path as seen from directory, cleaned."""
    return clean(path if path.startswith("/") else f"{directory}/{path}")


def parent(path: str) -> str:
    """ "a/b" -> "a", "b" -> ".", "/b" -> "/"."""
    directory, slash, _ = path.rpartition("/")
    return directory or slash or "."
