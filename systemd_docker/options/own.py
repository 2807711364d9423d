"""systemd-docker's own options, in front of the subcommand: `systemd-docker [OPTIONS] run …`.

The Go tool's options keep their names and meaning, single dashes included, so that its unit files work unchanged.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.pflag import Flag, Spellings, parse_flags, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class OwnOptions:
    """The values of systemd-docker's own options.

    cgroups:      the v1 hierarchies in which a container is moved, ("name=systemd", "cpu") or ("all",); systemd's is
                  always among them. A container that is created in the unit is there in every hierarchy.
    logs:         relay the container's output.
    env:          pass systemd-docker's own environment on to the container.
    pid_file:     file for the leader's PID; "" for none.
    exit_:        "same" ends as the container ended, "code" exits with docker-run's 128+n.
    replace:      remove another container that has the wanted name, even if it runs.
    print_:       "human", or "api" for JSON.
    journal:      "stream" relays output unchanged, "fields" makes each line a record with Docker's fields.
    log_overflow: when the reader of the log falls behind: "block" slows the payload down, "drop" loses output.
    log_priority: syslog(3)'s, of standard output and of standard error.
    plain_request: ask the engine for what the docker CLI asks for, and for nothing more.
    """

    cgroups: tuple[str, ...]
    logs: bool
    env: bool
    pid_file: str
    adopt: str
    main_pid: str
    exit_: str
    sdnotify: str
    watchdog: str
    health_on_failure: str
    dry_run: bool
    print_: str
    journal: str
    log_level: str
    log_overflow: str
    log_priority: tuple[int, int]
    replace: bool
    help: bool
    version: bool
    plain_request: bool = False


def choice(long: str, help: str, words: str, default: str) -> Flag:  # noqa: A002  the column's name
    """A row whose argument is one of the words, "auto|parent|move|none"; the help shows them."""

    def read(text: str) -> str:
        if text not in words.split("|"):
            raise UsageError(f"must be one of {', '.join(words.split('|'))}")
        return text

    return Flag(long, words, help, read=read, default=default)


PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""By number, as journalctl(1) takes them for --priority=."""


def priorities(text: str) -> tuple[int, int]:
    """ "info:err" -> (6, 3), "5" -> (5, 5): of standard output and standard error."""
    out, colon, err = text.partition(":")
    return _priority(out), _priority(err if colon else out)


def _read_priorities(text: str) -> str:
    priorities(text)
    return text


def _priority(word: str) -> int:
    if word in PRIORITIES:
        return PRIORITIES.index(word)
    if word in {str(number) for number in range(len(PRIORITIES))}:
        return int(word)
    raise UsageError(f"'{word}' is not a priority", hint=f"Known are 0 to 7, and {', '.join(PRIORITIES)}.")


OWN_FLAGS = (
    choice("adopt", "How the container's processes become part of the unit", "auto|parent|move|none", "auto"),
    Flag("cgroups", "NAME", "Hierarchy of cgroup v1 in which --adopt=move moves it, or \"all\"", short="c",
         repeats=True),
    switch("dry-run", "Print the create request and the planned cgroup changes, and exit"),
    switch("env", "Pass systemd-docker's environment on to the container", short="e"),
    choice("exit", "End as the container ended, or exit with docker-run's status", "same|code", "same"),
    choice("health-on-failure", "Action when the container becomes unhealthy", "none|kill|restart|stop", "none"),
    switch("help", "Print this help", short="h"),
    choice("journal", "How to write output: as a plain stream, or as journal records with Docker's fields",
           "stream|fields", "stream"),
    choice("log-level", "Least important message of systemd-docker to write", "error|warning|notice|info|debug",
           "info"),
    choice("log-overflow", "When the log reader falls behind: block the container, or drop output",
           "block|drop", "block"),
    Flag("log-priority", "OUT[:ERR]", "Priorities of standard output and standard error in the journal",
         read=_read_priorities, default="info:err"),
    switch("logs", "Relay the container's output", short="l", default="true"),
    choice("main-pid", "Process that systemd tracks as the main one", "auto|container|wrapper", "auto"),
    switch("notify", "The same as --sdnotify=container", short="n"),
    Flag("pid-file", "FILE", "Write the PID of the container's first process to this file", short="p"),
    choice("print", "Format of --dry-run", "human|api", "human"),
    switch("replace", "Remove another container with the same name, even if it runs"),
    choice("sdnotify", "When to send READY=1: after the start (conmon), when the container sends it"
           " (container), when healthy, or never (ignore)", "conmon|container|healthy|ignore", "conmon"),
    switch("version", "Print the version"),
    choice("watchdog", "What keeps the watchdog alive: the container, its healthcheck, or the engine"
           " reporting it as running", "auto|payload|health|engine", "auto"),
)  # fmt: skip

HIDDEN_FLAGS = (switch("plain-request", ""),)
"""For comparing the create request with the docker CLI's; no unit has a use for it."""

_OWN = Spellings((*OWN_FLAGS, *HIDDEN_FLAGS))


def parse_own(argv: Sequence[str]) -> tuple[OwnOptions, tuple[str, ...]]:
    """Return the options, and the words after them: ("run", "--rm", "busybox", …), or none."""
    uses, rest = parse_flags(argv, _OWN)
    values = {flag.long: flag.default for flag in (*OWN_FLAGS, *HIDDEN_FLAGS)} | {
        flag.long: value for flag, value in uses
    }
    notify = [value if flag.long == "sdnotify" else "container" for flag, value in uses if _sets_notify(flag, value)]
    texts = {long: str(value) for long, value in values.items()}
    switches = {long: value in (True, "true") for long, value in values.items()}
    options = OwnOptions(
        cgroups=tuple(str(value) for flag, value in uses if flag.long == "cgroups"),
        logs=switches["logs"],
        env=switches["env"],
        pid_file=texts["pid-file"],
        adopt=texts["adopt"],
        main_pid=texts["main-pid"],
        exit_=texts["exit"],
        sdnotify=str(notify[-1]) if notify else texts["sdnotify"],
        watchdog=texts["watchdog"],
        health_on_failure=texts["health-on-failure"],
        dry_run=switches["dry-run"],
        print_=texts["print"],
        journal=texts["journal"],
        log_level=texts["log-level"],
        log_overflow=texts["log-overflow"],
        log_priority=priorities(texts["log-priority"]),
        replace=switches["replace"],
        help=switches["help"],
        version=switches["version"],
        plain_request=switches["plain-request"],
    )
    return options, rest


def _sets_notify(flag: Flag, value: object) -> bool:
    return flag.long == "sdnotify" or (flag.long == "notify" and value is True)
