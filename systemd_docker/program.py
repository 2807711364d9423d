"""The program that this process runs: one file, which the process holds from its first moment to its last.

`systemd-docker install-system` writes it to PREFIX/lib/systemd-docker/program.zip: a stored zip archive with every
module, as source and compiled. A launcher opens it before anything else. From then on this process takes its modules
from that descriptor, executes that descriptor again, and never looks for code by name. Another version that is
installed meanwhile is another file: a running service does not notice that, nor that systemd-docker is removed.

    systemd_docker/program.pyc   this module: a launcher runs it by its offset
    index                        a line for each module: "name offset size", in bytes; a package's name ends in "/"
    NAME.pyc, NAME.py            as in any zip archive with Python modules

Another Python than the one that compiled the archive cannot run the .pyc files. It imports the source, through
zipimport, and runs slower until `install-system` is run again.

Why not zipimport for all of it, nor `python3 ARCHIVE`: medians of 5 to 21 interleaved runs with Debian 12's Python,
CPU of `run --rm IMAGE true` against an engine that answers at once, and private memory of a service at rest:

    a folder with .pyc files                 21.1 ms  3328 kB    replaced under a running service by an upgrade
    archive, `python3 ARCHIVE` (runpy)       26.8 ms  4040 kB
    archive, zipimport                       22.8 ms  3438 kB
    archive, index and pread: this one       18.1 ms  3472 kB

From a folder (a checkout, `python3 -m systemd_docker`, pip's console script) modules are found by name as usual. Such
a process executes itself again only while the folder is as it was; see is_unchanged().
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's, without the package above it: 0.3 ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.abc import Loader
    from types import ModuleType
    from typing import NoReturn
else:
    Loader = object  # importlib.abc costs 3 ms

NAME = "systemd-docker"

PACKAGE = "systemd_docker"

RESUME_VARIABLE = "SYSTEMD_DOCKER_RESUME"
"""The number of the descriptor that holds the state of a running service; see service.supervise.reexec."""

INDEX = "index"

HEAD_MAX_BYTES = 32 * 1024
"""What a launcher reads at once: this module and the index have to be in it."""

NOT_HELD = -1
"""held_fd() of a process that runs from a folder."""

LOCAL_HEADER_BYTES = 30
"""Of a zip archive's entry, without its name; its size in bytes is at offset 22, in four bytes."""

PYC_HEADER_BYTES = 16
"""Magic number, flags, and hash of the source."""

DEPENDENCIES = ("sdnotify", "systemd")
"""Packages, apart from the archive, that a running service imports."""

OPTIONS = "-ISXutf8"
"""Python's options. One word, because the kernel hands all that follows the interpreter in a script's first line over
as a single argument."""

LOAD = f"""\
head = os.pread(fd, {HEAD_MAX_BYTES}, 0)
if head[{LOCAL_HEADER_BYTES + len(PACKAGE) + 12}:][:4] == MAGIC_NUMBER:
    program = type(sys)("{PACKAGE}.program")
    sys.modules[program.__name__] = program
    exec(marshal.loads(memoryview(head)[{LOCAL_HEADER_BYTES + len(PACKAGE) + 12 + PYC_HEADER_BYTES}:]), vars(program))
else:  # compiled for another Python
    from {PACKAGE} import program
    head = b""
program.hold(fd, head)
del head
"""
"""The end of each launcher: run this module from the archive's first entry, fd being the archive."""

RELAUNCHER = f"""\
import marshal, os, sys
from _frozen_importlib_external import MAGIC_NUMBER
fd = {{archive_fd}}
os.close({{own_fd}})
os.set_inheritable(fd, False)
sys.argv[0] = {{argv0!a}}
sys.path[:] = {{import_path!a}}
{LOAD}
program.set_process_name()
from {PACKAGE}.__main__ import main
sys.exit(main())
"""
"""What execute_again() has the interpreter run, from a descriptor of its own."""


class HeldModules(Loader):
    """Finds and loads the archive's compiled modules; see importlib.abc's MetaPathFinder and Loader."""

    def __init__(self, fd: int, index: bytes) -> None:
        self.origin = f"/proc/self/fd/{fd}"
        self._fd = fd
        self._index = index

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(PACKAGE):
            return None
        for suffix in (" ", "/ "):
            begin = self._index.find(f"\n{name}{suffix}".encode())
            if begin >= 0:
                begin += 1
                _name, offset, size = self._index[begin : self._index.index(b"\n", begin)].split()
                spec = ModuleSpec(name, self, origin=self.origin, is_package=suffix != " ")
                spec.loader_state = (int(offset), int(size))
                return spec
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Have importlib make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        offset, size = spec.loader_state
        exec(marshal.loads(os.pread(self._fd, size, offset)), vars(module))

    def get_source(self, name: str) -> str | None:
        """The source, for the lines of a traceback."""
        # Only a bug in systemd-docker needs it, and it reads the whole directory of the archive.
        from zipimport import zipimporter

        package, _, last = name.rpartition(".")
        return zipimporter(f"{self.origin}/{package.replace('.', '/')}").get_source(last)


_fd = NOT_HELD


def hold(fd: int, head: bytes) -> None:
    """Take modules from the archive fd from now on; called by launchers, once.

    head: the archive's first HEAD_MAX_BYTES; nothing where zipimport has to find modules in sys.path.
    """
    global _fd, _at_start
    _fd = fd
    _at_start = _identities()
    if not head:
        return
    first = LOCAL_HEADER_BYTES + len(f"{PACKAGE}/program.pyc")
    second = first + int.from_bytes(head[22:26], "little")
    begin = second + LOCAL_HEADER_BYTES + len(INDEX)
    size = int.from_bytes(head[second + 22 : second + 26], "little")
    modules = HeldModules(fd, head[begin : begin + size])
    sys.meta_path.insert(0, modules)
    # A child that this process starts needs the entry in sys.path. Here, zipimport would keep 100 kB of directory.
    sys.path_importer_cache[modules.origin] = None


def held_fd() -> int:
    """The descriptor of the archive that this process runs; NOT_HELD where it runs from a folder."""
    return _fd


def is_unchanged() -> bool:
    """Check whether the same program would run if this process executed itself again.

    Asks for Python's library and for DEPENDENCIES, which other packages own, and for the modules of a program that
    runs from a folder. None of them is read; what counts is which files there are.
    """
    return _identities() == _at_start


def execute_again(environ: Mapping[str, str]) -> NoReturn:
    """Replace this process's image by a new one of the same interpreter that runs the same program.

    Descriptors that the new image needs have to be inheritable, but for the archive's. Raises OSError.
    """
    if _fd == NOT_HELD:
        os.execve(sys.executable, sys.orig_argv, environ)
    script = os.memfd_create(NAME, 0)  # inheritable
    try:
        text = RELAUNCHER.format(archive_fd=_fd, own_fd=script, argv0=sys.argv[0], import_path=sys.path)
        os.write(script, text.encode())
        os.set_inheritable(_fd, True)
        # The interpreter's file may have been replaced, too. argv[0] tells it where its library is. The label, to
        # Python an option that it does not know, tells readers of ps(1) and `systemctl status` what is running.
        executable = os.readlink("/proc/self/exe").removesuffix(" (deleted)")
        argv = [executable, OPTIONS, f"-X{NAME}", f"/proc/self/fd/{script}", *sys.argv[1:]]
        os.execve("/proc/self/exe", argv, environ)
    finally:
        os.set_inheritable(_fd, False)
        os.close(script)


def set_process_name() -> None:
    """Set the name that ps(1) and the journal's _COMM= show; after execute_again() it would be "exe"."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(NAME)
    except OSError:
        pass  # /proc may be read-only, and a running service needs no name


def _identities() -> list[tuple[int, ...]]:
    library = os.path.dirname(os.__file__)
    # A package's file, because its directory changes when Python writes caches into it.
    paths = [library, *(f"{directory}/{name}/__init__.py" for directory in sys.path for name in DEPENDENCIES)]
    identities = [_identity(path) for path in paths]
    if _fd == NOT_HELD:
        identities += _module_identities(os.path.dirname(__file__))
    return identities


def _identity(path: str) -> tuple[int, ...]:
    """Device, inode and time of modification; nothing where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _module_identities(directory: str) -> Iterator[tuple[int, ...]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        if name.endswith(".py"):
            yield _identity(path)
        elif "." not in name and name != "__pycache__":
            yield from _module_identities(path)


# A launcher that runs this module from the archive calls hold().
_at_start = _identities() if "__file__" in globals() else []
