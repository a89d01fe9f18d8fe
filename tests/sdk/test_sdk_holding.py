"""Answers that were held and kept alive, as every official client hears them: the whole answer, or
an error. The status was said long before either."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from fault_questions import Wanted, gateway_for, take_the_only_places
from held_cases import BOTH_WAYS, BROKEN, KEPT, PROVIDERS, WAIT, held_questions
from live_gateway import UPSTREAMS
from sdk_questions import City, End, Question, Said
from sdk_speakers import CLIENTS, RELAYED, make_speaker
from sdk_wire import Exchange
from spoken_errors import JSON_TYPES

AT_ONCE = 24


@dataclass(frozen=True)
class Heard:
    said: Said | None
    error: Exception | None
    exchanges: list[Exchange]
    failures: tuple[type[Exception], ...]
    """What the SDK raises when an answer breaks off."""


@pytest.fixture(scope="module")
def heard() -> Iterator[Mapping[str, Heard]]:
    """By the id of the question."""
    wanted = held_questions(CLIENTS)
    with gateway_for(wanted, wait=WAIT, providers=PROVIDERS) as (live, questions):
        take_the_only_places(live, "f")

        def ask(one: Wanted) -> Heard:
            with make_speaker(one.client, live.url) as speaker:
                said, error = None, None
                try:
                    said = speaker.ask(questions[one.id], stream=one.stream)
                except Exception as raised:
                    error = raised
                return Heard(said, error, speaker.wire.exchanges, speaker.failures)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield dict(zip((one.id for one in wanted), pool.map(ask, wanted), strict=True))


def every(*names: str) -> list[object]:
    return [
        pytest.param(client, upstream, way, name, id=f"{client}-{upstream}-{name}-{way}")
        for client in CLIENTS
        for upstream in UPSTREAMS
        for name in names
        for way in BOTH_WAYS
    ]


def the_exchange(answer: Heard, client: str, way: str) -> Exchange:
    """The only one, which said 200 before anybody knew what it would be."""
    (exchange,) = answer.exchanges
    assert exchange.status == 200
    assert "x-forebay-target" not in exchange.headers
    if way == "whole":
        # Trap 104.
        assert exchange.headers["content-type"] == JSON_TYPES[client]
        assert exchange.body.startswith(b"\n")
    # Trap 91.
    assert exchange.headers.get("connection") != "close"
    return exchange


@pytest.mark.parametrize(("client", "upstream", "way", "name"), every(*KEPT))
def test_a_held_answer_still_arrives(
    heard: Mapping[str, Heard], client: str, upstream: str, way: str, name: str
) -> None:
    """Traps 95, 96, 98, 99 and 104."""
    question: Question = KEPT[name]
    answer = heard[f"{client} {upstream} {way} {name}"]
    exchange = the_exchange(answer, client, way)
    if answer.error is not None:
        raise answer.error
    said = answer.said
    assert said is not None
    assert [call.name for call in said.calls] == [tool.name for tool in question.tools]
    if question.wants_city:
        City.model_validate_json(said.text)
    elif not question.tools:
        assert said.text.startswith(f"You said: {question.text}\n")
    assert said.end is (End.TOOLS if question.tools else End.DONE)
    if way == "streamed":
        check_first_keep_alive(client, exchange)


def check_first_keep_alive(client: str, exchange: Exchange) -> None:
    match client:
        case "openai":
            comment, _, _ = exchange.body.partition(b"\n\n")
            assert comment.startswith(b": ")
            assert b"\n" not in comment
        case "anthropic":
            assert exchange.frames[0] == ("ping", '{"type":"ping"}')
        case _:
            line = json.loads(exchange.lines[0])
            assert (line["message"]["content"], line["done"]) == ("", False)


@pytest.mark.parametrize(("client", "upstream", "way", "name"), every(*BROKEN))
def test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success(
    heard: Mapping[str, Heard], client: str, upstream: str, way: str, name: str
) -> None:
    """Traps 87, 88, 90, 91 and 100."""
    broken, answer = BROKEN[name], heard[f"{client} {upstream} {way} {name}"]
    the_exchange(answer, client, way)
    assert answer.said is None
    # An upstream's own garbage is passed on to clients that raise on it.
    relays = (client, upstream) in RELAYED and client != "ollama"
    relays_garbage = broken.is_garbage and way == "streamed" and relays
    assert isinstance(answer.error, json.JSONDecodeError if relays_garbage else answer.failures)
    if way == "streamed":
        assert broken.told in str(answer.error)
