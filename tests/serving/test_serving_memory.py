"""What is left of a connection that is over: nothing that only the garbage collector could free.

The collector stops everything while it looks for circles, the longer the more requests are held.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from forebay.endpoints.serving._connection import Connection
from forebay.endpoints.serving._hypercorn import GuardedProtocol

if TYPE_CHECKING:
    from tests.serving.conftest import App, Linked

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n"


@pytest.fixture
def remains() -> Iterator[Callable[[], list[str]]]:
    """Tells what there is of connections that were made in this test, in which no garbage is
    collected."""
    gc.collect()
    gc.disable()
    # Something may still hold what a test before this one has made.
    before = _parts_of_connections()

    def made_since() -> list[str]:
        return [
            type(part).__name__
            for part in _parts_of_connections()
            if not any(part is older for older in before)
        ]

    yield made_since
    gc.enable()


def _parts_of_connections() -> list[object]:
    return [part for part in gc.get_objects() if isinstance(part, (Connection, GuardedProtocol))]


async def test_a_connection_that_was_answered_leaves_nothing(
    app: App, linked: Linked, remains: Callable[[], list[str]]
) -> None:
    async with linked(app) as client:
        await client.send(HELLO + HELLO)
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        assert remains()
    await trio.testing.wait_all_tasks_blocked()
    assert remains() == []


async def test_a_client_that_left_while_it_was_held_leaves_nothing(
    app: App, linked: Linked, remains: Callable[[], list[str]]
) -> None:
    async with linked(app) as client:
        await client.send(HELD)
        await app.until("held")
    await app.until("ended /held")
    await trio.testing.wait_all_tasks_blocked()
    assert remains() == []
