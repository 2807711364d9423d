"""The machinery that makes machines, runs commands in them and audits them.

    cache       trees that are built once: entries named by the hash of their recipe, locks
    root        base roots: one row per Debian suite
    images      container images made of Debian packages
    leash       commands that end with their caller, even if that is killed
    cgroups     the host's cgroups that a machine lives in
    states      directories of machines that are up, and removal of those that killed processes left
    nspawn      booted(spec): a machine from its layers to its end
    readiness   when a machine is up
    vm          booted(spec) for machines with a kernel of their own: real cgroup controllers
    qemu        the emulator that those run on
    polling     poll(): waiting for something that sends no event
    machine     Machine: run commands in it, write files, read its journal; Spec: which machine
    product     the wheel, the layer that installs it, installed(spec): a machine with it
    audit       comparison of a machine before and after a test
    report      the state of a machine on which a test failed
    shell       `integration/machine`: a shell or a command in a machine

Only product knows what is tested. Programs that run inside a machine are in inside/, what tests say about units and
containers is in words/.
"""
