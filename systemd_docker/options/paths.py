"""Paths as Go's path and path/filepath clean them."""

from __future__ import annotations

import posixpath


def clean(path: str) -> str:
    """ "/dev//a/../b/" -> "/dev/b"; "" -> "."."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned  # POSIX lets two slashes be special, Go does not


def absolute(path: str, directory: str) -> str:
    """path as seen from directory, cleaned."""
    return clean(path if path.startswith("/") else f"{directory}/{path}")
