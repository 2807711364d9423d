"""systemd-docker: a Docker container as a systemd service.

The way of a command line, left to right; each noun is a frozen record made by one function and never filled in later:

    argv                       options.grammar, .own  -> RunOptions, OwnOptions
    RunOptions, client's side  options.request        -> CreateRequest       what docker would ask the engine for
    environ, /proc/self        unit                   -> UnitContext
    the manager's socket       manager, unit          -> UnitProperties      asked first, read last
    the engine's /info         engine.client          -> EngineInfo
    all of these               adoption, plan (pure)  -> LaunchPlan          the request, the adoption, who is main
    LaunchPlan                 service.launch         -> Container           created, attached, waited for, started
    Container, UnitContext     service.adopt             proof that it is where it should be, or moving it there
                               service.mainpid           MAINPID=, READY=1
                               service.guard             tells systemd if this process is killed
    everything still needed    service.run            -> Held                one plain record
    Held                       service.live, .supervise -> Outcome           relay, signals, proxy, health, reconnect
    Held                       service.rest              the process executes itself again, and keeps only this
    Outcome                    service.ending         -> Ending              exit status, or a signal of our own
    Ending                     cli                       the one place that exits

The rooms, and who may know whom. Imports point one way, and tests/test_architecture.py holds them to it:

    foundations   errors log jsonobj record undo
    mechanisms    linux cgroup sd_notify sd_listen journal manager systemctl    one kernel interface or protocol each;
                  unitfile engine/                                              no policy, no logging, raise OSError
    vocabulary    unit options/, then adoption plan quadlet/                    pure; text or JSON in, records out
    service       service/                                                      one running service: policy, effects
    commands      commands/, then cli                                           every other subcommand

Why no dataclasses, typing, pathlib, logging or subprocess at run time: one process per unit is a cost the user
pays once per container. systemd_docker.record and service.rest have the measured figures.
"""

__version__ = "0.1.0"
