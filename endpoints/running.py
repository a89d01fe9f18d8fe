"""The whole gateway as a server: opened, listening, and drained in order at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import trio

from forebay.actors.config import Settings
from forebay.actors.gateway import Gateway, open_gateway
from forebay.actors.stores import LearnedStore
from forebay.endpoints.app import ForebayApp
from forebay.endpoints.serving import ServingOptions, serve

_LAST_WORDS_SECONDS = 2.0
"""Kept of the drain time for telling those who still wait or read that it is over."""

Address = tuple[str, int]


def serving_options(settings: Settings) -> ServingOptions:
    """The serving loop's options that the configuration stands for."""
    server = settings.server
    return ServingOptions(
        host=server.host,
        port=server.port,
        max_connections=server.max_sessions,
        write_timeout=server.write_timeout_ms / 1000,
        keep_alive_timeout=max(0.001, server.keep_alive_ms / 1000),
        drain_timeout=server.drain_ms / 1000,
    )


async def serve_gateway(
    settings: Settings,
    *,
    shutdown: trio.Event,
    transport: httpx.AsyncBaseTransport | None = None,
    learned_store: LearnedStore | None = None,
    beside: Callable[[Gateway], Awaitable[None]] | None = None,
    on_ready: Callable[[tuple[Address, ...]], None] | None = None,
    task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown`` is set and the drain is over.

    Args:
        transport: carries calls to providers, as for :func:`open_gateway`.
        learned_store: as for :func:`open_gateway`.
        beside: runs while the gateway serves, until its drain begins.
        on_ready: called with the addresses that are listened at, when clients can connect.
        task_status: started with the same.

    Raises:
        OSError: the address can't be listened at.
    """
    try:
        await _serve_gateway(
            settings, shutdown, transport, learned_store, beside, on_ready, task_status
        )
    except BaseExceptionGroup as faults:
        fault = _only(faults)
        if isinstance(fault, OSError):
            raise fault from None
        raise


def _only(fault: BaseException) -> BaseException:
    """What is inside groups of one."""
    while isinstance(fault, BaseExceptionGroup) and len(fault.exceptions) == 1:
        fault = fault.exceptions[0]
    return fault


async def _serve_gateway(
    settings: Settings,
    shutdown: trio.Event,
    transport: httpx.AsyncBaseTransport | None,
    learned_store: LearnedStore | None,
    beside: Callable[[Gateway], Awaitable[None]] | None,
    on_ready: Callable[[tuple[Address, ...]], None] | None,
    task_status: trio.TaskStatus[tuple[Address, ...]],
) -> None:
    options = serving_options(settings)
    async with open_gateway(settings, transport=transport, learned_store=learned_store) as gateway:
        app = ForebayApp(gateway)
        async with trio.open_nursery() as nursery:
            addresses: tuple[Address, ...] = await nursery.start(
                partial(serve, app, options, shutdown=shutdown)
            )
            other_work = trio.CancelScope()
            if beside is not None:
                await nursery.start(_until_cancelled, beside, gateway, other_work)
            task_status.started(addresses)
            if on_ready is not None:
                on_ready(addresses)
            await shutdown.wait()
            other_work.cancel()
            gateway.begin_drain()
            deadline = trio.current_time() + options.drain_timeout
            last_words = min(_LAST_WORDS_SECONDS, options.drain_timeout / 4)
            with trio.move_on_at(deadline - last_words):
                await app.sessions_ended()
            await gateway.give_up_waiting()
            app.cut_sessions()


async def _until_cancelled(
    work: Callable[[Gateway], Awaitable[None]],
    gateway: Gateway,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with scope:
        task_status.started()
        await work(gateway)
