"""The archive that systemd_docker.program describes, made from the package's folder by `install-system`.

The same sources and the same Python make the same bytes, whenever and wherever it is made: entries are sorted and
have no date of their own, compiled modules name their source by its hash, and a new interpreter compiles them,
because marshal(3)'s bytes depend on what else an interpreter has in memory.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import subprocess
import sys
import zipfile

from systemd_docker import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip archive can hold."""

UNCHECKED_HASH_BASED = 0b01
"""A .pyc whose source is not compared with it; see PEP 552."""

FIRST = f"{program.PACKAGE}/program.pyc"

_CHILD = """\
import marshal, sys
sources = marshal.load(sys.stdin.buffer)
code = {name: marshal.dumps(compile(source, name, "exec", dont_inherit=True)) for name, source in sources.items()}
sys.stdout.buffer.write(marshal.dumps(code))
"""


def build(package: Path, resources: Mapping[str, bytes]) -> bytes:
    """Return the archive with the modules below the folder package.

    resources: other files, by their path below the package.
    Raises CalledProcessError where a module cannot be compiled.
    """
    paths = [path for path in sorted(package.rglob("*.py")) if "resources" not in path.parts]
    sources = {_entry(package, path): path.read_bytes() for path in paths}
    compiled = compile_modules(sources)
    others = {f"{program.PACKAGE}/{path}": content for path, content in resources.items()}
    entries = dict(sorted({**sources, **compiled, **others}.items()))
    # The index is as long as it will be, so that nothing moves when it is filled in.
    draft = _archive(entries, _index(dict.fromkeys(compiled, (0, 0))))
    with zipfile.ZipFile(io.BytesIO(draft)) as archive:
        places = {name: _code_place(archive.getinfo(name)) for name in compiled}
    return _archive(entries, _index(places))


def compile_modules(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return "systemd_docker/x.pyc" -> the file's bytes; sources are by "systemd_docker/x.py"."""
    argv = [sys.executable, program.OPTIONS, "-c", _CHILD]
    result = subprocess.run(argv, input=marshal.dumps(dict(sources)), stdout=subprocess.PIPE, check=True)
    code: dict[str, bytes] = marshal.loads(result.stdout)
    flags = UNCHECKED_HASH_BASED.to_bytes(4, "little")
    heads = {
        name: importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(sources[name]) for name in sources
    }
    return {f"{name}c": heads[name] + code[name] for name in sources}


def _entry(package: Path, path: Path) -> str:
    return f"{program.PACKAGE}/{path.relative_to(package)}"


def _archive(entries: Mapping[str, bytes], index: bytes) -> bytes:
    file = io.BytesIO()
    first = {FIRST: entries[FIRST], program.INDEX: index}
    if sum(map(len, first.values())) + 2 * program.LOCAL_HEADER_BYTES + 64 > program.HEAD_MAX_BYTES:
        raise ValueError(f"{FIRST} and the index are longer than {program.HEAD_MAX_BYTES} bytes")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {**first, **entries}.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), data)
    return file.getvalue()


def _code_place(info: zipfile.ZipInfo) -> tuple[int, int]:
    """Offset in the archive, and size, of a compiled module's code."""
    header = program.LOCAL_HEADER_BYTES + len(info.filename) + program.PYC_HEADER_BYTES
    return info.header_offset + header, info.file_size - program.PYC_HEADER_BYTES


def _index(places: Mapping[str, tuple[int, int]]) -> bytes:
    """The lines, behind an empty one, that program.HeldModules looks for."""
    lines = [f"{_module(name)} {offset:9} {size:9}\n" for name, (offset, size) in sorted(places.items())]
    return "".join(["\n", *lines]).encode()


def _module(name: str) -> str:
    """Return "systemd_docker.kernel/" for "systemd_docker/kernel/__init__.pyc"."""
    path = name.removesuffix(".pyc")
    return path.removesuffix("/__init__").replace("/", ".") + ("/" if path.endswith("/__init__") else "")
