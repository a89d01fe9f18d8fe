"""Counting tokens by Anthropic's client, over every kind of upstream."""

from __future__ import annotations

from typing import Any, cast

import anthropic
import pytest
from anthropic.types import MessageTokensCount
from anthropic_speaker import AnthropicSpeaker
from live_gateway import LiveGateway, live_gateway
from sdk_questions import Speaker
from sdk_speakers import OpenSpeaker
from sdk_wire import read_strictly

COUNTING = ("a", "s")
"""The upstreams that count; for the others it is estimated."""

QUESTION: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "What is the weather in Paris? " * 10},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}],
        },
    ],
    "system": "Be brief.",
    "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
}


@pytest.fixture
def client(speakers: dict[str, Speaker]) -> AnthropicSpeaker:
    return cast("AnthropicSpeaker", speakers["anthropic"])


@pytest.mark.parametrize("upstream", ["a", "s", "o", "l"])
def test_a_prompt_is_counted_or_estimated(
    gateway: LiveGateway,
    client: AnthropicSpeaker,
    direct_speakers: dict[str, Speaker],
    upstream: str,
) -> None:
    question = {key: value for key, value in QUESTION.items() if key != "thinking"}
    straight = cast("AnthropicSpeaker", direct_speakers["anthropic"])
    exact = straight.client.messages.count_tokens(model="sandbox-chat", **question).input_tokens
    before = gateway.statistics()
    told = client.client.messages.count_tokens(model=f"{upstream}/sandbox-chat", **question)
    asked = gateway.statistics().started - before.started
    read_strictly(MessageTokensCount, client.wire.last.body)
    headers = client.wire.last.headers
    assert headers["request-id"]
    if upstream in COUNTING:
        assert told.input_tokens == exact
        assert "x-forebay-estimated" not in headers
        assert headers["x-forebay-target"] == f"{upstream}/sandbox-chat"
        assert asked == 1
    else:
        assert exact * 0.5 <= told.input_tokens <= exact * 2
        assert headers["x-forebay-estimated"] == "true"
        assert asked == 0


def test_what_a_chat_is_told_is_what_was_counted(client: AnthropicSpeaker) -> None:
    messages = [{"role": "user", "content": "Grüße, 世界"}]
    arguments: dict[str, Any] = {"model": "a/sandbox-chat", "messages": messages}
    counted = client.client.messages.count_tokens(**arguments)
    answered = client.client.messages.create(**arguments, max_tokens=10)
    assert counted.input_tokens == answered.usage.input_tokens


@pytest.mark.parametrize("upstream", ["a", "s", "o", "l"])
def test_what_is_wrong_with_the_request_is_told(client: AnthropicSpeaker, upstream: str) -> None:
    count = client.client.messages.count_tokens
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        count(model=f"{upstream}/sandbox-chat", messages=[])
    wrong = cast("Any", [{"role": "nobody", "content": "x"}])
    with pytest.raises(anthropic.BadRequestError, match="role"):
        count(model=f"{upstream}/sandbox-chat", messages=wrong)
    with pytest.raises(anthropic.NotFoundError):
        count(model="nobody", messages=[{"role": "user", "content": "x"}])


def test_a_count_never_fails_for_what_the_upstream_does(open_speaker: OpenSpeaker) -> None:
    for fault in ("429=60", "500", "529", "garbage"):
        with live_gateway() as live:
            client = cast("AnthropicSpeaker", open_speaker("anthropic", live.url))
            told = client.client.messages.count_tokens(
                model="a/sandbox-chat",
                messages=[{"role": "user", "content": f"[[fault: {fault}]]"}],
            )
            assert told.input_tokens > 0
            assert client.wire.last.headers["x-forebay-estimated"] == "true"
