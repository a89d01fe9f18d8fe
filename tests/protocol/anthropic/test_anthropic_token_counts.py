"""Counting the tokens of a prompt, in both roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pydantic
import pytest
from anthropic.types import MessageCountTokensParams, MessageTokensCount

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    Turn,
    user_turn,
)
from forebay.protocol.dialects.anthropic import (
    ANTHROPIC,
    ANTHROPIC_COUNT_TOKENS,
    AnthropicTokenCountCodec,
)
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.jsontext import JsonObject, loads_object

CODEC = AnthropicTokenCountCodec()
ASKED: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def check_identity(body: JsonObject) -> None:
    request = CODEC.decode_request(body)
    assert CODEC.decode_request(CODEC.encode_request(request, UpstreamTraits()).body) == request


def test_it_stands_where_the_official_client_posts() -> None:
    assert (CODEC.api, CODEC.dialect, CODEC.path) == (
        ANTHROPIC_COUNT_TOKENS,
        ANTHROPIC,
        "/v1/messages/count_tokens",
    )


def test_counting_tokens_needs_no_max_tokens() -> None:
    request = CODEC.decode_request(ASKED)
    assert request.max_output_tokens is None
    assert request.turns == (user_turn("Hi"),)


def test_a_faulty_request_is_refused_by_the_name_of_its_field() -> None:
    with pytest.raises(ApiFailure) as failure:
        CODEC.decode_request({"model": "m"})
    assert (failure.value.error.kind, failure.value.error.param) == (
        ErrorKind.BAD_REQUEST,
        "messages",
    )


def test_counting_asks_only_for_the_prompt() -> None:
    request = ChatRequest(
        model="m",
        turns=(Turn(role=Role.SYSTEM, parts=(Text("Be brief."),)), user_turn("Hi")),
        tools=(Tool(name="look", parameters={"type": "object"}),),
        sampling=Sampling(temperature=0.5),
        stop=("x",),
        stream=True,
        max_output_tokens=5,
        user_id="u",
    )
    sent = CODEC.encode_request(request, UpstreamTraits())
    assert list(sent.body) == ["model", "system", "messages", "tools"]
    assert sent.headers == {"anthropic-version": "2023-06-01"}
    pydantic.TypeAdapter(MessageCountTokensParams).validate_python(sent.body, strict=True)


def test_a_counted_request_comes_out_as_it_came_in() -> None:
    check_identity(ASKED)


def test_thinking_of_another_provider_is_not_relayed() -> None:
    foreign = Turn(role=Role.ASSISTANT, parts=(Thinking(text="hm"),))
    request = ChatRequest(model="m", turns=(user_turn("Hi"),))
    assert CODEC.can_relay(request)
    assert not CODEC.can_relay(replace(request, turns=(*request.turns, foreign)))


@pytest.mark.parametrize(
    ("name", "tokens"), [("llamacpp-0.7.0-b11669", 36), ("vllm-0.32.0-cpu", 15)]
)
def test_counts_of_real_servers_are_read(
    answer: Callable[[str], tuple[int, bytes]],
    asked: Callable[[str], JsonObject],
    name: str,
    tokens: int,
) -> None:
    status, body = answer(f"{name}/messages-count")
    assert status == 200
    assert CODEC.decode_count(loads_object(body)) == tokens
    check_identity(asked(f"{name}/messages-count"))


@pytest.mark.parametrize("count", [None, "36", True, -1, 1.5])
def test_an_answer_without_a_count_is_the_upstreams_fault(
    count: str | float | None,
) -> None:
    with pytest.raises(ApiFailure) as failure:
        CODEC.decode_count({"input_tokens": count})
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


def test_a_count_is_written_for_the_official_client() -> None:
    written = CODEC.encode_count(7)
    assert MessageTokensCount.model_validate(written, strict=True).input_tokens == 7
    assert CODEC.decode_count(written) == 7
