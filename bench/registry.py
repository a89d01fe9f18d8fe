"""What 10,000 listed models cost: to list them, and to find one.

Four servers list 2,500 models each, with capabilities, prices and lengths. A gateway in a process
of its own is asked for its models in each API, thirty times: its CPU for each answer. Then, in this
process: the first list after something has changed, and finding a name's targets, next to writing
the same list as JSON and to looking up a name in a dict. Takes twenty seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import httpx
import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish
from harness.http import Connections, fetch_json, request_bytes
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process

from forebay.actors.config import Settings, parse_settings
from forebay.actors.jobs.job import ANONYMOUS
from forebay.actors.providers.provider import Provider
from forebay.actors.routing.catalog import Catalog
from forebay.endpoints.collector import set_for_holding
from forebay.endpoints.model_pages import write_list
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

PROVIDERS: Final = 4
EACH: Final = 2_500
MOST_LIST_MS: Final = 100
MOST_RESOLVE_US: Final = 50
_ASKED: Final = 30
_APIS: Final = {
    "/v1/models, OpenAI": ("/v1/models", {}),
    "/v1/models, Anthropic": ("/v1/models", {"anthropic-version": "2023-06-01"}),
    "/api/tags, Ollama": ("/api/tags", {}),
}


def _listing(provider: int) -> bytes:
    entries = [
        {
            "id": f"vendor-{number % 40}/model-{provider}-{number}",
            "object": "model",
            "context_length": 131_072,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0.000003", "completion": "0.000015"},
            "top_provider": {"max_completion_tokens": 64_000},
            "supported_parameters": ["tools", "structured_outputs", "temperature"],
        }
        for number in range(EACH)
    ]
    return json.dumps({"object": "list", "data": entries}).encode()


async def _serve_listing(provider: int, stream: trio.SocketStream) -> None:
    body = _listing(provider)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    try:
        while await stream.receive_some():
            await stream.send_all(head % len(body) + body)
    except trio.BrokenResourceError:
        pass


async def _listers(nursery: trio.Nursery) -> JsonObject:
    """Servers that list models; the providers that they are."""
    providers: JsonObject = {}
    for number in range(PROVIDERS):

        async def serve(stream: trio.SocketStream, number: int = number) -> None:
            await _serve_listing(number, stream)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"
        providers[f"up-{number}"] = {"kind": "openai_compatible", "base_url": url}
    return providers


async def _all_listed(server: Server) -> None:
    with trio.fail_after(30):
        while True:
            listed = (await fetch_json(server.port, "/v1/models"))["data"]
            if isinstance(listed, list) and len(listed) >= PROVIDERS * EACH:
                return
            await trio.sleep(0.1)


async def _cpu_of_answers(server: Server, path: str, headers: dict[str, str]) -> float:
    """Milliseconds of the gateway's CPU for each."""
    connections = Connections(server.port)
    request = request_bytes(path, headers=headers)
    before = server.resources().cpu_seconds
    for _ in range(_ASKED):
        answer = await connections.exchange(request)
        assert answer.status == 200
    spent = server.resources().cpu_seconds - before
    connections.close()
    return 1000 * spent / _ASKED


async def lists() -> Report:
    """Asked over HTTP."""
    async with trio.open_nursery() as nursery:
        config: JsonObject = {"providers": await _listers(nursery), "state": {"path": ":memory:"}}
        with gateway(config) as server:
            await _all_listed(server)
            bystanders = Bystanders(server)
            figures = [
                at_most(f"CPU for an answer: {name}", cost, MOST_LIST_MS, "ms")
                for name, (path, headers) in _APIS.items()
                for cost in [await _cpu_of_answers(server, path, headers)]
            ]
            figures.append(at_most("errors in the gateway's log", server.faults_logged(), 0))
            figures.append(bystanders.figure())
        nursery.cancel_scope.cancel()
    return Report(
        f"{PROVIDERS * EACH} models listed by a gateway, each {_ASKED} times", (*figures,)
    )


def _settings() -> Settings:
    providers: dict[str, object] = {
        f"up-{number}": {"kind": "openai_compatible", "base_url": "http://up.example.com/v1"}
        for number in range(PROVIDERS)
    }
    return parse_settings(
        {
            "providers": providers,
            "models": {"fast": {"targets": [f"{name}/vendor-1/model-0-1" for name in providers]}},
        }
    )


def _catalog() -> tuple[Catalog, list[Provider]]:
    settings = _settings()
    providers = {}
    for number, (name, defined) in enumerate(settings.providers.items()):
        provider = Provider(name, defined, httpx.AsyncBaseTransport(), Random(1))
        read = SPEECH[provider.profile.listing_dialect].decode_model_list
        provider.listing.update(read(_listing(number), provider.profile.read_entry))
        providers[name] = provider
    return Catalog(settings, providers), [*providers.values()]


def _best(what: Callable[[], object], rounds: int) -> float:
    """Seconds of CPU of the best round."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        what()
        best = min(best, time.process_time() - began)
    return best


async def finding(rounds: int) -> Report:
    """In this process."""
    catalog, providers = _catalog()

    def put_together() -> None:
        for provider in providers:
            provider.listing.update([*provider.listing.models.values()])
        catalog.index.entries(ANONYMOUS)

    anew = _best(put_together, rounds)
    figures = [Figure("names put together anew", 1000 * anew, "ms")]
    entries = catalog.index.entries(ANONYMOUS)
    for dialect, speech in SPEECH.items():
        cost = _best(partial(write_list, entries, 0, speech.encode_model_list), rounds)
        written = loads_object(write_list(entries, 0, speech.encode_model_list))
        bare = _best(partial(dumps, written), rounds)
        whole = 1000 * (anew + cost)
        figures.append(at_most(f"  and written: {dialect}", whole, MOST_LIST_MS, "ms"))
        figures.append(Figure("    writing over writing the same JSON", cost / bare))
    names = {entry.id: entry for entry in entries}
    some = Random(1).sample(list(names), 1_000)
    bare = _best(lambda: [names[name] for name in some], rounds) / len(some)
    for what, asked in (
        ("provider/model", some),
        ("a model's own id", [name.partition("/")[2] for name in some]),
        ("a configured model of four targets", ["fast"] * len(some)),
    ):
        best = float("inf")
        for _ in range(rounds):
            began = time.process_time()
            for name in asked:
                await catalog.resolve(name, Dialect("openai"), ANONYMOUS)
            best = min(best, (time.process_time() - began) / len(asked))
        figures.append(at_most(f"targets of {what}", 1e6 * best, MOST_RESOLVE_US, "µs"))
        figures.append(Figure("  over looking up a name in a dict", best / bare))
    return Report(f"Finding one of {len(entries)} names, in process", tuple(figures))


def main() -> int:
    """Lists, then finds."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    set_for_holding()  # as the gateway is
    reports = [trio.run(finding, 3 if chosen.quick else 10)]
    if not chosen.quick:
        reports.insert(0, trio.run(lists))
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
