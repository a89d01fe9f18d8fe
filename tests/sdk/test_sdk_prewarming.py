"""``max_tokens: 0`` of Anthropic's API, which only warms a cache: an empty answer of everybody."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import UPSTREAMS, LiveGateway
from sdk_questions import Speaker
from sdk_speakers import both_ways

LEAST = {"o": 1, "a": 0, "l": 1}
"""What the upstream is asked for: Ollama takes 0 for no limit, and OpenAI refuses it."""


@both_ways
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_nothing_is_heard_where_nothing_was_asked_for(
    gateway: LiveGateway, speakers: dict[str, Speaker], upstream: str, stream: bool
) -> None:
    sdk = cast("AnthropicSpeaker", speakers["anthropic"]).client
    question: dict[str, Any] = {
        "model": f"{upstream}/sandbox-chat",
        "max_tokens": 0,
        "messages": [{"role": "user", "content": "hello"}],
    }
    if stream:
        with sdk.messages.stream(**question) as events:
            message = events.get_final_message()
    else:
        message = sdk.messages.create(**question)
    assert message.content == []
    assert (message.stop_reason, message.stop_sequence) == ("max_tokens", None)
    assert message.usage.input_tokens > 0
    sent = json.loads(gateway.requests()[-1].body)
    limit = sent["options"]["num_predict"] if upstream == "l" else sent["max_tokens"]
    assert limit == LEAST[upstream]
