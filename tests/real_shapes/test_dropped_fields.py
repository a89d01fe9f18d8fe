"""What a target's API can't say is told to the client, whichever API that is."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, UpstreamTraits
from forebay.protocol.dialects.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.jsontext import JsonObject, JsonValue


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
def test_ollamas_own_fields_are_reported_by_every_other_api(upstream: Api) -> None:
    request = CODECS[OLLAMA_GENERATE].decode_request(
        {"model": "m", "prompt": "def f(", "keep_alive": 5, "options": {"mirostat": 1}}
    )
    sent = CODECS[upstream].encode_request(request, UpstreamTraits())
    assert {"keep_alive", "options"} <= set(sent.dropped)
    assert not {"keep_alive", "options", "mirostat"} & set(sent.body)


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
@pytest.mark.parametrize(("name", "value"), [("suffix", "return 1"), ("raw", True)])
def test_what_would_change_the_meaning_of_a_prompt_is_refused_by_name(
    upstream: Api, name: str, value: JsonValue
) -> None:
    request = CODECS[OLLAMA_GENERATE].decode_request(
        {"model": "m", "prompt": "def f(", name: value}
    )
    with pytest.raises(ApiFailure) as refused:
        CODECS[upstream].encode_request(request, UpstreamTraits())
    assert refused.value.error.kind is ErrorKind.BAD_REQUEST
    assert name in refused.value.error.message


WEATHER: JsonObject = {"name": "weather", "parameters": {"type": "object"}}
FUNCTIONS_LOOP: JsonObject = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "what weather?"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "weather", "arguments": "{}"},
        },
        {"role": "function", "name": "weather", "content": "rain"},
    ],
    "functions": [WEATHER],
    "function_call": "auto",
}


@pytest.mark.parametrize("upstream", [ANTHROPIC_MESSAGES, OLLAMA_CHAT])
def test_functions_are_translated_and_so_not_dropped(upstream: Api) -> None:
    """The form before tools; its answer is in that form as well."""
    request = CODECS[OPENAI_CHAT].decode_request(FUNCTIONS_LOOP)
    sent = CODECS[upstream].encode_request(request, UpstreamTraits())
    assert sent.dropped == ()
    assert "weather" in str(sent.body["tools"])


@pytest.mark.parametrize("upstream", [ANTHROPIC_MESSAGES, OLLAMA_CHAT])
@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"reasoning": {"effort": "low"}}, ()),
        ({"reasoning": {"effort": "low", "exclude": True}}, ("reasoning",)),
        ({"thinking": {"type": "enabled"}}, ()),
        ({"thinking": {"type": "enabled", "clear_thinking": False}}, ("thinking",)),
        ({"reasoning_effort": "low", "thinking": {"type": "enabled"}}, ("thinking",)),
        ({"cache_prompt": True, "functions": [WEATHER]}, ("cache_prompt",)),
    ],
)
def test_a_field_that_was_understood_is_dropped_only_where_it_said_more(
    upstream: Api, fields: JsonObject, dropped: tuple[str, ...]
) -> None:
    message: JsonObject = {"role": "user", "content": "hi"}
    request = CODECS[OPENAI_CHAT].decode_request({"model": "m", "messages": [message], **fields})
    assert CODECS[upstream].encode_request(request, UpstreamTraits()).dropped == dropped


def test_who_asks_is_told_to_anthropic_and_dropped_by_ollama() -> None:
    request = CODECS[OPENAI_CHAT].decode_request(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "u-1"}
    )
    to_anthropic = CODECS[ANTHROPIC_MESSAGES].encode_request(request, UpstreamTraits())
    assert to_anthropic.body["metadata"] == {"user_id": "u-1"}
    assert to_anthropic.dropped == ()
    assert CODECS[OLLAMA_CHAT].encode_request(request, UpstreamTraits()).dropped == ("user",)
