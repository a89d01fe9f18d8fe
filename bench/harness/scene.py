"""What is asked of whom: the gateway's configuration, its clients' requests, the servers' pages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import trio

from forebay.protocol.jsontext import JsonObject, JsonValue
from harness.http import fetch_json, request_bytes
from harness.processes import Server

MODEL: Final = "bench"
_PROMPT: Final = "Where does the water wait? " * 36
"""About a kilobyte, so that a request is as large as the short ones of practice."""


def client_key(number: int) -> str:
    """The key of a client of :func:`gateway_config`."""
    return f"bench-key-{number}"


def gateway_config(
    sandboxes: dict[str, Server],
    *,
    limits: dict[str, JsonObject] | None = None,
    clients: int = 1,
    max_wait_ms: int = 300_000,
    weights: Mapping[int, float] | None = None,
) -> JsonObject:
    """A gateway before some sandboxes, each behind a model of the same name.

    Args:
        limits: by the model's name; where there is none the gateway has to find out.
        clients: how many.
        weights: by the number of the client; 1 where there is none.
    """
    providers: JsonObject = {
        name: {
            "kind": "sandbox",
            "base_url": f"http://127.0.0.1:{server.port}",
            "limits": (limits or {}).get(name, {}),
        }
        for name, server in sandboxes.items()
    }
    return {
        # Connections are kept as long as a measurement lasts: the client does not try twice.
        "server": {"max_sessions": 10_000, "keep_alive_ms": 900_000, "drain_ms": 500},
        "wait": {"max_wait_ms": max_wait_ms},
        "providers": providers,
        "models": {name: {"targets": [f"{name}/sandbox-chat"]} for name in sandboxes},
        "clients": {
            f"client-{n}": {"key": client_key(n), "weight": (weights or {}).get(n, 1.0)}
            for n in range(clients)
        },
    }


def chat_request(
    *, client: int = 0, model: str = MODEL, stream: bool = False, text: str = _PROMPT
) -> bytes:
    """A chat request of OpenAI's API, as bytes."""
    body: JsonObject = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    return request_bytes(
        "/v1/chat/completions",
        json.dumps(body).encode(),
        headers={"authorization": f"Bearer {client_key(client)}"},
    )


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a sandbox has counted."""

    received: int
    refused: int
    """With 429."""
    cancelled: int
    in_flight: int
    connections: int
    """Open, the one that asked for these counts among them."""
    starts: tuple[float, ...]
    """When calls were let through, on the sandbox's own clock."""

    @property
    def span(self) -> float:
        """Seconds from the first start to the last."""
        return self.starts[-1] - self.starts[0] if self.starts else 0.0

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.received)

    def slot_seconds(self, call_seconds: float) -> float:
        """How long calls of this length have held slots, up to the last start."""
        if not self.starts:
            return 0.0
        end = self.starts[-1]
        return sum(min(call_seconds, end - start) for start in self.starts)


async def upstream_counts(sandbox: Server) -> Upstream:
    """Ask a sandbox."""
    stats = await fetch_json(sandbox.port, "/sandbox/stats")
    refused = cast("dict[str, int]", stats["refused"])
    return Upstream(
        received=_count(stats["received"]),
        refused=refused.get("429", 0),
        cancelled=_count(stats["cancelled"]),
        in_flight=_count(stats["in_flight"]),
        connections=_count(stats["open_connections"]),
        starts=tuple(cast("list[float]", stats["starts"])),
    )


async def change_sandbox(sandbox: Server, **options: JsonValue) -> None:
    """Let a sandbox behave differently from now on."""
    await fetch_json(sandbox.port, "/sandbox/options", options)


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What a gateway says of itself."""

    waiting: int
    in_flight: int
    sessions: int
    """Actors that are neither models nor providers: one for every request."""


async def gateway_state(gateway: Server) -> GatewayState:
    """Ask a gateway."""
    status = await fetch_json(gateway.port, "/forebay/status", key=client_key(0))
    actors = cast("JsonObject", status["actors"])
    permanent = len(cast("list[JsonValue]", status["models"])) + len(
        cast("list[JsonValue]", status["providers"])
    )
    return GatewayState(
        waiting=_count(status["waiting"]),
        in_flight=_count(status["in_flight"]),
        sessions=_count(actors["child_count"]) - permanent,
    )


async def wait_until(
    condition: Callable[[], Awaitable[bool]], *, every: float, timeout: float
) -> float:
    """Ask another process, ``every`` so many seconds, until something holds there; when it first
    did, on trio's clock.

    Raises:
        trio.TooSlowError: it did not within ``timeout`` seconds.
    """
    with trio.fail_after(timeout):
        while True:
            if await condition():
                return trio.current_time()
            await trio.sleep(every)


async def crowd_waits(gateway: Server, count: int, *, timeout: float = 60.0) -> float:
    """Until so many wait at the gateway; see :func:`wait_until`."""

    async def holds() -> bool:
        return (await gateway_state(gateway)).waiting >= count

    return await wait_until(holds, every=0.1, timeout=timeout)


async def nobody_waits(gateway: Server, *, timeout: float = 30.0) -> float:
    """Until nobody waits at the gateway any more; see :func:`wait_until`."""

    async def holds() -> bool:
        return (await gateway_state(gateway)).waiting == 0

    return await wait_until(holds, every=0.01, timeout=timeout)


def _count(value: JsonValue) -> int:
    assert isinstance(value, int), value
    return value


def as_number(value: JsonValue) -> float:
    """A number of a page."""
    assert isinstance(value, int | float), value
    return float(value)
