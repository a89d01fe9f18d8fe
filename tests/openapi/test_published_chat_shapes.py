"""Every answer that OpenAI's and Ollama's clients hear of every provider, held to what those two
publish of their APIs: whole answers, every chunk and every line, held ones, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from fault_questions import Wanted, gateway_for, take_the_only_places
from held_cases import BROKEN, KEPT, PROVIDERS, WAIT, held_questions
from live_gateway import UPSTREAMS, LiveGateway
from published_exchanges import check_exchange
from sdk_cases import CASES, NEWS, WEATHER
from sdk_questions import Question, Speaker
from sdk_speakers import both_ways, make_speaker
from sdk_wire import Exchange

AT_ONCE = 24
PATHS = {"openai": "/chat/completions", "ollama": "/api/chat"}

six_pairs = pytest.mark.parametrize(
    ("client", "upstream"), [(client, upstream) for client in PATHS for upstream in UPSTREAMS]
)


@pytest.fixture(scope="module")
def speakers(gateway: LiveGateway) -> Iterator[dict[str, Speaker]]:
    with ExitStack() as stack:
        yield {client: stack.enter_context(make_speaker(client, gateway.url)) for client in PATHS}


def check_last(speaker: Speaker, *, stream: bool) -> None:
    kinds = {"openai": "text/event-stream", "ollama": "application/x-ndjson"}
    path = PATHS[speaker.dialect]
    held = check_exchange(speaker.dialect, speaker.wire.last, path)
    wanted = kinds[speaker.dialect] if stream else "application/json"
    assert set(held) == {f"POST {path} {wanted}"}


@both_ways
@pytest.mark.parametrize("question", [case.question for case in CASES.values()], ids=CASES.keys())
@six_pairs
def test_an_answer_is_as_published(
    speakers: dict[str, Speaker], client: str, upstream: str, question: Question, stream: bool
) -> None:
    model = f"{upstream}/{question.model or 'sandbox-chat'}"
    speakers[client].ask(replace(question, model=model), stream=stream)
    check_last(speakers[client], stream=stream)


@both_ways
@six_pairs
def test_both_turns_of_a_tool_loop_are_as_published(
    speakers: dict[str, Speaker], client: str, upstream: str, stream: bool
) -> None:
    speaker = speakers[client]
    model = f"{upstream}/sandbox-thinking"
    asked = Question(text="use all tools", model=model, tools=(WEATHER, NEWS))
    called = speaker.ask(asked, stream=stream)
    check_last(speaker, stream=stream)
    speaker.ask(replace(asked, history=((called, ("rain", "none")),)), stream=stream)
    check_last(speaker, stream=stream)


@dataclass(frozen=True)
class Held:
    """A held answer, and what it is held to."""

    wanted: Wanted
    exchange: Exchange
    error: Exception | None

    @property
    def case(self) -> str:
        return self.wanted.id.split(" ", 3)[3]


@pytest.fixture(scope="module")
def held_answers() -> Iterator[list[Held]]:
    """All whose bytes are whole objects: neither cut JSON nor an upstream's own garbage."""
    wanted = [one for one in held_questions(PATHS) if is_whole_objects(one)]
    with gateway_for(wanted, wait=WAIT, providers=PROVIDERS) as (live, questions):
        take_the_only_places(live, "f")

        def ask(one: Wanted) -> Held:
            error = None
            with make_speaker(one.client, live.url) as speaker:
                try:
                    speaker.ask(questions[one.id], stream=one.stream)
                except speaker.failures as raised:
                    error = raised
                return Held(one, speaker.wire.last, error)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield list(pool.map(ask, wanted))


def is_whole_objects(wanted: Wanted) -> bool:
    case = BROKEN.get(wanted.id.split(" ", 3)[3])
    relays_garbage = (wanted.client, wanted.provider) == ("openai", "o")
    return case is None or (wanted.stream and not (case.is_garbage and relays_garbage))


def test_held_answers_are_as_published_however_they_end(held_answers: list[Held]) -> None:
    """What keeps them alive, what arrives, and every way to fail after the status was said."""
    assert {one.case for one in held_answers} == {*KEPT, *BROKEN}
    for one in held_answers:
        assert one.exchange.status == 200
        client = one.wanted.client
        held = check_exchange(client, one.exchange, PATHS[client])
        assert (one.case in BROKEN) == ("error" in held) == (one.error is not None), one.wanted.id
