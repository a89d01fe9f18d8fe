"""Requests of ``POST /v1/completions``: read, written, refused, and split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama._types import GenerateRequest
from openai.types import CompletionCreateParams

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Completion,
    Dialect,
    Image,
    InlineData,
    OutputFormat,
    OutputKind,
    Reasoning,
    Role,
    Sampling,
    Text,
    Tool,
    Turn,
    user_turn,
)
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ChatCodec, UpstreamTraits
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaGenerateCodec
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_COMPLETIONS,
    OpenAIChatCodec,
    OpenAICompletionsCodec,
)
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

COMPLETIONS = OpenAICompletionsCodec()
GENERATE = OllamaGenerateCodec()
TRAITS = UpstreamTraits()
OPENAIS = UpstreamTraits(max_output_field="max_completion_tokens")
CHATS = [OpenAIChatCodec(), AnthropicMessagesCodec(), OllamaChatCodec()]
one_text_at_a_time = pytest.mark.parametrize(
    "codec", [*CHATS, GENERATE], ids=lambda codec: codec.api
)
conversations = pytest.mark.parametrize("codec", CHATS, ids=lambda codec: codec.api)


def asking(**fields: JsonValue) -> ChatRequest:
    return COMPLETIONS.decode_request({"model": "m", "prompt": "Once upon", **fields})


def completion_of(request: ChatRequest) -> Completion:
    assert request.completion is not None
    return request.completion


def sent_by(codec: ChatCodec, request: ChatRequest) -> JsonObject:
    return codec.encode_request(request, TRAITS).body


def refusal(codec: ChatCodec, request: ChatRequest) -> tuple[str | None, str]:
    with pytest.raises(ApiFailure) as failure:
        codec.encode_request(request, TRAITS)
    error = failure.value.error
    assert error.kind is ErrorKind.BAD_REQUEST
    return error.param, error.message


def test_it_stands_where_the_official_client_posts() -> None:
    assert (COMPLETIONS.api, COMPLETIONS.dialect, COMPLETIONS.path) == (
        OPENAI_COMPLETIONS,
        OPENAI,
        "/v1/completions",
    )


def test_two_apis_complete_text_as_it_stands() -> None:
    assert COMPLETIONS.completes_text
    assert GENERATE.completes_text
    assert not any(codec.completes_text for codec in CHATS)


# Read


@pytest.mark.parametrize(
    ("said", "prompts"),
    [
        ("Once upon", ("Once upon",)),
        ("", ("",)),
        (["Once upon"], ("Once upon",)),
        (["a", "b", ""], ("a", "b", "")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_prompt_has_four_forms(said: JsonValue, prompts: tuple[str | tuple[int, ...], ...]) -> None:
    request = COMPLETIONS.decode_request({"model": "m", "prompt": said})
    assert request.completion == Completion(prompts=prompts)
    assert request.turns == tuple(user_turn(text) for text in prompts if isinstance(text, str))
    sent = COMPLETIONS.encode_request(request, TRAITS)
    assert COMPLETIONS.decode_request(sent.body) == request
    pydantic.TypeAdapter(CompletionCreateParams).validate_python(sent.body, strict=True)


def test_every_field_is_read_and_written() -> None:
    body: JsonObject = {
        "model": "m",
        "prompt": "def f(",
        "suffix": "    return x",
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "seed": 7,
        "logit_bias": {"50256": -100},
        "n": 2,
        "best_of": 3,
        "logprobs": 5,
        "echo": True,
        "stop": ["a", "b"],
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "ignore_eos": True,
    }
    request = COMPLETIONS.decode_request(body)
    assert request.completion == Completion(
        prompts=("def f(",), suffix="    return x", echo=True, best_of=3, logprobs=5
    )
    assert (request.choices, request.max_output_tokens, request.stop) == (2, 5, ("a", "b"))
    assert (request.user_id, request.stream, request.stream_usage) == ("u", True, True)
    assert request.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        min_p=0.1,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        repeat_penalty=1.1,
        logit_bias={"50256": -100},
    )
    sent = COMPLETIONS.encode_request(request, TRAITS)
    assert sent.body == body
    assert sent.dropped == ()


def test_what_is_not_said_is_not_made_up() -> None:
    assert sent_by(COMPLETIONS, asking()) == {"model": "m", "prompt": "Once upon"}
    assert asking(suffix="").completion == Completion(prompts=("Once upon",))


def test_a_prompt_may_be_read_without_an_answer() -> None:
    """What measures models asks so for the probabilities of its own text."""
    request = asking(max_tokens=0, echo=True, logprobs=0)
    assert request.max_output_tokens == 0
    assert sent_by(COMPLETIONS, request) == {
        "model": "m",
        "prompt": "Once upon",
        "max_tokens": 0,
        "echo": True,
        "logprobs": 0,
    }


@pytest.mark.parametrize(
    ("faulty", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": []}, "prompt", "empty_array"),
        ({"prompt": [[]]}, "prompt[0]", "empty_array"),
        ({"prompt": 5}, "prompt", "invalid_type"),
        ({"prompt": ["a", 5]}, "prompt[1]", "invalid_type"),
        ({"prompt": [5, "a"]}, "prompt[1]", "invalid_type"),
        ({"prompt": [[5], "a"]}, "prompt[1]", "invalid_type"),
        ({"suffix": 5}, "suffix", "invalid_type"),
        ({"echo": "yes"}, "echo", "invalid_type"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"logprobs": -1}, "logprobs", "integer_below_min_value"),
        ({"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": 3, "best_of": 2}, "best_of", "invalid_value"),
        ({"best_of": "all"}, "best_of", "invalid_type"),
        ({"stop": [1]}, "stop[0]", "invalid_type"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"logit_bias": {"1": "x"}}, "logit_bias.1", "invalid_type"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
    ],
)
def test_a_faulty_request_is_refused_by_the_name_of_its_field(
    faulty: JsonObject, param: str, code: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        asking(**faulty)
    error = failure.value.error
    assert (error.kind, error.param, error.code) == (ErrorKind.BAD_REQUEST, param, code)


@pytest.mark.parametrize("server", ["llamacpp-0.7.0-b11669", "vllm-0.32.0-cpu"])
@pytest.mark.parametrize("name", ["completions", "completions-stream"])
def test_requests_that_real_servers_took_come_out_as_they_came(
    captured_request: Callable[[str], bytes], server: str, name: str
) -> None:
    body = loads_object(captured_request(f"{server}/{name}"))
    sent = COMPLETIONS.encode_request(
        COMPLETIONS.decode_request(body), UpstreamTraits(stream_usage=False)
    )
    assert sent.body == body


# Written for servers that only answer in a conversation


def test_trap_12_a_plain_prompt_is_what_a_user_says() -> None:
    request = asking(max_tokens=5, stop="x", temperature=0.5, user="u")
    assert sent_by(OpenAIChatCodec(), request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once upon"}],
        "max_tokens": 5,
        "stop": ["x"],
        "temperature": 0.5,
        "user": "u",
    }
    assert sent_by(OllamaChatCodec(), request)["messages"] == [
        {"role": "user", "content": "Once upon"}
    ]
    anthropics = sent_by(AnthropicMessagesCodec(), replace(request, max_output_tokens=None))
    assert anthropics["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Once upon"}]}
    ]
    assert anthropics["max_tokens"] == TRAITS.default_max_output_tokens


@one_text_at_a_time
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"echo": True}, "echo"),
        ({"logprobs": 0}, "logprobs"),
        ({"best_of": 2}, "best_of"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_takes_a_server_of_the_api_is_refused_elsewhere_by_name(
    codec: ChatCodec, fields: JsonObject, param: str
) -> None:
    """Traps 36 and 37: never one choice instead of two, never probabilities left out."""
    refused, message = refusal(codec, asking(**fields))
    assert refused == param
    assert f"'{param}'" in message


@conversations
@pytest.mark.parametrize(
    ("completion", "param"),
    [
        (Completion(prompts=("a",), suffix="b"), "suffix"),
        (Completion(prompts=("a",), raw=True), "raw"),
    ],
)
def test_a_conversation_can_neither_fill_in_nor_leave_out_its_template(
    codec: ChatCodec, completion: Completion, param: str
) -> None:
    request = ChatRequest(model="m", turns=(user_turn("a"),), completion=completion)
    refused, message = refusal(codec, request)
    assert refused == param
    assert f"'{param}'" in message


def test_every_api_completes_text_or_refuses_what_is_more_than_a_prompt() -> None:
    """Also those that are yet to come: none may lose what the client asked for."""
    request = asking(suffix="x")
    for codec in CODECS.values():
        if codec.completes_text:
            assert sent_by(codec, request)["suffix"] == "x"
        else:
            assert refusal(codec, request)[0] == "suffix"


def test_best_of_as_many_as_are_wanted_chooses_nothing() -> None:
    assert sent_by(OpenAIChatCodec(), asking(best_of=1))["messages"]


def test_raw_fields_are_not_taken_for_a_chats() -> None:
    request = asking(prompt_logprobs=1, ignore_eos=True, repeat_penalty=1.1)
    encoded = OpenAIChatCodec().encode_request(request, TRAITS)
    assert "prompt_logprobs" not in encoded.body
    assert encoded.body["repetition_penalty"] == 1.1
    assert encoded.dropped == ("prompt_logprobs", "ignore_eos")


# Written for servers of the API


def test_openai_gets_only_fields_that_it_knows() -> None:
    request = asking(top_k=5, ignore_eos=True, best_of=2, max_tokens=5, user="u")
    sent = COMPLETIONS.encode_request(request, OPENAIS)
    assert sent.body == {
        "model": "m",
        "prompt": "Once upon",
        "best_of": 2,
        "max_tokens": 5,
        "user": "u",
    }
    assert sent.dropped == ("top_k", "ignore_eos")


def test_trap_39_openai_gets_at_most_four_stop_sequences() -> None:
    request = asking(stop=["1", "2", "3", "4", "5"])
    assert sent_by(COMPLETIONS, request)["stop"] == ["1", "2", "3", "4", "5"]
    with pytest.raises(ApiFailure, match="at most 4"):
        COMPLETIONS.encode_request(request, OPENAIS)


def test_usage_is_asked_of_every_stream_where_the_server_knows_how() -> None:
    assert sent_by(COMPLETIONS, asking(stream=True))["stream_options"] == {"include_usage": True}
    quiet = COMPLETIONS.encode_request(asking(stream=True), UpstreamTraits(stream_usage=False))
    assert "stream_options" not in quiet.body


_COMPLETING = ChatRequest(
    model="m", turns=(user_turn("a"),), completion=Completion(prompts=("a",), raw=True)
)
_SYSTEM = Turn(role=Role.SYSTEM, parts=(Text("be kind"),))
_PICTURE = Turn(role=Role.USER, parts=(Image(source=InlineData(base64="AAAA")), Text("a")))


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest(model="m", turns=(user_turn("a"),)), "messages"),
        (replace(_COMPLETING, turns=(_SYSTEM, user_turn("a"))), "system"),
        (replace(_COMPLETING, turns=(_PICTURE,)), "images"),
        (replace(_COMPLETING, tools=(Tool(name="f"),)), "tools"),
        (replace(_COMPLETING, output=OutputFormat(kind=OutputKind.JSON)), "format"),
    ],
)
def test_what_is_no_text_to_complete_is_refused(request_: ChatRequest, param: str) -> None:
    assert refusal(COMPLETIONS, request_)[0] == param


def test_what_the_api_has_no_field_for_is_reported() -> None:
    request = replace(
        _COMPLETING,
        sampling=Sampling(logprobs=True, top_logprobs=2),
        reasoning=Reasoning(enabled=False),
        metadata={"a": "b"},
        service_tier="flex",
        extras={Dialect("elsewhere"): {"mood": "calm"}},
    )
    sent = COMPLETIONS.encode_request(request, TRAITS)
    assert sent.body == {"model": "m", "prompt": "a"}
    assert sent.dropped == (
        "logprobs",
        "top_logprobs",
        "reasoning",
        "metadata",
        "service_tier",
        "mood",
    )


# Between the two APIs that complete text


@pytest.mark.parametrize(
    ("completions", "generate"),
    [
        ({}, {"raw": True}),
        ({"suffix": "return x"}, {"suffix": "return x"}),
        (
            {"max_tokens": 5, "temperature": 0.5, "seed": 7, "stop": ["x"]},
            {
                "raw": True,
                "options": {"num_predict": 5, "temperature": 0.5, "seed": 7, "stop": ["x"]},
            },
        ),
    ],
)
def test_completions_and_generate_say_the_same(
    completions: JsonObject, generate: JsonObject
) -> None:
    ours: JsonObject = {"model": "m", "prompt": "def f(", **completions}
    theirs: JsonObject = {"model": "m", "prompt": "def f(", "stream": False, **generate}
    assert sent_by(GENERATE, COMPLETIONS.decode_request(ours)) == theirs
    assert sent_by(COMPLETIONS, GENERATE.decode_request(theirs)) == ours
    GenerateRequest.model_validate(theirs, strict=True)


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_SHARED = st.fixed_dictionaries(
    {"model": st.just("m"), "prompt": _TEXT},
    optional={
        "suffix": _TEXT,
        "max_tokens": st.integers(1, 99),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 9),
        "seed": st.integers(0, 9),
        "stop": st.lists(_TEXT, min_size=1, max_size=3),
        "presence_penalty": st.floats(-2, 2),
        "stream": st.just(True),
    },
)


@given(_SHARED)
@settings(max_examples=80, deadline=None)
def test_a_request_survives_the_way_through_the_other_api(body: JsonObject) -> None:
    there = loads_object(dumps(sent_by(GENERATE, COMPLETIONS.decode_request(body))))
    back = COMPLETIONS.encode_request(
        GENERATE.decode_request(there), UpstreamTraits(stream_usage=False)
    )
    assert back.body == body
    assert back.dropped == ()


_PROMPT: st.SearchStrategy[JsonValue] = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.lists(_TEXT, min_size=1, max_size=3).map(lambda texts: [*texts]),
    st.lists(st.integers(0, 9), min_size=1, max_size=3).map(lambda tokens: [*tokens]),
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda arrays: [[*array] for array in arrays]
    ),
)
_BODY = st.fixed_dictionaries(
    {"model": st.just("m"), "prompt": _PROMPT},
    optional={
        "suffix": _TEXT,
        "max_tokens": st.integers(0, 99),
        "n": st.integers(1, 3),
        "best_of": st.integers(3, 5),
        "echo": st.booleans(),
        "logprobs": st.integers(0, 5),
        "temperature": st.floats(0, 2),
        "repeat_penalty": st.floats(0, 2),
        "logit_bias": st.dictionaries(st.just("1"), st.integers(-9, 9)),
        "stop": st.lists(_TEXT, max_size=3) | _TEXT,
        "user": st.just("u"),
        "ignore_eos": st.booleans(),
        "stream": st.booleans(),
    },
)


@given(_BODY)
@settings(max_examples=120, deadline=None)
def test_a_request_survives_the_way_through(body: JsonObject) -> None:
    request = COMPLETIONS.decode_request(body)
    sent = COMPLETIONS.encode_request(request, UpstreamTraits(stream_usage=False))
    again = COMPLETIONS.decode_request(loads_object(dumps(sent.body)))
    assert again == request
    assert sent.dropped == ()


# Split


def test_what_asks_for_one_answer_stays_one() -> None:
    request = asking(best_of=3)
    assert COMPLETIONS.split(request) == [request]


def test_several_prompts_with_several_choices_are_so_many_requests() -> None:
    parts = COMPLETIONS.split(asking(prompt=["a", "b"], n=2, best_of=2, seed=7, suffix="x"))
    assert [completion_of(part).prompts for part in parts] == [("a",), ("a",), ("b",), ("b",)]
    assert [part.turns for part in parts] == [(user_turn(text),) for text in ("a", "a", "b", "b")]
    # One seed for all would give the same answer twice.
    assert [part.sampling.seed for part in parts] == [7, 8, 7, 8]
    assert all(part.choices == 1 for part in parts)
    assert all(completion_of(part).best_of is None for part in parts)
    assert all(sent_by(GENERATE, part)["suffix"] == "x" for part in parts)


def test_arrays_of_tokens_are_split_for_servers_that_read_them() -> None:
    parts = COMPLETIONS.split(asking(prompt=[[1], [2, 3]]))
    assert [sent_by(COMPLETIONS, part)["prompt"] for part in parts] == [[1], [2, 3]]
    assert all(part.turns == () for part in parts)


def test_the_best_of_several_is_chosen_prompt_by_prompt_but_not_choice_by_choice() -> None:
    parts = COMPLETIONS.split(asking(prompt=["a", "b"], best_of=3))
    assert [completion_of(part).best_of for part in parts] == [3, 3]
    with pytest.raises(ApiFailure, match="best_of"):
        COMPLETIONS.split(asking(n=2, best_of=3))


@given(_BODY)
@settings(max_examples=60, deadline=None)
def test_parts_ask_for_one_answer_each_and_for_nothing_else(body: JsonObject) -> None:
    body.pop("best_of", None)
    request = COMPLETIONS.decode_request(body)
    parts = COMPLETIONS.split(request)
    prompts = completion_of(request).prompts
    assert [completion_of(part).prompts for part in parts] == [
        (prompt,) for prompt in prompts for _ in range(request.choices)
    ]
    if len(parts) > 1:
        for part in parts:
            assert (
                replace(
                    part,
                    turns=request.turns,
                    completion=replace(completion_of(part), prompts=prompts),
                    choices=request.choices,
                )
                == request
            )
