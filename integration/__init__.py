"""Tests on booted machines: a real systemd, a real engine, and what a user sees of them.

    harness/     the machinery: machines, their roots and caches, the audit after each test
    inside/      programs that run in a machine, with the standard library alone
    words/       what several tests say: units, payloads, questions about processes and the journal
    tables/      the fault table and the adoption matrix, as data
    tests/       tests of the product, by subject
    own_tests/   tests of the harness
    benchmarks/  what a unit costs
    conftest.py  the fixtures machine and own_machine; an audit after each test; a report where one failed
    demo.py      the main job, shown

Commands, each preparing a fresh Debian by itself (setup.sh): `test` runs everything, `demo` shows the main job,
`machine` gives a shell in a machine, `bench` measures.

A machine takes about a second, one with a kernel of its own some more: base root (kept), product layer (kept as long
as the sources are the same) and a tmpfs make its overlay. Tests share one machine per module and suite;
@pytest.mark.machines(Spec("trixie", hierarchy="hybrid"), ...) asks for others, the fixture own_machine for one that
may be rebooted or broken.
"""
