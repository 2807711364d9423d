"""The limits of a running service's waits; a stop cuts each of them to what is left of the unit's time."""

from __future__ import annotations

DRAIN_TIMEOUT_SEC = 10
"""How long the last output may take when the container has ended: its reader is slower than any known one, or
stuck."""

SILENCE_SEC = 10
"""How long an engine may take to notice that a leader is dead; then it counts as lost."""

LAST_SILENCE_SEC = 0.5
"""The least that an engine has for its answer when the unit's time to stop is over."""

OUTPUT_END_SEC = 2
"""Between the end of the output and the engine's answer; a longer gap means that it was another run's end."""

RETURN_TIMEOUT_SEC = 60
"""How long the engine may take to come back and tell how a dead container ended. Until then a restart of the unit
would only find that there is no engine."""

STOPPED_RETURN_TIMEOUT_SEC = 5
"""The same for a container that was to stop: how it ended matters less than that the stop comes to its end."""

EARLY_SEC = 1
"""How long, on a busy host, the runtime may take to execute the payload when the engine reports it as running."""
