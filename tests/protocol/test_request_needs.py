"""What requests need of the models that serve them."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.needs import Needs
from forebay.protocol.canonical.request_needs import PLAIN_CHAT, needs_of_chat
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.ollama import OllamaChatCodec
from forebay.protocol.dialects.openai import (
    OpenAIChatCodec,
    OpenAICompletionsCodec,
    OpenAIResponsesCodec,
)
from forebay.protocol.jsontext import JsonObject

PNG = "iVBORw0KGgo="
TOOL: JsonObject = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


def openai(**fields: object) -> Needs:
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    body.update(fields)  # type: ignore[arg-type]  # tests give JSON values
    return needs_of_chat(OpenAIChatCodec().decode_request(body))


def said(*parts: JsonObject) -> list[object]:
    return [{"role": "user", "content": list(parts)}]


def chat_and(*others: Capability) -> frozenset[Capability]:
    return frozenset({Capability.CHAT, *others})


def test_a_plain_chat_needs_nothing_but_a_chat() -> None:
    assert openai() is PLAIN_CHAT
    assert openai(tool_choice="auto", tools=[], reasoning_effort="none") is PLAIN_CHAT
    assert openai(response_format={"type": "json_object"}) is PLAIN_CHAT


@pytest.mark.parametrize(
    ("fields", "capability"),
    [
        (
            {
                "messages": said(
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
                )
            },
            Capability.VISION,
        ),
        (
            {
                "messages": said(
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
                )
            },
            Capability.AUDIO,
        ),
        ({"tools": [TOOL]}, Capability.TOOLS),
        ({"tools": [TOOL], "tool_choice": "none"}, Capability.TOOLS),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "object"}},
                }
            },
            Capability.JSON_SCHEMA,
        ),
        ({"reasoning_effort": "low"}, Capability.THINKING),
    ],
)
def test_what_a_chat_says_it_needs(fields: dict[str, object], capability: Capability) -> None:
    assert openai(**fields).capabilities == chat_and(capability)


def test_several_calls_at_a_time_are_allowed_and_not_demanded() -> None:
    needs = openai(tools=[TOOL], parallel_tool_calls=True)
    assert needs.capabilities == chat_and(Capability.TOOLS)
    assert needs.wishes == {Capability.PARALLEL_TOOLS}
    assert not openai(tools=[TOOL], parallel_tool_calls=False).wishes


def test_an_image_in_a_tools_result_is_to_be_seen_too() -> None:
    body: JsonObject = {
        "model": "m",
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": "look"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": PNG,
                                },
                            }
                        ],
                    }
                ],
            },
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    needs = needs_of_chat(AnthropicMessagesCodec().decode_request(body))
    assert needs.capabilities == chat_and(Capability.VISION, Capability.THINKING)


def test_a_last_turn_of_the_models_own_is_a_wish() -> None:
    body: JsonObject = {
        "model": "m",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "1 2"}, {"role": "assistant", "content": "3"}],
    }
    needs = needs_of_chat(AnthropicMessagesCodec().decode_request(body))
    assert needs.capabilities == chat_and()
    assert needs.wishes == {Capability.PREFIX_CONTINUATION}


def test_ollamas_way_of_saying_it_needs_the_same() -> None:
    body: JsonObject = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi", "images": [PNG]}],
        "think": True,
        "format": {"type": "object"},
        "tools": [TOOL],
    }
    needs = needs_of_chat(OllamaChatCodec().decode_request(body))
    assert needs.capabilities == chat_and(
        Capability.VISION, Capability.THINKING, Capability.JSON_SCHEMA, Capability.TOOLS
    )


def test_tools_that_the_provider_runs_are_no_matter_of_the_model() -> None:
    body: JsonObject = {"model": "m", "input": "hi", "tools": [{"type": "web_search"}]}
    assert needs_of_chat(OpenAIResponsesCodec().decode_request(body)) is PLAIN_CHAT


def test_a_text_is_gone_on_with_by_whoever_completes_or_chats() -> None:
    needs = needs_of_chat(OpenAICompletionsCodec().decode_request({"model": "m", "prompt": "1 2"}))
    assert needs.capabilities == frozenset()
    assert needs.any_of == {Capability.COMPLETION, Capability.CHAT}
    assert needs.wishes == {Capability.COMPLETION}
