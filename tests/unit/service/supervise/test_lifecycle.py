"""The transition table: every pair of phase and event is defined once, and what follows is what should."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.service.supervise import lifecycle as life
from systemd_docker.service.supervise.supervisor import EFFECTS

PAIRS = list(itertools.product(life.PHASES, life.EVENTS))

EXPECTED = {
    (life.RUNNING, life.LEADER_DIED): (life.DEAD, "systemd-docker is main again, the engine has a moment to answer"),
    (life.RUNNING, life.EXIT_KNOWN): (life.DRAINING, "an answer before the death is seen is an end as well"),
    (life.RUNNING, life.EXIT_LOST): (life.LOST, "an engine that goes away ends nothing"),
    (life.RUNNING, life.OUTPUT_ENDED): (life.RUNNING, "the answer has to follow soon"),
    (life.RUNNING, life.ANSWER_OVERDUE): (life.LOST, "output without an answer was another run's end"),
    (life.DEAD, life.STOP): (life.DEAD, "less time for the answer"),
    (life.DEAD, life.EXIT_KNOWN): (life.DRAINING, "the usual end"),
    (life.DEAD, life.EXIT_LOST): (life.LOST_DEAD, "only the engine knows the exit code"),
    (life.DEAD, life.OUTPUT_ENDED): (life.DEAD, "the answer has to follow soon"),
    (life.DEAD, life.ANSWER_OVERDUE): (life.LOST_DEAD, "an engine that hangs counts as lost"),
    (life.LOST, life.LEADER_DIED): (life.LOST_DEAD, "the unit does not claim to run while nothing does"),
    (life.LOST, life.FOUND_RUNNING): (life.RUNNING, "live-restore"),
    (life.LOST, life.FOUND_RESTARTED): (life.RUNNING, "restarted while the engine was away"),
    (life.LOST, life.FOUND_ENDED): (life.DRAINING, "it ended while the engine was away"),
    (life.LOST, life.FOUND_NOTHING): (life.ENDING, "it was removed while the engine was away"),
    (life.LOST_DEAD, life.STOP): (life.LOST_DEAD, "less time for the engine's return"),
    (life.LOST_DEAD, life.FOUND_RESTARTED): (life.RUNNING, "the returning engine has started it again"),
    (life.LOST_DEAD, life.FOUND_ENDED): (life.DRAINING, "the engine is back and knows"),
    (life.LOST_DEAD, life.FOUND_NOTHING): (life.ENDING, "nothing knows how it ended"),
    (life.LOST_DEAD, life.RETURN_OVERDUE): (life.ENDING, "the engine does not come back in time"),
    (life.DRAINING, life.STOP): (life.DRAINING, "less time for the last output"),
    (life.DRAINING, life.DRAIN_OVERDUE): (life.DRAINING, "the rest is dropped, which ends the output"),
    (life.DRAINING, life.DRAINED_FINAL): (life.ENDING, "it was asked to stop, and has"),
    (life.DRAINING, life.DRAINED_OPEN): (life.JUDGING, "it may be the first half of docker restart"),
    (life.JUDGING, life.STOP): (life.JUDGING, "the engine has a moment for the reason"),
    (life.JUDGING, life.VERDICT_FINAL): (life.ENDING, "it ended by itself"),
    (life.JUDGING, life.VERDICT_STOPPED): (life.RESTARTING, "docker stop, or docker restart"),
    (life.RESTARTING, life.STOP): (life.ENDING, "a restart is not waited for any more"),
    (life.RESTARTING, life.STARTED): (life.REJOINING, "docker restart"),
    (life.RESTARTING, life.NOT_RESTARTED): (life.ENDING, "docker stop"),
    (life.REJOINING, life.STOP): (life.REJOINING, "less time for the engine"),
    (life.REJOINING, life.FOUND_RESTARTED): (life.RUNNING, "the new leader"),
    (life.REJOINING, life.FOUND_ENDED): (life.DRAINING, "it has ended again at once"),
    (life.REJOINING, life.FOUND_NOTHING): (life.ENDING, "it was removed at once"),
    (life.REJOINING, life.RETURN_OVERDUE): (life.ENDING, "the engine has gone away at that moment"),
    (life.ENDING, life.SETTLED): (life.ENDED, "systemd takes this process's exit status"),
}
"""By (phase, event): the next phase, and why."""


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda word: str(word))
def test_every_pair_is_defined_once_and_leads_where_it_should(phase: str, event: str) -> None:
    assert ((phase, event) in life.TABLE) != ((phase, event) in life.IGNORED)

    following = life.transition(phase, event)

    assert following.to == EXPECTED.get((phase, event), (phase, ""))[0]
    if (phase, event) in life.IGNORED:
        assert not following.effects
        assert life.IGNORED[phase, event]


def test_a_pair_that_is_not_defined_is_an_error() -> None:
    with pytest.raises(KeyError):
        life.transition(life.RUNNING, "unheard of")


def test_every_effect_can_be_carried_out() -> None:
    used = {effect for following in life.TABLE.values() for effect in following.effects}

    assert used == set(EFFECTS)


@given(st.lists(st.sampled_from(life.EVENTS), max_size=60))
def test_no_walk_reaches_an_undefined_pair_or_leaves_the_end(events: list[str]) -> None:
    phase = life.RUNNING
    effects: list[str] = []
    for event in events:
        following = life.transition(phase, event)
        assert phase != life.ENDED or following.to == life.ENDED
        phase = following.to
        effects += following.effects

    assert effects.count(life.FINISH) == (phase == life.ENDED)


ALIVE = (life.RUNNING, life.LOST)
ENGINE_ERRORS = (life.EXIT_LOST, life.ANSWER_OVERDUE, life.RETURN_OVERDUE, life.VERDICT_FINAL, life.DRAIN_OVERDUE)


@pytest.mark.parametrize(
    ("phase", "event"), list(itertools.product(ALIVE, ENGINE_ERRORS)), ids=lambda word: str(word)
)
def test_no_error_of_the_engine_ends_a_service_whose_leader_lives(phase: str, event: str) -> None:
    assert life.transition(phase, event).to in ALIVE


@pytest.mark.parametrize("phase", [phase for phase in life.PHASES if phase != life.ENDED])
def test_every_phase_can_reach_the_end(phase: str) -> None:
    reached, seen = {phase}, set[str]()
    while reached - seen:
        here = (reached - seen).pop()
        seen.add(here)
        reached |= {following.to for (start, _), following in life.TABLE.items() if start == here}

    assert life.ENDED in reached


TIMED = {
    life.DEAD: life.AWAIT_ANSWER,
    life.LOST_DEAD: life.AWAIT_RETURN,
    life.DRAINING: life.DRAIN,
    life.REJOINING: life.AWAIT_RETURN,
}


@pytest.mark.parametrize("phase", list(TIMED))
def test_a_phase_after_the_leaders_death_is_never_entered_without_a_deadline(phase: str) -> None:
    """JUDGING and RESTARTING have theirs in service.recovery.judgement, ENDING has the barrier's."""
    entering = [row for (start, _), row in life.TABLE.items() if row.to == phase and start != phase]

    assert entering
    assert all(TIMED[phase] in following.effects for following in entering)
