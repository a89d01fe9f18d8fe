"""What goes wrong upstream: what is mended here, what the client hears of the rest, and that it
never takes a broken answer for a whole one.

Faults leave traces at their target (a pause, an open breaker), so each test has its own gateway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx
import pytest
from live_gateway import LiveGateway, live_gateway
from sdk_errors import ERROR_CLASSES, UNAVAILABLE, error_message
from sdk_questions import Question, Speaker
from sdk_speakers import CLIENTS, RELAYED, OpenSpeaker, both_ways, nine_pairs
from sdk_wire import Exchange


def question_with(fault: str, upstream: str) -> Question:
    return Question(text=f"hello [[fault: {fault}]]", model=f"{upstream}/sandbox-chat")


def heard_error(speaker: Speaker, question: Question, status: int, *, stream: bool) -> str:
    """Ask, with an SDK that would try again; the message of the one error that it hears."""
    with pytest.raises(ERROR_CLASSES[speaker.dialect][status]):
        speaker.ask(question, stream=stream)
    (heard,) = speaker.wire.exchanges
    assert heard.status == status
    return error_message(speaker.dialect, status, heard.headers, heard.body)


@both_ways
@nine_pairs
def test_a_request_that_the_upstream_rejects_is_a_400_at_once(
    gateway: LiveGateway, open_speaker: OpenSpeaker, client: str, upstream: str, stream: bool
) -> None:
    speaker = open_speaker(client, gateway.url, max_retries=2)
    before = gateway.statistics().received
    message = heard_error(speaker, question_with("400", upstream), 400, stream=stream)
    assert "invalid request" in message.lower()
    assert gateway.statistics().received == before + 1
    assert speaker.wire.last.headers["x-forebay-target"] == f"{upstream}/sandbox-chat"


@both_ways
@nine_pairs
def test_a_prompt_that_is_too_long_is_said_in_the_words_that_agents_look_for(
    gateway: LiveGateway, open_speaker: OpenSpeaker, client: str, upstream: str, stream: bool
) -> None:
    """Trap 122."""
    speaker = open_speaker(client, gateway.url, max_retries=2)
    message = heard_error(speaker, question_with("context", upstream), 400, stream=stream)
    if client == "anthropic":
        assert "prompt is too long" in message
    elif client == "openai":
        assert json.loads(speaker.wire.last.body)["error"]["code"] == "context_length_exceeded"
    else:
        assert any(words in message for words in ("context length", "prompt is too long"))


@pytest.mark.parametrize(
    ("fault", "stream"), [("500", True), ("garbage", False), ("garbage", True)]
)
@nine_pairs
def test_an_upstream_that_keeps_failing_is_a_502_that_no_sdk_tries_again(
    open_speaker: OpenSpeaker, client: str, upstream: str, fault: str, stream: bool
) -> None:
    """Trap 120: three attempts here, one at the SDK."""
    with live_gateway() as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        heard_error(speaker, question_with(fault, upstream), 502, stream=stream)
        heard = speaker.wire.last
        assert heard.headers["x-should-retry"] == "false"
        assert heard.headers["x-forebay-attempts"] == "3"
        assert live.statistics().received == 3


@nine_pairs
def test_an_upstream_that_hangs_up_without_a_word_is_a_502(
    open_speaker: OpenSpeaker, client: str, upstream: str
) -> None:
    with live_gateway() as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        heard_error(speaker, question_with("reset", upstream), 502, stream=True)
        assert speaker.wire.last.headers["x-forebay-attempts"] == "3"


@pytest.mark.parametrize(
    ("fault", "upstream"),
    [("402", "o"), ("402", "a"), ("402", "l"), ("quota", "o"), ("quota", "a")],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_spent_credit_of_the_gateway_is_an_outage_and_no_429(
    open_speaker: OpenSpeaker, client: str, upstream: str, fault: str
) -> None:
    """Traps 109 and 110."""
    with live_gateway() as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        status = UNAVAILABLE[client]
        message = heard_error(speaker, question_with(fault, upstream), status, stream=True)
        assert "quota is spent" in message
        assert speaker.wire.last.headers["x-should-retry"] == "false"
        assert live.statistics().received == 1


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        ("error-first", False),
        ("error-first", True),
        ("429", True),
        ("500", False),
        ("503", True),
        ("529", False),
        ("reset", True),
    ],
)
@nine_pairs
def test_what_passes_is_mended_here_and_the_client_hears_nothing_of_it(
    open_speaker: OpenSpeaker, client: str, upstream: str, fault: str, stream: bool
) -> None:
    """Traps 76, 85, 111, 112: refusals, and errors inside an answer with status 200, before any
    content. The streams hold to all rules of their dialect, with one beginning."""
    with live_gateway() as live:
        speaker = open_speaker(client, live.url)
        said = speaker.ask(question_with(f"{fault}, times=1", upstream), stream=stream)
        assert said.text.startswith("You said: hello [[fault:")
        assert len(speaker.wire.exchanges) == 1
        assert live.statistics().received == 2
        # A connection that was used before may have died of age: that is tried again below.
        attempts = {"1", "2"} if fault == "reset" else {"2"}
        assert said.heard.headers["x-forebay-attempts"] in attempts


@nine_pairs
def test_an_upstream_without_capacity_is_waited_for(
    open_speaker: OpenSpeaker, client: str, upstream: str
) -> None:
    """As long as the client can: overload is no failure, also where a stream with status 200 says
    it. Three failures would have come to their end sooner."""
    with live_gateway({"wait": {"max_wait_ms": 500}}) as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        heard_error(speaker, question_with("error-first", upstream), 429, stream=True)
        assert int(speaker.wire.last.headers["x-forebay-waited-ms"]) >= 500


@dataclass(frozen=True)
class Broken:
    fault: str
    told: tuple[str, ...] = ()
    """Words of which one is in the message; none where the SDK may only find broken bytes."""


BROKEN_STREAMS = {
    "an error": Broken("error-midstream=4", ("verload",)),
    "a reset": Broken("reset-midstream=4", ("broke",)),
    "a cut": Broken("cut-midstream=4", ("closed the connection early",)),
    "an end": Broken("end-midstream=4", ("ended before",)),
    "an end after all content": Broken("end-midstream=999", ("ended before",)),
    "garbage": Broken("garbage-midstream=4"),
}


@pytest.mark.parametrize("broken", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS.keys())
@nine_pairs
def test_a_stream_that_breaks_raises_and_never_looks_like_a_whole_one(
    open_speaker: OpenSpeaker, client: str, upstream: str, broken: Broken
) -> None:
    """Traps 86, 87, 88 and 90."""
    with live_gateway() as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        relays_garbage = not broken.told and passes_garbage_on(client, upstream)
        failures = json.JSONDecodeError if relays_garbage else speaker.failures
        with pytest.raises(failures) as raised:
            speaker.ask(question_with(broken.fault, upstream), stream=True)
        (heard,) = speaker.wire.exchanges
        assert heard.status == 200
        assert live.statistics().received == 1
        assert b"said" in heard.body, "what had come before the break was passed on"
        if not relays_garbage:
            assert not broken.told or any(word in str(raised.value) for word in broken.told)
            check_last_words(client, heard)


def passes_garbage_on(client: str, upstream: str) -> bool:
    """An upstream's own garbage, to clients that raise on it. Ollama's would skip it in Node."""
    return (client, upstream) in RELAYED and client != "ollama"


def check_last_words(client: str, heard: Exchange) -> None:
    """The last that is said is the dialect's own error, and nothing says that all is done."""
    match client:
        case "openai":
            *before, (event, last) = heard.frames
            assert event is None
            assert set(json.loads(last)["error"]) >= {"message", "type", "param", "code"}
            chunks = [json.loads(data) for _, data in before]
            reasons = [one["finish_reason"] for chunk in chunks for one in chunk["choices"]]
            assert set(reasons) == {None}
        case "anthropic":
            *before, (event, last) = heard.frames
            assert event == "error"
            assert json.loads(last)["type"] == "error"
            assert {event for event, _ in before}.isdisjoint({"message_delta", "message_stop"})
        case _:
            *lines, last = heard.lines
            assert set(json.loads(last)) == {"error"}
            assert not any(json.loads(line)["done"] for line in lines)


PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}


@nine_pairs
def test_the_transfer_of_a_broken_stream_breaks_off_too(
    http: httpx.Client, client: str, upstream: str
) -> None:
    """For clients that look for no error among the frames: it lacks the proper end of HTTP."""
    body = {
        "model": f"{upstream}/sandbox-chat",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "[[fault: error-midstream=4]]"}],
        "stream": True,
    }
    with (
        live_gateway() as live,
        http.stream("POST", live.url + PATHS[client], json=body) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        answer.read()
