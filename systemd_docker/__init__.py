"""systemd-docker: a Docker container as a systemd service.

A command line flows left to right. Each noun is a frozen record made by one function and never filled in later:

    argv                       options               -> RunOptions, OwnOptions
    RunOptions, client side    options               -> CreateRequest      what docker would ask the engine for
    environ, /proc/self        unit                  -> UnitContext
    systemd, over D-Bus        sd.unit_properties    -> UnitProperties     asked first, read last
    the engine's /info         engine.client         -> EngineInfo
    all of these               plan (pure)           -> LaunchPlan         the request, the adoption, the main PID
    LaunchPlan                 service.start         -> Container          created, attached, waited for, started
    Container, UnitContext     service.adoption         proves the container's cgroup, or moves its processes there
    everything still needed    service.start         -> Held               one plain record
    Held                       service.supervise     -> Outcome            output, signals, notifications, recovery
    Outcome                    service.exit_status   -> Ending             exit status, or a signal
    Ending                     cli                      the one place that exits

Packages, in the order of their imports, which point one way; tests/architecture/ enforces it:

    foundations   errors log jsonobj frozen program
    mechanisms    kernel/ sd/ engine/                one kernel interface or protocol each; no policy; raise OSError
    vocabulary    unit options/ plan/ generator/     pure; text or JSON in, records out
    service       service/                           one running service: start, adoption, output, notifications,
                                                     supervise, recovery
    commands      commands/, then cli                every other subcommand; the one exit

Modules that a running service imports avoid dataclasses, typing, pathlib, logging and subprocess: one process per
unit stays in memory as long as its container runs. frozen and service.supervise.reexec have the figures.
"""

__version__ = "0.2.0"
