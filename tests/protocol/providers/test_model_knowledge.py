"""What is known of single models, and how requests are put to them accordingly: traps 7, 8, 12,
13, 31, 39, 50, 51 and 59."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Dialect,
    Effort,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    user_turn,
)
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import EncodedRequest, ThinkingForm
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers import PROFILES

ANTHROPICS, OPENAIS = PROFILES["anthropic"], PROFILES["openai"]
CHAT = OpenAIChatCodec()


def asked_of(model: str, reasoning: Reasoning | None = None) -> ChatRequest:
    """By a client of another dialect."""
    return ChatRequest(
        model=model, turns=(user_turn("Hi"),), reasoning=reasoning, extras={Dialect("x"): {}}
    )


def to_anthropic(request: ChatRequest) -> EncodedRequest:
    return AnthropicMessagesCodec().encode_request(request, ANTHROPICS.traits_of(request.model))


def to_openai(request: ChatRequest) -> EncodedRequest:
    return CHAT.encode_request(request, OPENAIS.traits_of(request.model))


def chat(model: str, **fields: object) -> ChatRequest:
    """As a client of OpenAI's says it."""
    body: JsonObject = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    body.update(fields)  # type: ignore[arg-type]  # plain JSON
    return CHAT.decode_request(body)


@pytest.mark.parametrize(
    ("model", "takes_sampling", "thinking", "max_tokens"),
    [
        ("claude-2.1", True, ThinkingForm.NONE, 4096),
        ("claude-3-haiku-20240307", True, ThinkingForm.NONE, 4096),
        ("claude-3-5-sonnet-20241022", True, ThinkingForm.NONE, 8192),
        ("claude-3-7-sonnet-latest", True, ThinkingForm.BUDGET, 8192),
        ("claude-sonnet-4-20250514", True, ThinkingForm.BUDGET, 8192),
        ("claude-opus-4-1-20250805", True, ThinkingForm.BUDGET, 8192),
        ("claude-haiku-4-5", True, ThinkingForm.BUDGET, 8192),
        ("claude-opus-4-6", True, ThinkingForm.EITHER, 8192),
        ("claude-opus-4-7", False, ThinkingForm.EFFORT, 8192),
        ("claude-opus-5-20261101", False, ThinkingForm.EFFORT, 8192),
        ("eu.anthropic.claude-sonnet-5-1-v1:0", False, ThinkingForm.EFFORT, 8192),
        ("claude-latest", True, ThinkingForm.EITHER, 8192),
        ("somebody-elses", True, ThinkingForm.EITHER, 8192),
    ],
)
def test_trap_12_a_models_name_tells_what_it_takes_and_how_much_it_may_say(
    model: str, takes_sampling: bool, thinking: ThinkingForm, max_tokens: int
) -> None:
    traits = ANTHROPICS.traits_of(model)
    assert (traits.takes_sampling, traits.thinking) == (takes_sampling, thinking)
    assert to_anthropic(asked_of(model)).body["max_tokens"] == max_tokens


def test_trap_8_no_sampling_goes_to_models_that_refuse_it() -> None:
    sampling = Sampling(temperature=0.2, top_p=0.9, top_k=40)
    sent = to_anthropic(replace(asked_of("claude-opus-4-7"), sampling=sampling))
    assert not {"temperature", "top_p", "top_k"} & sent.body.keys()
    assert sent.dropped == ("temperature", "top_p", "top_k")
    older = to_anthropic(replace(asked_of("claude-opus-4-6"), sampling=sampling))
    assert older.body["temperature"] == 0.2


def test_trap_8_even_their_own_defaults_are_left_out_and_nothing_is_lost() -> None:
    sampling = Sampling(temperature=1, top_p=1)
    sent = to_anthropic(replace(asked_of("claude-opus-4-7"), sampling=sampling))
    assert not {"temperature", "top_p"} & sent.body.keys()
    assert sent.dropped == ()


def test_trap_7_what_a_client_of_anthropics_says_is_the_upstreams_to_refuse() -> None:
    request = replace(
        asked_of("claude-opus-4-7"),
        sampling=Sampling(temperature=0.2),
        reasoning=Reasoning(enabled=True, budget_tokens=2000, extras={ANTHROPIC: {}}),
        extras={ANTHROPIC: {}},
    )
    sent = to_anthropic(replace(request, reasoning=None)).body
    assert sent["temperature"] == 0.2
    assert to_anthropic(request).body["thinking"] == {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "dropped"),
    [
        ("claude-3-haiku-20240307", Reasoning(effort=Effort.HIGH), None, None, ("reasoning",)),
        ("claude-3-haiku-20240307", Reasoning(effort=Effort.NONE), None, None, ()),
        ("claude-3-haiku-20240307", Reasoning(enabled=False), None, None, ()),
        (
            "claude-sonnet-4-20250514",
            Reasoning(effort=Effort.LOW),
            {"type": "enabled", "budget_tokens": 2048},
            None,
            (),
        ),
        (
            "claude-sonnet-4-20250514",
            Reasoning(effort=Effort.XHIGH),
            {"type": "enabled", "budget_tokens": 32_768},
            None,
            (),
        ),
        (
            "claude-sonnet-4-20250514",
            Reasoning(enabled=True),
            {"type": "enabled", "budget_tokens": 8192},
            None,
            (),
        ),
        ("claude-sonnet-4-20250514", Reasoning(effort=Effort.NONE), {"type": "disabled"}, None, ()),
        ("claude-opus-4-7", Reasoning(budget_tokens=1500), {"type": "adaptive"}, "low", ()),
        ("claude-opus-4-7", Reasoning(budget_tokens=9000), {"type": "adaptive"}, "medium", ()),
        ("claude-opus-4-7", Reasoning(budget_tokens=50_000), {"type": "adaptive"}, "xhigh", ()),
        ("claude-opus-4-7", Reasoning(effort=Effort.MAX), {"type": "adaptive"}, "max", ()),
        ("claude-opus-4-6", Reasoning(effort=Effort.LOW), {"type": "adaptive"}, "low", ()),
    ],
)
def test_trap_59_a_wish_to_think_is_put_in_the_form_that_the_model_knows(
    model: str,
    reasoning: Reasoning,
    thinking: JsonObject | None,
    effort: str | None,
    dropped: tuple[str, ...],
) -> None:
    sent = to_anthropic(asked_of(model, reasoning))
    assert sent.body.get("thinking") == thinking
    assert sent.body.get("output_config") == (None if effort is None else {"effort": effort})
    assert sent.dropped == dropped


@pytest.mark.parametrize("limit", [None, 900, 1024, 1025, 5000, 64_000])
@pytest.mark.parametrize("effort", [Effort.MINIMAL, Effort.HIGH, Effort.MAX])
@pytest.mark.parametrize("model", ["claude-3-7-sonnet-latest", "claude-haiku-4-5"])
def test_trap_13_a_budget_made_of_an_effort_stays_below_the_limit_too(
    model: str, effort: Effort, limit: int | None
) -> None:
    request = replace(asked_of(model, Reasoning(effort=effort)), max_output_tokens=limit)
    sent = to_anthropic(request).body
    max_tokens, thinking = sent["max_tokens"], sent["thinking"]
    assert isinstance(max_tokens, int)
    assert isinstance(thinking, dict)
    if limit is not None:
        assert max_tokens == limit
    if max_tokens <= 1024:
        assert thinking == {"type": "disabled"}
    else:
        budget = thinking["budget_tokens"]
        assert isinstance(budget, int)
        assert 1024 <= budget < max_tokens


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("claude-3-haiku-20240307", {"type": "any"}),
        ("claude-sonnet-4-20250514", {"type": "auto"}),
        ("claude-opus-4-7", {"type": "auto"}),
    ],
)
def test_trap_31_only_a_model_that_will_think_leaves_the_choice_open(
    model: str, kept: JsonObject
) -> None:
    request = replace(
        asked_of(model, Reasoning(effort=Effort.HIGH)),
        tools=(Tool(name="f"),),
        tool_choice=ToolChoice(ToolChoiceMode.REQUIRED),
    )
    assert to_anthropic(request).body["tool_choice"] == kept


REASONING_MODELS = ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "ft:o4-mini:x::y"]
OTHER_MODELS = ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "gpt-5.2", "omni", "gpt-50"]


@pytest.mark.parametrize("model", REASONING_MODELS)
def test_trap_50_a_reasoning_model_gets_its_own_limit_and_no_sampling(model: str) -> None:
    asked = chat(
        model,
        max_tokens=9,
        temperature=0.2,
        top_p=1,
        presence_penalty=0.5,
        frequency_penalty=0,
        logit_bias={"5": 1},
        seed=4,
    )
    assert not CHAT.can_relay(asked, OPENAIS.traits_of(model))
    sent = to_openai(asked)
    assert sent.body == {
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 9,
        "seed": 4,
    }
    assert sent.dropped == ("temperature", "presence_penalty", "logit_bias")


@pytest.mark.parametrize("model", REASONING_MODELS)
def test_trap_50_what_a_reasoning_model_takes_goes_as_it_came(model: str) -> None:
    asked = chat(model, temperature=1, top_p=1, reasoning_effort="low")
    assert CHAT.can_relay(asked, OPENAIS.traits_of(model))


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}, {"modalities": ["audio"]}])
def test_trap_36_an_answer_that_only_bytes_can_hold_is_asked_for_as_the_client_did(
    fields: dict[str, object],
) -> None:
    """Also where the server may refuse it: never one choice instead of two."""
    for model in ("o3-mini", "gpt-4o"):
        asked = chat(model, max_tokens=9, temperature=0.2, top_k=4, **fields)
        assert CHAT.can_relay(asked, OPENAIS.traits_of(model))


@pytest.mark.parametrize("model", OTHER_MODELS)
def test_trap_50_other_models_get_what_was_said(model: str) -> None:
    asked = chat(model, max_tokens=9, temperature=0.2)
    assert CHAT.can_relay(asked, OPENAIS.traits_of(model))
    assert to_openai(asked).body["temperature"] == 0.2


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 5},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"repeat_penalty": 1.1},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning": {"effort": "low"}},
    ],
)
def test_trap_51_what_openai_refuses_as_unknown_is_not_relayed_to_it(
    fields: dict[str, object],
) -> None:
    asked = chat("gpt-4o", **fields)
    assert CHAT.can_relay(asked, PROFILES["openai_compatible"].traits_of("gpt-4o"))
    assert not CHAT.can_relay(asked, OPENAIS.traits_of("gpt-4o"))
    assert not fields.keys() & to_openai(asked).body.keys()


def test_trap_39_a_fifth_stop_string_is_refused_here_and_not_there() -> None:
    four, five = (chat("gpt-4o", stop=[*"abcde"][:number]) for number in (4, 5))
    traits = OPENAIS.traits_of("gpt-4o")
    assert CHAT.can_relay(four, traits)
    assert not CHAT.can_relay(five, traits)
    with pytest.raises(ApiFailure) as refused:
        to_openai(five)
    assert (refused.value.error.kind, refused.value.error.param) == (ErrorKind.BAD_REQUEST, "stop")
    assert CHAT.can_relay(five, PROFILES["openai_compatible"].traits_of("any"))
