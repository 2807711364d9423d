"""The life of a running service as a state machine: phases, events, and one transition table. Pure.

    RUNNING ──exit known──────────────────────────> DRAINING ──drained, asked for──────────> ENDING ──> ENDED
       │  ╲                                          ^    ╲                                    ^
       │   leader died ──> DEAD ──exit known─────────┤     drained, open ──> JUDGING ──final──>┤
       │                    │                        │                         │               │
     exit lost          overdue                    ended                    stopped       not restarted
       v                    v                        │                         v               │
      LOST ──leader died──> LOST_DEAD ───────────────┤                     RESTARTING ────────>┤
       │                    │    ╲ return overdue────┼──────────────────────── │ ─────────────>┤
       └── found ───────────┴──> RUNNING <───────────┼──── found restarted ─ REJOINING ───────>┘

What an event means for a phase stands in TABLE, or in IGNORED with the reason why nothing follows from it; every pair
is in one of the two. Effects are carried out by service.supervise.supervisor, in the order in which they stand here.
Only ENDED removes a container, and no error of the engine leads there while the leader lives.
"""

from __future__ import annotations

from systemd_docker.frozen import frozen

RUNNING = "running"
"""The leader lives, and the engine is connected: it will answer when the container exits."""

DEAD = "dead"
"""The leader is dead; the engine has not answered yet."""

LOST = "lost"
"""The leader lives; the engine is away, or does not answer as it should."""

LOST_DEAD = "lost, dead"
"""The leader is dead, and the engine, which alone knows its exit code, is away."""

DRAINING = "draining"
"""The exit code is known; the last output is on its way."""

JUDGING = "judging"
"""The container ended without this unit's asking: the engine is asked for the reason."""

RESTARTING = "restarting"
"""The engine was asked to stop the container, which may be the first half of `docker restart`."""

REJOINING = "rejoining"
"""The engine has started the container again; its new leader is being looked up."""

ENDING = "ending"
"""It is over; systemd has not confirmed yet that systemd-docker is the main process again."""

ENDED = "ended"

PHASES = (RUNNING, DEAD, LOST, LOST_DEAD, DRAINING, JUDGING, RESTARTING, REJOINING, ENDING, ENDED)

STOP = "stop requested"
LEADER_DIED = "leader died"
EXIT_KNOWN = "exit known"
EXIT_LOST = "exit lost"
ANSWER_OVERDUE = "answer overdue"
OUTPUT_ENDED = "output ended"
DRAIN_OVERDUE = "drain overdue"
DRAINED_FINAL = "drained, as asked for"
DRAINED_OPEN = "drained, reason unknown"
FOUND_RUNNING = "found running"
FOUND_RESTARTED = "found restarted"
FOUND_ENDED = "found ended"
FOUND_NOTHING = "found nothing"
RETURN_OVERDUE = "return overdue"
VERDICT_FINAL = "verdict: final"
VERDICT_STOPPED = "verdict: stopped by the engine"
STARTED = "started again"
NOT_RESTARTED = "not restarted"
SETTLED = "main process settled"

EVENTS = (
    STOP,
    LEADER_DIED,
    EXIT_KNOWN,
    EXIT_LOST,
    ANSWER_OVERDUE,
    OUTPUT_ENDED,
    DRAIN_OVERDUE,
    DRAINED_FINAL,
    DRAINED_OPEN,
    FOUND_RUNNING,
    FOUND_RESTARTED,
    FOUND_ENDED,
    FOUND_NOTHING,
    RETURN_OVERDUE,
    VERDICT_FINAL,
    VERDICT_STOPPED,
    STARTED,
    NOT_RESTARTED,
    SETTLED,
)

RECOVERY_EVENTS = (FOUND_RUNNING, FOUND_RESTARTED, FOUND_ENDED, FOUND_NOTHING)

TAKE_MAIN_BACK = "take the main process back"
SAY_STOPPING = "send STOPPING=1"
AWAIT_ANSWER = "limit the wait for the engine's answer"
AWAIT_ANSWER_SOON = "limit the wait for the engine's answer, output has ended"
RECOVER = "look for the container"
AWAIT_RETURN = "limit the wait for the engine's return"
RESUME = "go on with the same leader"
RESTART = "go on with a new leader"
DRAIN = "let the last output out"
GIVE_UP_OUTPUT = "give the last output up"
JUDGE = "ask the engine for the reason"
HURRY = "limit the wait for the engine's reason"
AWAIT_RESTART = "wait for the container's next start"
SETTLE = "wait until systemd has taken the main process back"
FINISH = "end"


@frozen
class Transition:
    """The next phase, and what is done on the way. Timers of the phase that is left are cancelled first.

    to: the same phase where only effects follow; its timers stay then.
    """

    to: str
    effects: tuple[str, ...] = ()


TABLE: dict[tuple[str, str], Transition] = {
    # The engine is connected, the leader lives.
    (RUNNING, LEADER_DIED): Transition(DEAD, (TAKE_MAIN_BACK, AWAIT_ANSWER)),
    (RUNNING, EXIT_KNOWN): Transition(DRAINING, (TAKE_MAIN_BACK, DRAIN)),
    (RUNNING, EXIT_LOST): Transition(LOST, (RECOVER,)),
    (RUNNING, OUTPUT_ENDED): Transition(RUNNING, (AWAIT_ANSWER_SOON,)),
    (RUNNING, ANSWER_OVERDUE): Transition(LOST, (RECOVER,)),
    # The leader is dead; a stop leaves the engine less time to say how it ended.
    (DEAD, STOP): Transition(DEAD, (AWAIT_ANSWER,)),
    (DEAD, EXIT_KNOWN): Transition(DRAINING, (DRAIN,)),
    (DEAD, EXIT_LOST): Transition(LOST_DEAD, (SAY_STOPPING, RECOVER, AWAIT_RETURN)),
    (DEAD, OUTPUT_ENDED): Transition(DEAD, (AWAIT_ANSWER_SOON,)),
    (DEAD, ANSWER_OVERDUE): Transition(LOST_DEAD, (SAY_STOPPING, RECOVER, AWAIT_RETURN)),
    # The engine is away.
    (LOST, LEADER_DIED): Transition(LOST_DEAD, (TAKE_MAIN_BACK, SAY_STOPPING, AWAIT_RETURN)),
    (LOST, FOUND_RUNNING): Transition(RUNNING, (RESUME,)),
    (LOST, FOUND_RESTARTED): Transition(RUNNING, (TAKE_MAIN_BACK, RESTART)),
    (LOST, FOUND_ENDED): Transition(DRAINING, (TAKE_MAIN_BACK, DRAIN)),
    (LOST, FOUND_NOTHING): Transition(ENDING, (TAKE_MAIN_BACK, SETTLE)),
    (LOST_DEAD, STOP): Transition(LOST_DEAD, (AWAIT_RETURN,)),
    (LOST_DEAD, FOUND_RESTARTED): Transition(RUNNING, (RESTART,)),
    (LOST_DEAD, FOUND_ENDED): Transition(DRAINING, (DRAIN,)),
    (LOST_DEAD, FOUND_NOTHING): Transition(ENDING, (SETTLE,)),
    (LOST_DEAD, RETURN_OVERDUE): Transition(ENDING, (SETTLE,)),
    # The exit code is known.
    (DRAINING, STOP): Transition(DRAINING, (DRAIN,)),
    (DRAINING, DRAIN_OVERDUE): Transition(DRAINING, (GIVE_UP_OUTPUT,)),
    (DRAINING, DRAINED_FINAL): Transition(ENDING, (SETTLE,)),
    (DRAINING, DRAINED_OPEN): Transition(JUDGING, (JUDGE,)),
    (JUDGING, STOP): Transition(JUDGING, (HURRY,)),
    (JUDGING, VERDICT_FINAL): Transition(ENDING, (SETTLE,)),
    (JUDGING, VERDICT_STOPPED): Transition(RESTARTING, (AWAIT_RESTART,)),
    (RESTARTING, STOP): Transition(ENDING, (SETTLE,)),
    (RESTARTING, STARTED): Transition(REJOINING, (RECOVER, AWAIT_RETURN)),
    (RESTARTING, NOT_RESTARTED): Transition(ENDING, (SETTLE,)),
    (REJOINING, STOP): Transition(REJOINING, (AWAIT_RETURN,)),
    (REJOINING, FOUND_RESTARTED): Transition(RUNNING, (RESTART,)),
    (REJOINING, FOUND_ENDED): Transition(DRAINING, (DRAIN,)),
    (REJOINING, FOUND_NOTHING): Transition(ENDING, (SETTLE,)),
    (REJOINING, RETURN_OVERDUE): Transition(ENDING, (SETTLE,)),
    (ENDING, SETTLED): Transition(ENDED, (FINISH,)),
}

_STOPPER = "the stopper acts on it"
_OVER = "it is over"
_KNOWN = "the exit code is known already"
_DEAD_KNOWN = "the leader is known to be dead"
_LATE = "an answer to a question that has been dropped"
_NOT_ASKED = "nothing waits for it in this phase"

_VERDICTS = (VERDICT_FINAL, VERDICT_STOPPED, STARTED, NOT_RESTARTED)
_DRAINS = (DRAIN_OVERDUE, DRAINED_FINAL, DRAINED_OPEN)


def _ignored(phase: str, **reasons: tuple[str, ...]) -> dict[tuple[str, str], str]:
    texts = {
        "stopper": _STOPPER,
        "over": _OVER,
        "known": _KNOWN,
        "dead": _DEAD_KNOWN,
        "late": _LATE,
        "idle": _NOT_ASKED,
    }
    return {(phase, event): texts[reason] for reason, events in reasons.items() for event in events}


IGNORED: dict[tuple[str, str], str] = {
    **_ignored(
        RUNNING, stopper=(STOP,), late=(*RECOVERY_EVENTS, *_VERDICTS), idle=(*_DRAINS, RETURN_OVERDUE, SETTLED)
    ),
    **_ignored(
        DEAD,
        dead=(LEADER_DIED,),
        late=(*RECOVERY_EVENTS, *_VERDICTS),
        idle=(*_DRAINS, RETURN_OVERDUE, SETTLED),
    ),
    **_ignored(
        LOST,
        stopper=(STOP,),
        late=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *_VERDICTS),
        idle=(OUTPUT_ENDED, *_DRAINS, RETURN_OVERDUE, SETTLED),
    ),
    **_ignored(
        LOST_DEAD,
        dead=(LEADER_DIED, FOUND_RUNNING),
        late=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *_VERDICTS),
        idle=(OUTPUT_ENDED, *_DRAINS, SETTLED),
    ),
    **_ignored(
        DRAINING,
        dead=(LEADER_DIED,),
        known=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *RECOVERY_EVENTS, RETURN_OVERDUE),
        late=_VERDICTS,
        idle=(OUTPUT_ENDED, SETTLED),
    ),
    **_ignored(
        JUDGING,
        dead=(LEADER_DIED,),
        known=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *RECOVERY_EVENTS, RETURN_OVERDUE),
        late=(STARTED, NOT_RESTARTED),
        idle=(OUTPUT_ENDED, *_DRAINS, SETTLED),
    ),
    **_ignored(
        RESTARTING,
        dead=(LEADER_DIED,),
        known=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *RECOVERY_EVENTS, RETURN_OVERDUE),
        late=(VERDICT_FINAL, VERDICT_STOPPED),
        idle=(OUTPUT_ENDED, *_DRAINS, SETTLED),
    ),
    **_ignored(
        REJOINING,
        dead=(LEADER_DIED, FOUND_RUNNING),
        late=(EXIT_KNOWN, EXIT_LOST, ANSWER_OVERDUE, *_VERDICTS),
        idle=(OUTPUT_ENDED, *_DRAINS, SETTLED),
    ),
    **_ignored(ENDING, over=tuple(event for event in EVENTS if event != SETTLED)),
    **_ignored(ENDED, over=EVENTS),
}
"""By (phase, event): why nothing follows."""


def transition(phase: str, event: str) -> Transition:
    """Return what follows from event in phase; staying there without effects where the event is ignored.

    Raises KeyError: the pair is in neither table.
    """
    if found := TABLE.get((phase, event)):
        return found
    # Named, so that a pair that the table lacks is an error and not a silent stay.
    IGNORED[phase, event]
    return Transition(phase)
