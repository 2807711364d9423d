"""QEMU without acceleration: a processor, a disk, a console and one TCP port. vm.py has the machines that boot on it.

The emulator comes out of the machine's own base root, so the host needs none. It runs in a network namespace of its
own, where the port is the same for every machine and no other process reaches it.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from integration.harness.leash import launched
from integration.harness.polling import poll
from integration.inside.agent import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import TextIO

LAUNCH = Path(__file__).parent / "launch-vm.sh"

MEMORY = "1536M"

KERNEL_ARGUMENTS = (
    "root=/dev/vda", "rw", "console=ttyS0", "quiet", "net.ifnames=0",
    "systemd.getty_auto=no", "systemd.firstboot=no",
    "panic=-1",  # reboot at once: with -no-reboot that is an exit
    "apparmor=0",  # its tools are not installed, and the engine would ask for them
    "mitigations=off", "init_on_alloc=0",  # a quarter of the time of an emulated boot
)  # fmt: skip

MONITOR_TIMEOUT_SEC = 60

STATE, TEMPLATE = "/mnt", "/srv"
"""Where QEMU finds the machine's own directory, and that of its template."""

_PROCESSOR = f"file:{TEMPLATE}/processor"
_CAPABILITIES = [{"capability": "x-ignore-shared", "state": True}]
"""The memory is a file already, so migration leaves it out."""


def _options(kernel_arguments: Sequence[str], *, warm: bool) -> list[str]:
    """Return QEMU's options.

    kernel_arguments: added to KERNEL_ARGUMENTS.
    warm: continue from the template's memory, changing neither it nor the disk; else boot, and write to both.

    """
    memory = f"id=ram,size={MEMORY},mem-path={TEMPLATE}/memory,share={'off' if warm else 'on'}"
    disk = f"id=disk,file={TEMPLATE}/disk,format=raw,if=none,cache=unsafe,snapshot={'on' if warm else 'off'}"
    options = [
        "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35,memory-backend=ram", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2",
        "-m", MEMORY, "-object", f"memory-backend-file,{memory}",
        "-drive", disk, "-device", "virtio-blk-pci,drive=disk",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{PORT}-:{PORT}",
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-serial", f"file:{STATE}/console", "-qmp", f"unix:{STATE}/monitor,server=on,wait=off",
        "-kernel", "/vmlinuz", "-initrd", "/initrd.img", "-append", " ".join((*KERNEL_ARGUMENTS, *kernel_arguments)),
    ]  # fmt: skip
    return [*options, *(("-incoming", "defer") if warm else ("-no-reboot",))]


def emulator(
    root: Path, state: Path, template: Path, kernel_arguments: Sequence[str], *, warm: bool
) -> AbstractContextManager[int]:
    """Run QEMU; yield a PID with QEMU's network namespace: QEMU ends with it, and it with QEMU."""
    words = [str(state), str(root), str(template), *_options(kernel_arguments, warm=warm)]
    return launched(LAUNCH, words, state / "emulator", unshare=["--net"])


def command(state: Path, name: str, **arguments: object) -> object:
    """Send one command of the QEMU Machine Protocol; return the answer, or raise RuntimeError with the refusal."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(MONITOR_TIMEOUT_SEC)
        monitor.connect(str(state / "monitor"))
        with monitor.makefile("rw") as stream:
            stream.readline()  # its greeting
            _ask(stream, "qmp_capabilities", {})
            return _ask(stream, name, arguments)


def _ask(stream: TextIO, name: str, arguments: Mapping[str, object]) -> object:
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    while line := stream.readline():
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]
    raise ConnectionResetError(f"the emulator ended before it answered to {name}")


def listens(state: Path) -> bool:
    """Whether the monitor takes commands yet."""
    with socket.socket(socket.AF_UNIX) as monitor:
        return monitor.connect_ex(str(state / "monitor")) == 0


def load(state: Path) -> None:
    """Continue from the template, on an emulator that was started warm."""
    command(state, "migrate-set-capabilities", capabilities=_CAPABILITIES)
    command(state, "migrate-incoming", uri=_PROCESSOR)


def save(state: Path) -> None:
    """Write the processor's state to the template and quit. Memory and disk are there already."""
    command(state, "migrate-set-capabilities", capabilities=_CAPABILITIES)
    command(state, "migrate", uri=_PROCESSOR)
    poll(lambda: _is_saved(state), what="the emulator to save the machine", timeout_sec=MONITOR_TIMEOUT_SEC)
    command(state, "quit")


def _is_saved(state: Path) -> bool:
    answer = command(state, "query-migrate")
    status = answer.get("status") if isinstance(answer, dict) else None
    if status == "failed":
        raise RuntimeError(f"the emulator cannot save the machine: {answer}")
    return status == "completed"


def recipe(kernel_arguments: Sequence[str]) -> tuple[object, ...]:
    """Return what a saved machine depends on."""
    return tuple(_options(kernel_arguments, warm=False)), LAUNCH.read_text()
