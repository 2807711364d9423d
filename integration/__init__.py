"""Booted machines, and what a user sees on them.

    cache       what is built once: entries named by the hash of their recipe, locks
    root        base roots: one row per Debian suite
    images      container images made of Debian packages
    leash       commands that end with us, whatever happens to us
    cgroups     the host's cgroups that a machine lives in
    states      machines that are up, and what killed ones left
    nspawn      booted(spec): a machine's way from its layers to its death
    readiness   when a machine is up
    vm          booted(spec) for machines with a kernel of their own: real cgroup controllers
    qemu, agent the emulator they run on; commands for what no namespace leads into
    polling     poll(): waiting for what nobody tells of
    machine     Machine: what a test talks to; Spec: which machine
    product     the wheel, the layer that installs it, installed(spec): a machine with it
    audit       what a test must not leave behind
    report      what to know of a machine on which a test failed

Commands, each preparing a fresh Debian by itself (setup.sh): `test` runs everything, `demo` shows the main job,
`machine` gives a shell in a machine.

A machine takes about a second, one of vm's some more: base root (kept), product layer (kept as long as the sources
are the same) and a tmpfs make its overlay. Tests share one per module and suite; @pytest.mark.machines(Spec("trixie",
hierarchy="hybrid"), ...) asks for others, the fixture own_machine for one that may be rebooted or broken.
"""
