"""What no test of this directory reaches of the code that lives as long as its container, and the check of it.

    coverage run -m pytest tests && python3 -m tests.uncovered

It prints the table, and fails where less is reached than has to be.

pyproject.toml names the modules and the least coverage of all of them together.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

PACKAGE = "systemd_docker"

REASONS = {
    "service/exit_status.py": {
        "end": "The process dies of a signal, and coverage with it; tests/unit/service/test_exit_status.py sees it.",
    },
    "service/notifications/payload_socket.py": {
        "_lock_parent": "Another service removes the directory between two system calls.",
        "_open_parent": "Another service removes the directory between two system calls.",
        "_remove_one": "A start was killed between two system calls.",
    },
    "service/output/relay.py": {
        "Relay._flush": "The reader's buffer is full at the end of a record, to the byte.",
    },
    "service/output/sinks.py": {
        "DroppingSink.flush": "The reader's buffer is full at the end of a record, to the byte.",
    },
    "service/recovery/judgement.py": {
        "Judgement._decide": "An answer and the timer are due in one round of the loop.",
    },
    "service/recovery/reattach.py": {
        "Reattachment._watch_directory": "inotify has no instances left.",
    },
    "service/id_files.py": {
        "CidFile.__init__": "A file system without locks is not at hand.",
        "CidFile.remove": "The file disappears between two system calls.",
        "_unlink": "The directory becomes read-only between two system calls.",
    },
    "service/supervise/reexec.py": {
        "reexec": "A memfd or execve(2) fails: the kernel is out of memory.",
    },
}
"""By module and function; a function is here where at least one of its lines is not reached."""


def missed(report: Any) -> dict[tuple[str, str], list[int]]:
    """Return the lines that are not reached, by module and function, from coverage's JSON."""
    return {
        (module.partition(f"{PACKAGE}/")[2], function): region["missing_lines"]
        for module, file in report["files"].items()
        for function, region in file["functions"].items()
        if region["missing_lines"]
    }


def main() -> int:
    # Only the check needs it: this module's table is read where coverage is not installed.
    import coverage

    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.combine([str(ROOT)], strict=True)
    measured.save()
    percent = measured.report(skip_covered=True, show_missing=True)
    with tempfile.TemporaryDirectory() as directory:
        measured.json_report(outfile=f"{directory}/coverage.json")
        found = missed(json.loads(Path(directory, "coverage.json").read_text()))
    for (module, function), lines in sorted(found.items()):
        reason = REASONS.get(module, {}).get(function, "no reason in tests/uncovered.py: a test is missing")
        print(f"{module} {function or 'module'}, {len(lines)} lines: {reason}")
    least = measured.get_option("report:fail_under")
    assert isinstance(least, float)
    print(f"{percent:.1f} % of the lines are reached, {least:g} % have to be")
    return 1 if percent < least else 0


if __name__ == "__main__":
    sys.exit(main())
