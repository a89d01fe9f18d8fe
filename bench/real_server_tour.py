"""The whole tour through a gateway before a real llama.cpp server, with the official SDKs.

Run ``python bench/real_server_tour.py http://127.0.0.1:8080``. It starts gateways of its own, asks
them with the ``openai``, ``anthropic`` and ``ollama`` packages, and prints a line for every case:
what came, and whether that is what a client may expect. Exit status 1: something is not.

The server is asked in both APIs that it speaks: OpenAI's (provider ``chat``) and Anthropic's
(provider ``messages``), so that every guest meets a translation and most meet their own dialect.
Give the server at least 2 slots, ``--sse-ping-interval 1`` for its own keep-alives, and a template
with tools (``--chat-template-file bench/tour/hermes_tools.jinja``) for the tool calls. A tiny model
will do; its words don't matter. docs/real-servers.md tells what was seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial

from harness.processes import gateway, prepare_process
from tour import answers, holding
from tour.guests import all_guests
from tour.llama import LlamaServer
from tour.visits import Seen, Visit, told

from forebay.protocol.jsontext import JsonObject

_ROUTES = ("chat", "messages")
_MARKS = {True: "ok", False: "NOT OK", None: "-"}

Row = tuple[str, str, Seen]
"""The case, who asked whom, and what came."""


def gateway_config(server: LlamaServer, *, concurrency: int) -> JsonObject:
    """A gateway before ``server``, which it knows by both of its APIs. Streams are kept alive
    early, so that the tour does not take long."""
    limits: JsonObject = {"concurrency": concurrency}
    return {
        "server": {"drain_ms": 500},
        "wait": {"keepalive_after_ms": 250, "keepalive_every_ms": 200},
        "providers": {
            "chat": {
                "kind": "openai_compatible",
                "base_url": f"{server.url}/v1",
                "limits": limits,
            },
            "messages": {
                "kind": "anthropic",
                "base_url": server.url,
                "api_key": "none",
                "limits": limits,
            },
        },
        "clients": {name: {"key": key} for name, key in holding.KEYS.items()},
    }


def tour(server: LlamaServer, chosen: str) -> Iterator[Row]:
    """All cases whose name contains ``chosen``, one after the other."""
    key = next(iter(holding.KEYS.values()))
    with gateway(gateway_config(server, concurrency=server.slots)) as process:
        url = f"http://127.0.0.1:{process.port}"
        cases = [case for case in (*answers.CASES, *holding.CASES) if chosen in case[0]]
        for name, case in cases:
            for route in _ROUTES:
                for guest in all_guests(url, key):
                    visit = Visit(guest, route, url, server)
                    yield name, f"{guest.dialect} > {route}", told(partial(case, visit))
        if faults := process.faults_logged():
            yield "log", "gateway", Seen(f"{faults} faults logged", ok=False)
    for concurrency in (1, 2):
        name = f"12 at once, {concurrency} at a time"
        if chosen in name:
            with gateway(gateway_config(server, concurrency=concurrency)) as process:
                url = f"http://127.0.0.1:{process.port}"
                for route in _ROUTES:
                    crowd = partial(holding.crowd, url, route, server, concurrency)
                    yield name, f"all > {route}", told(crowd)


def main() -> int:
    """Run the tour and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="of the running llama.cpp server")
    parser.add_argument("--model", help="a model that it lists; default: the first")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with TEXT in the name")
    arguments = parser.parse_args()
    prepare_process()
    server = LlamaServer.at(arguments.url, arguments.model)
    print(
        f"llama.cpp {server.build}, model {server.model}, {server.slots} slots of "
        f"{server.context} tokens, tools: {server.has_tools}, vision: {server.has_vision}\n"
    )
    counts = dict.fromkeys(_MARKS, 0)
    for name, way, seen in tour(server, arguments.only):
        counts[seen.ok] += 1
        print(f"{name:24}{way:22}{_MARKS[seen.ok]:8}{seen.came}", flush=True)
    print(f"\n{counts[True]} ok, {counts[False]} not ok, {counts[None]} not applicable")
    return 1 if counts[False] or not counts[True] else 0


if __name__ == "__main__":
    sys.exit(main())
