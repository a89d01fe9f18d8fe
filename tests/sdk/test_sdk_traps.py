"""Single traps of the field that chats and headers can fall into, over real upstreams."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

import httpx
import openai
import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_questions import Question, Speaker, Tool
from sdk_speakers import OpenSpeaker, both_ways, nine_pairs
from spoken_errors import CHAT_PATHS, JSON_TYPES

from forebay.endpoints.sandbox import SandboxOptions

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
SEARCH: dict[str, Any] = {
    "name": "search",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


@pytest.fixture
def by_openai(speakers: dict[str, Speaker]) -> OpenAISpeaker:
    speaker = speakers["openai"]
    assert isinstance(speaker, OpenAISpeaker)
    return speaker


@pytest.fixture
def by_anthropic(speakers: dict[str, Speaker]) -> AnthropicSpeaker:
    speaker = speakers["anthropic"]
    assert isinstance(speaker, AnthropicSpeaker)
    return speaker


@pytest.fixture
def by_ollama(speakers: dict[str, Speaker]) -> OllamaSpeaker:
    speaker = speakers["ollama"]
    assert isinstance(speaker, OllamaSpeaker)
    return speaker


# Versions and headers.


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_beta_calls_of_the_anthropic_sdk_are_served(
    gateway: LiveGateway, by_anthropic: AnthropicSpeaker, upstream: str
) -> None:
    """Traps 6 and 9: the path has a query, and the header goes to Anthropic and nowhere else."""
    message = by_anthropic.client.beta.messages.create(
        model=f"{upstream}/sandbox-chat",
        max_tokens=100,
        messages=HELLO,
        betas=["something-new-2026-12-01"],
    )
    assert message.content[0].type == "text"
    sent = gateway.requests()[-1].headers
    expected = "something-new-2026-12-01" if upstream == "a" else None
    assert sent.get("anthropic-beta") == expected


def test_the_version_of_a_client_reaches_anthropic_with_its_own_bytes_only(
    gateway: LiveGateway, by_anthropic: AnthropicSpeaker, by_openai: OpenAISpeaker
) -> None:
    """Trap 7: what the client's version forbids is the upstream's to say, not masked."""
    with pytest.raises(Exception, match="temperature") as refused:
        by_anthropic.client.messages.create(
            model="a/sandbox-chat",
            max_tokens=100,
            messages=HELLO,
            extra_body={"temperature": 0.2},
        )
    assert getattr(refused.value, "status_code", None) == 400
    assert gateway.requests()[-1].headers["anthropic-version"] == "2026-10-21"
    by_openai.ask(Question(text="hello", model="a/sandbox-chat"), stream=False)
    assert gateway.requests()[-1].headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("temperature", [0, 0.2, 1.0, 1.7])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_temperature_of_an_openai_client_breaks_nothing(
    by_openai: OpenAISpeaker, upstream: str, temperature: float
) -> None:
    """Trap 8: also where the upstream takes a narrower range."""
    completion = by_openai.client.chat.completions.create(
        model=f"{upstream}/sandbox-chat", messages=HELLO, temperature=temperature
    )
    assert completion.choices[0].message.content


@pytest.mark.parametrize(
    "headers",
    [
        {"x-stainless-timeout": "NOT_GIVEN", "x-stainless-retry-count": "many"},
        {"expect": "100-continue"},
        {"accept-encoding": "gzip, br", "te": "trailers"},
        {"content-type": "text/plain"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_odd_headers_of_clients_do_no_harm(
    gateway: LiveGateway, http: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    """Trap 10; and traps 103 and 105: no unasked 1xx, nothing compressed."""
    body = {"model": "o/sandbox-chat", "max_tokens": 50, "messages": HELLO, "stream": False}
    content = json.dumps(body).encode()
    answer = http.post(gateway.url + path, content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON_TYPES[CHAT_PATHS[path]]
    assert "content-encoding" not in answer.headers


def test_answers_carry_the_request_id_that_each_sdk_looks_for(
    by_openai: OpenAISpeaker, by_anthropic: AnthropicSpeaker
) -> None:
    """Section Z."""
    ids = set()
    for upstream in UPSTREAMS:
        model = f"{upstream}/sandbox-chat"
        completion = by_openai.client.chat.completions.create(model=model, messages=HELLO)
        message = by_anthropic.client.messages.create(model=model, max_tokens=9, messages=HELLO)
        ids |= {completion._request_id, message._request_id}
    assert len(ids) == 6
    assert all(one is not None and re.fullmatch(r"req_\w{24}", one) for one in ids)


# Requests.


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_developer_message_alone_is_served(by_openai: OpenAISpeaker, upstream: str) -> None:
    """Section Z, and trap 18."""
    completion = by_openai.client.chat.completions.create(
        model=f"{upstream}/sandbox-chat", messages=[{"role": "developer", "content": "be brief"}]
    )
    assert re.fullmatch(r"\w+\.", completion.choices[0].message.content or "")


@both_ways
def test_two_choices_arrive_whole_where_the_upstream_can_give_them(
    by_openai: OpenAISpeaker, stream: bool
) -> None:
    """Section Z."""
    if stream:
        with by_openai.client.chat.completions.stream(
            model="o/sandbox-chat", messages=HELLO, n=2
        ) as answer:
            choices: Any = answer.get_final_completion().choices
    else:
        choices = by_openai.client.chat.completions.create(
            model="o/sandbox-chat", messages=HELLO, n=2
        ).choices
    assert [choice.index for choice in choices] == [0, 1]
    texts = [choice.message.content for choice in choices]
    assert all(text.startswith("You said: hello\n") for text in texts)
    assert texts[0] != texts[1]


@pytest.mark.parametrize("upstream", ["a", "l"])
def test_two_choices_are_refused_where_the_upstream_can_give_only_one(
    by_openai: OpenAISpeaker, upstream: str
) -> None:
    """Trap 36: never one choice in silence."""
    with pytest.raises(openai.BadRequestError) as refused:
        by_openai.client.chat.completions.create(
            model=f"{upstream}/sandbox-chat", messages=HELLO, n=2
        )
    assert refused.value.param == "n"


@both_ways
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_tool_that_is_named_is_called(
    by_openai: OpenAISpeaker, by_anthropic: AnthropicSpeaker, upstream: str, stream: bool
) -> None:
    """Trap 65: OpenAI ends such a call with ``stop``; Anthropic's clients need ``tool_use``."""
    messages: Any = [{"role": "user", "content": "use the tool"}]
    arguments: dict[str, Any] = {
        "model": f"{upstream}/sandbox-chat",
        "max_tokens": 200,
        "messages": messages,
        "tools": [SEARCH],
        "tool_choice": {"type": "tool", "name": "search"},
    }
    if stream:
        with by_anthropic.client.messages.stream(**arguments) as answer:
            message: Any = answer.get_final_message()
    else:
        message = by_anthropic.client.messages.create(**arguments)
    assert message.stop_reason == "tool_use"
    assert [block.name for block in message.content] == ["search"]
    completion = by_openai.client.chat.completions.create(
        model=f"{upstream}/sandbox-chat",
        messages=messages,
        tools=[{"type": "function", "function": {"name": "search", "parameters": {}}}],
        tool_choice={"type": "function", "function": {"name": "search"}},
    )
    (choice,) = completion.choices
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "search"
    assert choice.finish_reason == ("stop" if upstream == "o" else "tool_calls")


@both_ways
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_tool_call_that_was_cut_short_is_not_shown_to_ollama_clients(
    by_ollama: OllamaSpeaker, upstream: str, stream: bool
) -> None:
    """Trap 70: half an object of arguments is no object."""
    question = Question(
        text="use the tool",
        model=f"{upstream}/sandbox-chat",
        tools=(Tool("weather", ("city", "day", "hour")),),
        max_tokens=5,
    )
    said = by_ollama.ask(question, stream=stream)
    assert said.calls == ()
    assert (said.end.value, said.output_tokens) == ("length", 5)


# Streams.


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_usage_comes_in_a_stream_only_to_who_asked_for_it(
    by_openai: OpenAISpeaker, upstream: str
) -> None:
    """Trap 77."""
    chunks = list(
        by_openai.client.chat.completions.create(
            model=f"{upstream}/sandbox-chat", messages=HELLO, stream=True
        )
    )
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert by_openai.wire.last.frames[-1] == (None, "[DONE]")


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollama_streams_unless_told_otherwise(
    gateway: LiveGateway, http: httpx.Client, path: str, upstream: str
) -> None:
    """Trap 44."""
    body = {"model": f"{upstream}/sandbox-chat", "messages": HELLO, "prompt": "hello"}
    answer = http.post(gateway.url + path, json=body)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = answer.text.removesuffix("\n").split("\n")
    assert len(lines) > 5
    assert [json.loads(line)["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


@nine_pairs
def test_a_client_that_leaves_in_the_middle_frees_its_place_at_once(
    open_speaker: OpenSpeaker, client: str, upstream: str
) -> None:
    """Trap 94: with one place in all, the next request is served within a second, and the upstream
    has stopped working for nobody."""
    options = SandboxOptions(token_interval_ms=20, reply_tokens=2000)
    config = {"wait": {"max_wait_ms": 1000}}
    provider = {"limits": {"concurrency": 1}}
    with live_gateway(config, sandbox=options, provider=provider) as live:
        model = f"{upstream}/sandbox-chat"
        speaker = open_speaker(client, live.url)
        for piece in islice(pieces(speaker, model), 3):
            assert piece
        said = speaker.ask(Question(text="hi", model=model, max_tokens=3), stream=True)
        assert said.text
        statistics = live.statistics()
        assert (statistics.cancelled, statistics.completed) == (1, 1)
        assert statistics.output_tokens < 200


def pieces(speaker: Speaker, model: str) -> Any:  # noqa: ANN401 - each SDK has its own type
    """A stream as the SDK gives it; the iterator closes it when it is dropped."""
    match speaker:
        case OpenAISpeaker():
            with speaker.client.chat.completions.create(
                model=model, messages=HELLO, stream=True
            ) as chunks:
                yield from chunks
        case AnthropicSpeaker():
            with speaker.client.messages.create(
                model=model, messages=HELLO, max_tokens=4000, stream=True
            ) as events:
                yield from events
        case OllamaSpeaker():
            yield from speaker.client.chat(model=model, messages=HELLO, stream=True)
