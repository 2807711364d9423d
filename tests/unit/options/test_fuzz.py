"""Whatever is typed, reading it ends in a request or in a UsageError."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.differential import generated
from tests.differential.generated import check_random_flags, check_random_words

FEW = settings(max_examples=150, suppress_health_check=list(HealthCheck))

test_random_words_are_read_or_refused = FEW(given(generated.random_words())(check_random_words))
test_random_flags_are_asked_for_or_refused = FEW(given(generated.command_lines())(check_random_flags))
