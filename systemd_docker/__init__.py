"""systemd-docker: a Docker container as a systemd service.

The way of a command line, left to right; each noun is a frozen record made by one function and never filled in later:

    argv                       options.grammar        -> RunOptions
    environ, /proc/self        unit                   -> UnitContext
    the engine's /info         engine.client          -> EngineInfo
    all three                  adoption, plan (pure)  -> LaunchPlan
    LaunchPlan                 service.launch         -> Container
    Container, UnitContext     service.adopt          -> Adoption
                               service.readiness         MAINPID=, READY=1
    fds                        service.supervise      -> Outcome
    Outcome                    service.ending            exit status

Imports point one way, and tests/test_architecture.py holds them to it: foundations (errors log jsonobj record),
then mechanisms (one kernel interface or protocol each, no policy, raising OSError), then vocabulary (pure), then
service (one running service: policy and effects), then commands and cli.

Why no dataclasses, typing, pathlib, logging or subprocess at run time: one process per unit is a cost the user
pays once per container. systemd_docker.record has the measured figures.
"""

__version__ = "0.1.0"
