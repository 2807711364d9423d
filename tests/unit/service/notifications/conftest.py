"""Notifications to systemd's end of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.sd.notify import Notifier

if TYPE_CHECKING:
    from tests.fakes.manager import Manager


@pytest.fixture
def notifier(manager: Manager) -> Notifier:
    return Notifier(manager.path)
