"""What it costs to find out who can serve a request, with 10,000 models listed.

Names, needs, able targets and how each is asked: all that a request takes before it waits. No
network: the catalog is asked in this process, and its CPU time is counted. Ratios matter more than
figures: the time that it takes to decode the plainest request stands next to them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Final

import httpx
import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish

from forebay.actors.config import NameList, parse_settings
from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.job import Client, Job
from forebay.actors.jobs.operations import Inbound
from forebay.actors.providers.provider import Provider
from forebay.actors.routing.ability import able_targets
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.routing.eligibility import eligible_targets
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import dumps, loads_object

PROVIDERS: Final = 10
MODELS: Final = 1000
"""Of each provider."""
ROUNDS: Final = 25
_CODEC: Final = OpenAIChatCodec()
_BODY: Final = dumps(
    {
        "model": "fast",
        "messages": [
            {"role": "system", "content": "You answer briefly."},
            {"role": "user", "content": "Where does the water wait?"},
        ],
    }
)


def _models(number: int) -> list[ListedModel]:
    """With all that a talkative provider lists."""
    return [
        ListedModel(
            f"maker-{number}/model-{each}",
            (8192, 32_768, 131_072)[each % 3],
            max_output_tokens=8192,
            price_input=0.1 + each % 50,
            price_output=0.4 + each % 50,
            capabilities=frozenset({Capability.CHAT, Capability.TOOLS}),
            lacks=frozenset({Capability.AUDIO} if each % 2 else {Capability.VISION}),
        )
        for each in range(MODELS)
    ]


def _catalog() -> Catalog:
    settings = parse_settings(
        {
            "providers": {
                f"p{number}": {"kind": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
                for number in range(PROVIDERS)
            },
            "models": {
                "fast": {"targets": [f"p{n}/maker-{n}/model-{n}" for n in range(4)]},
                "star-*": {"targets": ["p1/maker-1/*", "p2/maker-2/*"]},
                **{f"other-{n}-*": {"targets": ["p1/*"]} for n in range(50)},
            },
            "aliases": {
                **{f"~other-(\\d+)-{n}": r"p3/\1" for n in range(20)},
                r"~alias-(\d+)": r"maker-9/model-\1",
            },
        }
    )
    random = Random(1)
    providers = {
        name: Provider(name, each, httpx.AsyncBaseTransport(), random)
        for name, each in settings.providers.items()
    }
    for number, provider in enumerate(providers.values()):
        provider.listing.update(_models(number))
    return Catalog(settings, providers)


def _run(routing: Coroutine[object, object, Resolution]) -> Resolution:
    """Nothing is waited for: one step."""
    try:
        routing.send(None)
    except StopIteration as end:
        resolution: Resolution = end.value
        return resolution
    raise AssertionError("it waits")


def route(catalog: Catalog, client: Client, model: str) -> None:
    """All that is done for one request before it waits."""
    fields = loads_object(_BODY)
    fields["model"] = model
    operation = ChatOperation(_CODEC.decode_request(fields), _CODEC, Inbound(body=_BODY))
    resolution = _run(catalog.resolve(model, OPENAI, client, operation))
    job = Job(operation=operation, client=client, arrived_at=0.0, deadline=1.0)
    able = resolution.targets
    if not resolution.is_any:
        able = able_targets(job, able, model)
    eligible_targets(job, able, model)


def decode() -> None:
    """What every request takes before."""
    fields = loads_object(_BODY)
    ChatOperation(_CODEC.decode_request(fields), _CODEC, Inbound(body=_BODY))


def microseconds(measured: Callable[[], object], repeats: int) -> float:
    """CPU time of one call, the middle of some rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for _ in range(repeats):
            measured()
        rounds.append((time.thread_time_ns() - began) / repeats / 1000)
    return statistics.median(rounds)


async def measure(repeats: int) -> Report:
    catalog = _catalog()
    anybody = Client(name="anybody")
    some = Client(name="some", models=NameList(["fast", "p*/maker-*", "maker-*/model-7*"]))
    reading = microseconds(decode, repeats)
    figures = [Figure("decoding the plainest request", reading, "us")]
    for title, client, model in (
        ("a configured model of four targets", anybody, "fast"),
        ("the same, with a list of what may be used", some, "fast"),
        ("a target named outright", anybody, "p7/maker-7/model-77"),
        ("a listed model", anybody, "maker-9/model-999"),
        ("the same, with a list of what may be used", some, "maker-9/model-777"),
        ("a name with a star", anybody, "star-model-5"),
        ("a regular expression, the last of 21", anybody, "alias-12"),
        ("auto, of all 10,000", anybody, "auto"),
        ("auto:vision,ctx>=100k", anybody, "auto:vision,ctx>=100k"),
    ):
        # The first of all makes the lists that the others use.
        await catalog.resolve(model, OPENAI, client)
        alone = microseconds(partial(route, catalog, client, model), repeats) - reading
        figures += [
            at_most(title, alone, 50, "us"),
            Figure("    of decoding", alone / reading),
        ]
    return Report("Routing one request: CPU until it waits", tuple(figures))


def main() -> int:
    """Measures."""
    chosen = argument_parser(__doc__).parse_args()
    report = trio.run(measure, 40 if chosen.quick else 400)
    return publish([report], as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
