"""The sandbox on a TCP port."""

from __future__ import annotations

from functools import partial

import trio

from forebay.endpoints.sandbox._connection import serve_connection
from forebay.endpoints.sandbox._sandbox import Sandbox

BACKLOG = 4096


async def serve_sandbox(
    sandbox: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen and serve until cancelled; then every connection is closed.

    Starts with the port as its value: ``port = await nursery.start(serve_sandbox, sandbox)``.

    Raises:
        OSError: the address can't be listened on.
    """
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    if port == 0:
        # A name may stand for several addresses, and each would get another free port.
        for extra in listeners[1:]:
            await extra.aclose()
        del listeners[1:]
    bound: int = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(trio.serve_listeners, partial(serve_connection, sandbox=sandbox), listeners)
        )
        task_status.started(bound)


def banner(address: str) -> str:
    """What a person should read before trusting an answer; ``address`` is where it listens."""
    return (
        f"Forebay's sandbox answers on {address}.\n"
        "There is no real model behind it: every answer is made up by a small program,\n"
        "always the same for the same question. No provider is called and nothing is charged.\n"
        "Its models: GET /v1/models. What it has counted: GET /sandbox/stats"
    )
