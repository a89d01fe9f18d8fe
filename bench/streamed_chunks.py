"""What a streamed chunk costs the gateway: passed through, and translated from each API to each.

A sandbox sends long streams, a token a write; the gateway relays them to clients of every API. The
same streams in each case, one case after the other; what counts is the gateway's CPU for each
chunk, and its ratio to the first pass-through. Gateway, sandbox and clients run in a process each,
over TCP on loopback. Takes two minutes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish
from harness.http import Connections, request_bytes
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process, sandbox

from forebay.protocol.jsontext import JsonObject

STREAMS: Final = 8
"""At once."""
INTERVAL_MS: Final = 2
_ASKED: Final = "Where does the water wait?"

UPSTREAMS: Final[dict[str, JsonObject]] = {
    "openai": {"kind": "openai_compatible", "path": "/v1"},
    "anthropic": {"kind": "anthropic", "path": "", "api_key": "none"},
    "ollama": {"kind": "ollama", "path": ""},
}
CLIENTS: Final[dict[str, tuple[str, JsonObject]]] = {
    "openai": ("/v1/chat/completions", {"stream_options": {"include_usage": True}}),
    "anthropic": ("/v1/messages", {"max_tokens": 8192}),
    "ollama": ("/api/chat", {}),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one case."""

    cpu_seconds: float
    unserved: int


def _config(upstream: Server) -> JsonObject:
    providers: JsonObject = {}
    for name, settings in UPSTREAMS.items():
        path = settings["path"]
        address = f"http://127.0.0.1:{upstream.port}{path}"
        rest: JsonObject = {key: value for key, value in settings.items() if key != "path"}
        if name == "ollama":
            providers[name] = {**rest, "hosts": [address]}
        else:
            providers[name] = {**rest, "base_url": address}
    return {"server": {"drain_ms": 500}, "providers": providers}


def _request(client: str, upstream: str) -> bytes:
    path, fields = CLIENTS[client]
    body: JsonObject = {
        "model": f"{upstream}/sandbox-chat",
        "messages": [{"role": "user", "content": _ASKED}],
        "stream": True,
        **fields,
    }
    return request_bytes(path, json.dumps(body).encode())


async def stream(server: Server, request: bytes) -> Cost:
    """``STREAMS`` of them at once."""
    connections = Connections(server.port)
    served = 0

    async def one() -> None:
        nonlocal served
        answer = await connections.exchange(request)
        served += answer.status == 200

    before = server.resources().cpu_seconds
    async with trio.open_nursery() as nursery:
        for _ in range(STREAMS):
            nursery.start_soon(one)
    connections.close()
    return Cost(server.resources().cpu_seconds - before, STREAMS - served)


async def measure(server: Server, upstream: Server, tokens: int) -> Report:
    """All pairs."""
    await stream(server, _request("openai", "openai"))
    bystanders = Bystanders(server, upstream)
    costs = {
        (client, target): await stream(server, _request(client, target))
        for client in CLIENTS
        for target in UPSTREAMS
    }
    chunks = STREAMS * tokens
    baseline = costs["openai", "openai"].cpu_seconds
    figures: list[Figure] = []
    for (client, target), cost in costs.items():
        way = "passed through" if client == target else f"from {target}"
        figures += [
            Figure(f"{client}, {way}", 1e6 * cost.cpu_seconds / chunks, "us"),
            Figure("    of the first", cost.cpu_seconds / baseline),
        ]
    figures += [
        at_most("streams not served", sum(cost.unserved for cost in costs.values()), 0),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    ]
    title = f"CPU of the gateway for each streamed chunk; {STREAMS} streams of {tokens} at once"
    return Report(title, tuple(figures))


def main() -> int:
    """Starts the servers, measures, ends them."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    tokens = 500 if chosen.quick else 4000
    with (
        sandbox(token_interval_ms=INTERVAL_MS, reply_tokens=tokens) as upstream,
        gateway(_config(upstream)) as server,
    ):
        report = trio.run(partial(measure, server, upstream, tokens))
    return publish([report], as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
