"""Requests of any dialect, written for an upstream that speaks the Messages API."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Dialect,
    Effort,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Reasoning,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Turn,
)
from forebay.protocol.dialects.anthropic import (
    ANTHROPIC,
    AnthropicMessagesCodec,
)
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.jsontext import JsonObject, dumps

TRAITS = UpstreamTraits(default_max_output_tokens=8192)
OTHER = Dialect("openai")
ASK = ChatRequest(model="claude-x", turns=(Turn(role=Role.USER, parts=(Text("Hi"),)),))
TOOL = Tool(name="f", parameters={"type": "object", "properties": {}})


class Encoded:
    """A request as it goes out."""

    def __init__(self, request: ChatRequest) -> None:
        written = AnthropicMessagesCodec().encode_request(request, TRAITS)
        self.body = written.body
        self.dropped = written.dropped
        self.headers = written.headers


def refused(request: ChatRequest) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        Encoded(request)
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    return caught.value


def test_the_smallest_request() -> None:
    sent = Encoded(ASK)
    assert dumps(sent.body) == (
        b'{"model":"claude-x","max_tokens":8192,'
        b'"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}'
    )
    assert sent.dropped == ()
    assert sent.headers == {"anthropic-version": "2023-06-01"}


def test_max_tokens_are_filled_in_trap_12() -> None:
    assert Encoded(ASK).body["max_tokens"] == 8192
    assert Encoded(replace(ASK, max_output_tokens=7)).body["max_tokens"] == 7
    assert Encoded(replace(ASK, max_output_tokens=0)).body["max_tokens"] == 0


@pytest.mark.parametrize(
    ("max_tokens", "budget", "thinking", "sent_max_tokens", "dropped"),
    [
        (None, 2000, {"type": "enabled", "budget_tokens": 2000}, 8192, ()),
        (None, 8000, {"type": "enabled", "budget_tokens": 8000}, 12096, ()),
        (None, 5, {"type": "enabled", "budget_tokens": 1024}, 8192, ()),
        (4000, 5000, {"type": "enabled", "budget_tokens": 3999}, 4000, ()),
        (4000, 4000, {"type": "enabled", "budget_tokens": 3999}, 4000, ()),
        (1025, 5000, {"type": "enabled", "budget_tokens": 1024}, 1025, ()),
        (1024, 5000, {"type": "disabled"}, 1024, ("reasoning",)),
    ],
)
def test_a_budget_stays_below_max_tokens_trap_13(
    max_tokens: int | None,
    budget: int,
    thinking: JsonObject,
    sent_max_tokens: int,
    dropped: tuple[str, ...],
) -> None:
    sent = Encoded(
        replace(
            ASK,
            max_output_tokens=max_tokens,
            reasoning=Reasoning(enabled=True, budget_tokens=budget),
        )
    )
    assert sent.body["thinking"] == thinking
    assert sent.body["max_tokens"] == sent_max_tokens
    assert sent.dropped == dropped


@pytest.mark.parametrize(
    ("reasoning", "thinking", "output_config"),
    [
        (Reasoning(effort=Effort.HIGH), {"type": "adaptive"}, {"effort": "high"}),
        (Reasoning(effort=Effort.MINIMAL), {"type": "adaptive"}, {"effort": "low"}),
        (Reasoning(effort=Effort.XHIGH), {"type": "adaptive"}, {"effort": "xhigh"}),
        (Reasoning(enabled=True), {"type": "adaptive"}, None),
        (Reasoning(effort=Effort.NONE), {"type": "disabled"}, None),
        (Reasoning(enabled=False), {"type": "disabled"}, None),
        (Reasoning(), None, None),
        # What came in this dialect goes as it came: an effort alone turns nothing on.
        (Reasoning(effort=Effort.LOW, extras={ANTHROPIC: {}}), None, {"effort": "low"}),
        (
            Reasoning(extras={ANTHROPIC: {"type": "between_tools"}}),
            {"type": "between_tools"},
            None,
        ),
        (
            Reasoning(enabled=True, adaptive=True, extras={ANTHROPIC: {"display": "omitted"}}),
            {"type": "adaptive", "display": "omitted"},
            None,
        ),
    ],
)
def test_reasoning_trap_59(
    reasoning: Reasoning, thinking: JsonObject | None, output_config: JsonObject | None
) -> None:
    sent = Encoded(replace(ASK, reasoning=reasoning))
    assert sent.body.get("thinking") == thinking
    assert sent.body.get("output_config") == output_config


def in_a_tool_loop(reasoning: Reasoning) -> ChatRequest:
    call = ToolCall(id="t1", name="f", arguments="{}")
    return replace(
        ASK,
        tools=(TOOL,),
        turns=(
            *ASK.turns,
            Turn(role=Role.ASSISTANT, parts=(call,)),
            Turn(role=Role.USER, parts=(ToolResult(call_id="t1", content=(Text("ok"),)),)),
        ),
        reasoning=reasoning,
    )


def test_a_tool_loop_that_lost_its_thinking_goes_on_without_a_budget_trap_54() -> None:
    sent = Encoded(in_a_tool_loop(Reasoning(enabled=True, budget_tokens=2000)))
    assert sent.body["thinking"] == {"type": "disabled"}
    assert sent.dropped == ("reasoning",)
    adaptive = Encoded(in_a_tool_loop(Reasoning(effort=Effort.HIGH)))
    assert adaptive.body["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize("mode", [ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED])
@pytest.mark.parametrize(
    "reasoning", [Reasoning(effort=Effort.LOW), Reasoning(enabled=True, budget_tokens=2000)]
)
def test_forced_tools_yield_to_thinking_trap_31(mode: ToolChoiceMode, reasoning: Reasoning) -> None:
    name = "f" if mode is ToolChoiceMode.NAMED else None
    sent = Encoded(
        replace(ASK, tools=(TOOL,), tool_choice=ToolChoice(mode, name), reasoning=reasoning)
    )
    assert sent.body["tool_choice"] == {"type": "auto"}
    assert sent.dropped == ("tool_choice",)


def test_no_thinking_leaves_tools_forced() -> None:
    sent = Encoded(
        replace(
            ASK,
            tools=(TOOL,),
            tool_choice=ToolChoice(ToolChoiceMode.REQUIRED),
            reasoning=Reasoning(effort=Effort.NONE),
        )
    )
    assert sent.body["tool_choice"] == {"type": "any"}


def test_tool_choice_none_keeps_the_tools_trap_32() -> None:
    sent = Encoded(replace(ASK, tools=(TOOL,), tool_choice=ToolChoice(ToolChoiceMode.NONE)))
    assert sent.body["tool_choice"] == {"type": "none"}
    assert sent.body["tools"] == [{"name": "f", "input_schema": TOOL.parameters}]


def test_serial_calls_without_a_choice_trap_33() -> None:
    sent = Encoded(replace(ASK, tools=(TOOL,), parallel_tool_calls=False))
    assert sent.body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "parallel", "written"),
    [
        (None, True, None),
        (ToolChoice(ToolChoiceMode.AUTO), None, {"type": "auto"}),
        (
            ToolChoice(ToolChoiceMode.REQUIRED),
            False,
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        (
            ToolChoice(ToolChoiceMode.NAMED, "f"),
            True,
            {"type": "tool", "disable_parallel_tool_use": False, "name": "f"},
        ),
    ],
)
def test_tool_choices(
    choice: ToolChoice | None, parallel: bool | None, written: JsonObject | None
) -> None:
    sent = Encoded(replace(ASK, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel))
    assert sent.body.get("tool_choice") == written


def test_a_choice_without_tools_is_left_out_unless_it_forces_a_call() -> None:
    auto = replace(ASK, tool_choice=ToolChoice(ToolChoiceMode.AUTO), parallel_tool_calls=False)
    assert "tool_choice" not in Encoded(auto).body
    forced = replace(ASK, tool_choice=ToolChoice(ToolChoiceMode.REQUIRED))
    assert refused(forced).error.param == "tools"


def test_tools_that_were_called_stay_declared() -> None:
    """The API refuses tool blocks in a conversation whose request declares no tools."""
    sent = Encoded(replace(in_a_tool_loop(Reasoning()), tools=()))
    assert sent.body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert sent.body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        (None, {"type": "object"}),
        ({}, {"type": "object"}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object", "required": ["a"]}, {"type": "object", "required": ["a"]}),
    ],
)
def test_tool_schemas_describe_an_object(parameters: JsonObject | None, schema: JsonObject) -> None:
    sent = Encoded(replace(ASK, tools=(Tool(name="f", parameters=parameters),)))
    assert sent.body["tools"] == [{"name": "f", "input_schema": schema}]


def test_strict_and_description_are_kept() -> None:
    sent = Encoded(replace(ASK, tools=(replace(TOOL, description="d", strict=True),)))
    assert sent.body["tools"] == [
        {"name": "f", "description": "d", "input_schema": TOOL.parameters, "strict": True}
    ]


def test_a_tool_of_another_dialect_is_refused() -> None:
    tool = OpaqueTool(OTHER, {"type": "web_search_preview"})
    assert "web_search_preview" in refused(replace(ASK, tools=(tool,))).error.message


def test_a_schema_for_the_answer_trap_35() -> None:
    item: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}}
    schema: JsonObject = {
        "type": "object",
        "properties": {"all": {"type": "array", "items": item}, "map": {"$ref": "#/$defs/m"}},
        "$defs": {"m": {"type": "object", "additionalProperties": {"type": "string"}}},
    }
    output = OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=schema, name="x", strict=True)
    sent = Encoded(replace(ASK, output=output))
    assert sent.body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "all": {"type": "array", "items": {**item, "additionalProperties": False}},
                    "map": {"$ref": "#/$defs/m"},
                },
                "$defs": schema["$defs"],
                "additionalProperties": False,
            },
        }
    }
    assert "additionalProperties" not in schema, "the client's own schema is left alone"


def test_the_schema_of_an_anthropic_client_goes_as_it_came() -> None:
    schema: JsonObject = {"type": "object"}
    output = OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=schema)
    sent = Encoded(replace(ASK, output=output, extras={ANTHROPIC: {}}))
    assert sent.body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


def test_json_mode_becomes_an_instruction_after_the_system_text() -> None:
    turns = (Turn(role=Role.SYSTEM, parts=(Text("Be brief."),)), *ASK.turns)
    sent = Encoded(replace(ASK, turns=turns, output=OutputFormat(kind=OutputKind.JSON)))
    system = sent.body["system"]
    assert isinstance(system, list)
    assert system[0] == {"type": "text", "text": "Be brief."}
    assert "JSON" in str(system[1])
    assert "output_config" not in sent.body


def test_several_choices_are_refused_trap_36() -> None:
    failure = refused(replace(ASK, choices=2))
    assert failure.error.param == "n"
    assert "'n'" in failure.error.message


@pytest.mark.parametrize(
    ("sampling", "param"),
    [(Sampling(logprobs=True), "logprobs"), (Sampling(top_logprobs=3), "top_logprobs")],
)
def test_log_probabilities_are_refused_trap_37(sampling: Sampling, param: str) -> None:
    assert refused(replace(ASK, sampling=sampling)).error.param == param
    assert Encoded(replace(ASK, sampling=Sampling(logprobs=False, top_logprobs=0))).dropped == ()


def test_what_only_tunes_is_dropped_and_reported_trap_38() -> None:
    sent = Encoded(
        replace(
            ASK,
            sampling=Sampling(
                seed=1,
                frequency_penalty=0.1,
                presence_penalty=0.2,
                repeat_penalty=1.1,
                min_p=0.1,
                logit_bias={"5": 1.0},
            ),
            service_tier="flex",
            metadata={"a": "b"},
        )
    )
    assert set(sent.dropped) == {
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repeat_penalty",
        "min_p",
        "logit_bias",
        "service_tier",
        "metadata",
    }
    assert set(sent.body) == {"model", "max_tokens", "messages"}


def test_names_of_participants_are_reported() -> None:
    turn = Turn(role=Role.USER, parts=(Text("Hi"),), name="ann")
    assert Encoded(replace(ASK, turns=(turn,))).dropped == ("name",)


def test_blank_stop_strings_are_left_out_trap_39() -> None:
    stop = ("END", "", " \n", "a", "b", "c")
    assert Encoded(replace(ASK, stop=stop)).body["stop_sequences"] == ["END", "a", "b", "c"]
    assert "stop_sequences" not in Encoded(replace(ASK, stop=("\n",))).body


@pytest.mark.parametrize(
    ("sampling", "written", "dropped"),
    [
        (Sampling(temperature=0.2), {"temperature": 0.2}, ()),
        (Sampling(temperature=1.7), {"temperature": 1}, ()),
        (Sampling(top_p=0.5, top_k=3), {"top_p": 0.5, "top_k": 3}, ()),
        # Newer models take only one of the two.
        (Sampling(temperature=0.2, top_p=1.0), {"temperature": 0.2}, ()),
        (Sampling(temperature=0.2, top_p=0.5), {"temperature": 0.2}, ("top_p",)),
    ],
)
def test_sampling(sampling: Sampling, written: JsonObject, dropped: tuple[str, ...]) -> None:
    sent = Encoded(replace(ASK, sampling=sampling))
    assert {**sent.body, **written} == sent.body
    assert {"temperature", "top_p", "top_k"} & set(sent.body) == set(written)
    assert sent.dropped == dropped


def test_sampling_yields_to_thinking() -> None:
    thinking = Reasoning(effort=Effort.LOW)
    sent = Encoded(
        replace(ASK, reasoning=thinking, sampling=Sampling(temperature=0.2, top_p=0.5, top_k=3))
    )
    assert not {"temperature", "top_p", "top_k"} & set(sent.body)
    assert sent.dropped == ("temperature", "top_p", "top_k")
    harmless = Sampling(temperature=1, top_p=0.99)
    sent = Encoded(replace(ASK, reasoning=thinking, sampling=harmless))
    assert sent.body["top_p"] == 0.99
    assert "temperature" not in sent.body
    assert sent.dropped == ()


def test_service_tiers_that_the_api_knows() -> None:
    assert Encoded(replace(ASK, service_tier="auto")).body["service_tier"] == "auto"
    assert Encoded(replace(ASK, service_tier="auto")).dropped == ()


@pytest.mark.parametrize("user_id", ["ann@example.com", "+49 170 1234567", "x" * 300])
def test_user_ids_that_the_api_refuses_are_hashed(user_id: str) -> None:
    metadata = Encoded(replace(ASK, user_id=user_id)).body["metadata"]
    assert metadata == Encoded(replace(ASK, user_id=user_id)).body["metadata"]
    assert isinstance(metadata, dict)
    assert user_id not in str(metadata["user_id"])
    assert len(str(metadata["user_id"])) == 64


def test_other_user_ids_are_kept() -> None:
    assert Encoded(replace(ASK, user_id="u-1")).body["metadata"] == {"user_id": "u-1"}


def test_raw_fields_go_back_and_never_replace_what_was_said() -> None:
    extras: JsonObject = {
        "container": "c1",
        "max_tokens": 1,
        "metadata": {"team": "red"},
        "output_config": {"task_budget": 5},
    }
    sent = Encoded(
        replace(
            ASK,
            user_id="u",
            reasoning=Reasoning(effort=Effort.LOW, extras={ANTHROPIC: {}}),
            stream=True,
            extras={ANTHROPIC: extras, OTHER: {"store": True}},
        )
    )
    assert sent.body["container"] == "c1"
    assert sent.body["max_tokens"] == 8192
    assert sent.body["metadata"] == {"user_id": "u", "team": "red"}
    assert sent.body["output_config"] == {"effort": "low", "task_budget": 5}
    assert sent.body["stream"] is True
    assert "store" not in sent.body
