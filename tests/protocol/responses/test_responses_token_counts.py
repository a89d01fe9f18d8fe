"""Counting the tokens of a prompt, as server and as client of the API for it."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import ChatRequest, Sampling, user_turn
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIInputTokenCodec
from forebay.protocol.jsontext import JsonObject

_CODEC = OpenAIInputTokenCodec()
_TRAITS = UpstreamTraits()


def test_a_request_needs_no_input() -> None:
    request = _CODEC.decode_request({"model": "m", "instructions": "Be kind."})
    assert len(request.turns) == 1
    assert _CODEC.decode_request({"model": "m"}).turns == ()
    with pytest.raises(ApiFailure) as caught:
        _CODEC.decode_request({"input": "Hi"})
    assert caught.value.error.param == "model"


def test_only_what_the_api_takes_is_sent() -> None:
    """OpenAI refuses unknown fields."""
    request = ChatRequest(
        model="m",
        turns=(user_turn("Hi"),),
        stop=("END",),
        choices=2,
        max_output_tokens=5,
        sampling=Sampling(temperature=0.5, logprobs=True),
        user_id="u",
        stream=True,
    )
    body = _CODEC.encode_request(request, _TRAITS).body
    assert list(body) == ["model", "input"]


def test_a_request_of_this_api_is_sent_again_without_what_only_an_answer_needs() -> None:
    prompt: JsonObject = {
        "model": "m",
        "instructions": "Be kind.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hi"}],
            }
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": "auto",
        "truncation": "auto",
    }
    request = _CODEC.decode_request({**prompt, "temperature": 1, "store": True, "user": "u"})
    assert _CODEC.encode_request(request, _TRAITS).body == prompt


def test_a_count_is_said_and_read() -> None:
    said = _CODEC.encode_count(7)
    assert said == {"object": "response.input_tokens", "input_tokens": 7}
    assert _CODEC.decode_count(said) == 7


@pytest.mark.parametrize("count", [None, "7", True, -1, 1.5])
def test_what_is_no_count_is_the_upstreams_fault(count: str | float | None) -> None:
    with pytest.raises(ApiFailure) as caught:
        _CODEC.decode_count({"input_tokens": count})
    assert caught.value.error.kind is ErrorKind.UPSTREAM_ERROR
