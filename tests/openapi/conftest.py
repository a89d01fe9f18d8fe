"""A gateway over providers of all dialects, and plain HTTP to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from live_gateway import LiveGateway, live_gateway
from sdk_wire import Wire


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    with live_gateway() as live:
        yield live


@pytest.fixture
def wire() -> Wire:
    """What went over :func:`http`."""
    return Wire()


@pytest.fixture
def http(wire: Wire) -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False, timeout=20, event_hooks=wire.hooks) as client:
        yield client
