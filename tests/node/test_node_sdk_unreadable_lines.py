"""What Ollama's Node SDK, and the provider that is made over it, make of a line that can't be read.

They skip it; the gateway is between them and the ``done`` after it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import pytest
from imitation import Imitation, live_imitation
from live_gateway import live_gateway
from node_clients import Ask, Heard, ask_all
from sdk_questions import Question
from unreadable_lines import GOOD, UNREADABLE, answers

STREAMS = {"nothing": GOOD, **UNREADABLE}
OVER_OLLAMA = ("ollama", "ai-ollama")


def ask(client: str, wrong: str, url: str, model: str) -> Ask:
    return Ask(
        id=f"{client} {wrong}",
        client=client,
        url=url,
        stream=True,
        question=Question(text="hi", model=model),
    )


@pytest.fixture(scope="module")
def heard(node_sdks: None) -> Mapping[str, Heard]:
    """By the client and what is wrong."""
    names = {wrong: f"u{number}" for number, wrong in enumerate(STREAMS)}
    with ExitStack() as servers:
        providers = {
            names[wrong]: {
                "kind": "ollama",
                "base_url": servers.enter_context(
                    live_imitation(Imitation(answers("/api/chat", pieces)))
                ),
            }
            for wrong, pieces in STREAMS.items()
        }
        with live_gateway(providers=providers) as live:
            return ask_all(
                [
                    ask(client, wrong, live.url, f"{names[wrong]}/m")
                    for client in OVER_OLLAMA
                    for wrong in STREAMS
                ]
            )


@pytest.mark.parametrize("client", OVER_OLLAMA)
@pytest.mark.parametrize("wrong", UNREADABLE)
def test_trap_90_an_answer_with_a_line_that_cant_be_read_is_an_error(
    heard: Mapping[str, Heard], client: str, wrong: str
) -> None:
    answer = heard[f"{client} {wrong}"]
    assert answer.said == ()
    assert answer.error is not None


@pytest.mark.parametrize("client", OVER_OLLAMA)
def test_a_good_answer_is_heard(heard: Mapping[str, Heard], client: str) -> None:
    answer = heard[f"{client} nothing"]
    assert answer.error is None
    (said,) = answer.said
    assert said["text"] == "Hello world"


def test_the_sdk_itself_takes_such_a_stream_for_whole(node_sdks: None) -> None:
    """Without a gateway: or the tests above would show nothing."""
    pieces = UNREADABLE["garbage with the end"]
    with live_imitation(Imitation(answers("/api/chat", pieces))) as server:
        answer = ask_all([ask("ollama", "direct", server, "m")])["ollama direct"]
    assert answer.error is None
    (said,) = answer.said
    assert said["text"] == "Hello world"
