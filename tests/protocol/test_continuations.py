"""Answers that broke off: what asks for their rest, and several calls told as one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.continuations import (
    SplicedAnswer,
    can_be_continued,
    continued,
)
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Completion,
    Effort,
    OutputFormat,
    OutputKind,
    Reasoning,
    Role,
    Sampling,
    ServerState,
    Text,
    Thinking,
    ToolChoice,
    ToolChoiceMode,
    Turn,
    user_turn,
)
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ChatCodec, Prefill, UpstreamTraits
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaGenerateCodec
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OpenAIChatCodec,
    OpenAICompletionsCodec,
    OpenAIResponsesCodec,
    OpenAISpeech,
)
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.openai_compatible import prefill_of

REQUEST = ChatRequest(model="m", turns=(user_turn("go"),), stream=True)
END = Finish(reason=FinishReason.END)


def said(*texts: str, index: int = 0) -> list[StreamEvent]:
    """A call's events, up to the last of these pieces of one text."""
    return [
        Start(id="x", model="m", created=1),
        PartStart(index=index, kind=PartKind.TEXT),
        *(TextDelta(index, text) for text in texts),
    ]


def ended(*events: StreamEvent, index: int = 0) -> list[StreamEvent]:
    return [*events, PartStop(index), END]


def told(*calls: Iterable[StreamEvent], repeats: bool = False) -> list[StreamEvent]:
    """What the client hears of calls that broke, and of a last one that did not."""
    answer = SplicedAnswer()
    heard: list[StreamEvent] = []
    for number, call in enumerate(calls):
        if number:
            answer.break_off(repeats=repeats)
        for event in call:
            heard += answer.add(event)
    return heard


def text_of(events: list[StreamEvent]) -> str:
    response = assemble(events)
    return "".join(part.text for part in response.parts if isinstance(part, Text))


# Several calls as one answer

TEXTS = st.text(alphabet="ab \n\té世", max_size=40)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(
    whole=TEXTS.filter(lambda text: bool(text.strip())),
    breaks=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    repeats=st.booleans(),
)
@example(whole=f" {'a' * 15} ", breaks=[17], cuts=[], repeats=False)
def test_text_is_told_once_wherever_it_breaks_and_however_the_rest_comes(
    whole: str, breaks: list[int], cuts: list[int], repeats: bool
) -> None:
    """Each server goes on exactly where the one before broke off, white space left out; or says
    all of it again."""
    calls: list[Iterable[StreamEvent]] = []
    given_as_said = ""
    for at in sorted(breaks):
        if len(whole[:at].rstrip()) < len(given_as_said):
            continue
        start = 0 if repeats and calls else len(given_as_said)
        calls.append(
            said(*pieces_of(whole[start:at], [cut - start for cut in cuts if cut > start]))
        )
        given_as_said = whole[:at].rstrip()
    start = 0 if repeats and calls and given_as_said else len(given_as_said)
    calls.append(ended(*said(*pieces_of(whole[start:], cuts))))
    heard = told(*calls, repeats=repeats)
    assert text_of(heard) == whole
    assert [event for event in heard if isinstance(event, Start)] == [
        Start(id="x", model="m", created=1)
    ]
    assert sum(isinstance(event, PartStart) for event in heard) == 1
    assert sum(isinstance(event, PartStop) for event in heard) == 1


def test_a_long_text_that_is_said_again_unasked_is_told_once() -> None:
    long = "the quick brown fox jumps "
    heard = told(said(long), ended(*said("the quick ", "brown fox ", "jumps over")))
    assert text_of(heard) == f"{long}over"


def test_a_short_text_may_be_said_twice() -> None:
    assert text_of(told(said("ha"), ended(*said("ha", "!")))) == "haha!"
    assert text_of(told(said("ha"), ended(*said("ha", "!")), repeats=True)) == "ha!"


def test_what_only_begins_like_a_repetition_is_told() -> None:
    long = "the quick brown fox jumps"
    for rest in (["the quick"], ["the quick ", "red fox"], ["the quick brown fox "]):
        assert text_of(told(said(long), ended(*said(*rest)))) == long + "".join(rest)


def test_white_space_at_the_seam_is_told_once_whoever_says_it() -> None:
    assert text_of(told(said("one \n"), ended(*said(" \ntwo")))) == "one \ntwo"
    assert text_of(told(said("one \n"), ended(*said("two")))) == "one \ntwo"
    assert text_of(told(said("one \n"), ended(*said(" ", "two")))) == "one \ntwo"
    assert text_of(told(said("one"), ended(*said("\n", "two")))) == "one\ntwo"


def test_a_rest_that_is_empty_ends_the_answer() -> None:
    call: list[StreamEvent] = [Start(id="y", model="n", created=2), END]
    heard = told(said("all of it"), call)
    assert text_of(heard) == "all of it"
    assert heard[-2:] == [PartStop(0), END]


def test_text_that_was_closed_is_not_opened_again() -> None:
    heard = told([*said("one"), PartStop(0)], ended(*said("two")))
    starts = [event.index for event in heard if isinstance(event, PartStart)]
    assert starts == [0, 1]
    assert text_of(heard) == "onetwo"


def test_the_rest_may_call_tools_and_parts_count_on() -> None:
    call: list[StreamEvent] = [
        Start(id="y", model="n", created=2),
        PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="c", call_name="f"),
        ArgumentsDelta(0, "{}"),
        PartStop(0),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]
    heard = told(said("let me see"), call)
    assert heard[3:] == [
        PartStop(0),
        PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="c", call_name="f"),
        ArgumentsDelta(1, "{}"),
        PartStop(1),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]


def reported(*events: StreamEvent, usage: Usage) -> list[StreamEvent]:
    *before, stop, end = ended(*events)
    return [*before, stop, UsageReport(usage), end]


def test_usage_counts_the_prompt_once_and_what_every_call_put_out() -> None:
    text = "x" * 40  # ten tokens by length
    last = Usage(input_uncached=30, cache_read=80, output=7)
    told_usage = assemble(told(said(text), reported(*said("rest"), usage=last))).usage
    assert told_usage == Usage(input_uncached=20, cache_read=80, output=17)

    start = Start(id="x", model="m", created=1, usage=Usage(input_uncached=90, output=1))
    first = [start, *said(text)[1:]]
    told_usage = assemble(told(first, reported(*said("rest"), usage=last))).usage
    assert told_usage == Usage(input_uncached=90, output=17)

    few = Usage(input_uncached=4, cache_read=100, output=1)
    told_usage = assemble(told(said(text), reported(*said("rest"), usage=few))).usage
    assert told_usage == Usage(cache_read=94, output=11)


# What can be gone on with


@pytest.mark.parametrize(
    "events",
    [
        [PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="c", call_name="f")],
        [PartStart(index=0, kind=PartKind.REFUSAL), TextDelta(0, "no")],
        [
            PartStart(index=0, kind=PartKind.THINKING, redacted="…"),
            PartStop(0),
            *said("a", index=1),
        ],
        [
            PartStart(index=0, kind=PartKind.THINKING),
            SignatureDelta(0, "…"),
            PartStop(0),
            *said("a", index=1),
        ],
        [PartStart(index=0, kind=PartKind.THINKING), ThinkingDelta(0, "hm")],
        [*said("a"), Aside({OPENAI: {"audio": {"data": "…"}}}, is_content=True)],
        [*said("a"), PartStop(0), PartStart(index=1, kind=PartKind.THINKING)],
        said(" \n"),
        said("x" * 2_000_000),
    ],
    ids=[
        *("a call", "a refusal", "redacted thinking", "signed thinking", "unfinished thinking"),
        "sound",
        *("thinking begun after text", "white space", "too much"),
    ],
)
def test_only_text_is_gone_on_with(events: list[StreamEvent]) -> None:
    answer = SplicedAnswer()
    for event in events:
        list(answer.add(event))
    assert continued(REQUEST, answer) is None


def answer_of(*events: StreamEvent) -> SplicedAnswer:
    answer = SplicedAnswer()
    for event in events:
        list(answer.add(event))
    return answer


def test_the_rest_is_asked_for_with_the_text_so_far_as_the_models_turn() -> None:
    asked = continued(replace(REQUEST, max_output_tokens=50), answer_of(*said("one ", "two \n")))
    assert asked is not None
    assert asked.turns == (user_turn("go"), Turn(role=Role.ASSISTANT, parts=(Text("one two"),)))
    assert asked.continues
    assert asked.max_output_tokens == 47


def test_remarks_of_a_server_pass_and_forbid_nothing() -> None:
    remark = Aside({OPENAI: {"timings": {"predicted_n": 1}}})
    answer = answer_of(*said("one"))
    assert list(answer.add(remark)) == [remark]
    assert continued(REQUEST, answer) is not None


def test_open_thoughts_are_left_behind_and_not_thought_again() -> None:
    thought = [
        PartStart(index=0, kind=PartKind.THINKING),
        ThinkingDelta(0, "hm"),
        PartStop(0),
        *said("so", index=1),
    ]
    wish = Reasoning(enabled=True, effort=Effort.HIGH)
    asked = continued(replace(REQUEST, reasoning=wish), answer_of(*thought))
    assert asked is not None
    assert asked.reasoning is None
    assert not any(isinstance(part, Thinking) for turn in asked.turns for part in turn.parts)
    no_wish = Reasoning(enabled=False)
    asked = continued(replace(REQUEST, reasoning=no_wish), answer_of(*said("so")))
    assert asked is not None
    assert asked.reasoning == no_wish


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, stream=False),
        replace(REQUEST, choices=2),
        replace(REQUEST, completion=Completion(prompts=("go", "on"))),
        replace(REQUEST, completion=Completion(prompts=((1, 2),))),
        replace(REQUEST, completion=Completion(prompts=("go",), suffix="on")),
        replace(REQUEST, completion=Completion(prompts=("go",), echo=True)),
        replace(REQUEST, completion=Completion(prompts=("go",), logprobs=0)),
        replace(REQUEST, output=OutputFormat(kind=OutputKind.JSON)),
        replace(REQUEST, sampling=Sampling(logprobs=True)),
        replace(REQUEST, tool_choice=ToolChoice(ToolChoiceMode.REQUIRED)),
        replace(REQUEST, state=ServerState(background=True)),
        replace(REQUEST, state=ServerState(conversation_id="conv_1")),
        replace(REQUEST, turns=(*REQUEST.turns, Turn(role=Role.ASSISTANT, parts=(Text("I"),)))),
        replace(REQUEST, extras={OPENAI: {"guided_regex": "a*"}}),
    ],
)
def test_what_is_not_a_free_text_in_one_piece_is_not_gone_on_with(request_: ChatRequest) -> None:
    assert can_be_continued(REQUEST)
    assert not can_be_continued(request_)


# How servers are told

REST = continued(REQUEST, answer_of(*said("You said")))
assert REST is not None
ALL_CODECS = (
    OpenAIChatCodec(),
    OpenAIResponsesCodec(),
    OpenAICompletionsCodec(),
    AnthropicMessagesCodec(),
    OllamaChatCodec(),
    OllamaGenerateCodec(),
)


@pytest.mark.parametrize("codec", ALL_CODECS, ids=lambda codec: str(codec.api))
def test_a_server_that_is_not_known_to_go_on_is_never_asked_to(codec: ChatCodec) -> None:
    assert REST is not None
    with pytest.raises(ApiFailure, match="can't go on"):
        codec.encode_request(REST, UpstreamTraits())


def test_a_completion_is_gone_on_with_as_a_longer_prompt() -> None:
    completion = Completion(prompts=("Once upon",))
    request = replace(REQUEST, completion=completion, turns=(user_turn("Once upon"),))
    assert can_be_continued(request)
    answer = SplicedAnswer()
    for event in (PartStart(index=0, kind=PartKind.TEXT), TextDelta(0, " a time\n")):
        answer.add(event)
    rest = continued(request, answer)
    assert rest is not None
    body = OpenAICompletionsCodec().encode_request(rest, UpstreamTraits()).body
    assert body["prompt"] == "Once upon a time"


@pytest.mark.parametrize("codec", ALL_CODECS, ids=lambda codec: str(codec.api))
def test_only_chats_are_gone_on_with(codec: ChatCodec) -> None:
    assert REST is not None
    traits = UpstreamTraits(prefill=Prefill.LAST_TURN)
    if not isinstance(codec, OpenAIChatCodec | AnthropicMessagesCodec | OllamaChatCodec):
        with pytest.raises(ApiFailure, match="can't go on"):
            codec.encode_request(REST, traits)
        return
    messages = codec.encode_request(REST, traits).body["messages"]
    assert isinstance(messages, list)
    last = messages[-1]
    assert isinstance(last, dict)
    assert last["role"] == "assistant"
    assert "You said" in json.dumps(last["content"])


@pytest.mark.parametrize(
    ("prefill", "fields", "marks"),
    [
        (Prefill.LAST_TURN, {}, {}),
        (
            Prefill.CONTINUE_FINAL_MESSAGE,
            {"continue_final_message": True, "add_generation_prompt": False},
            {},
        ),
        (Prefill.PREFIX, {}, {"prefix": True}),
    ],
)
def test_chat_servers_are_told_in_their_own_way(
    prefill: Prefill, fields: dict[str, bool], marks: dict[str, bool]
) -> None:
    assert REST is not None
    body = OpenAIChatCodec().encode_request(REST, UpstreamTraits(prefill=prefill)).body
    names = ("continue_final_message", "add_generation_prompt")
    assert {name: body[name] for name in names if name in body} == fields
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[-1] == {"role": "assistant", "content": "You said", **marks}
    assert "prefix" not in json.dumps(messages[:-1])


@pytest.mark.parametrize(
    ("model", "prefill"),
    [
        ("claude-3-5-sonnet-20241022", Prefill.LAST_TURN),
        ("claude-sonnet-4-5", Prefill.LAST_TURN),
        ("claude-opus-4-6", Prefill.NONE),
        ("claude-opus-5", Prefill.NONE),
        ("somebody-elses", Prefill.NONE),
    ],
)
def test_which_of_anthropics_models_take_a_beginning(model: str, prefill: Prefill) -> None:
    assert PROFILES["anthropic"].traits_of(model).prefill is prefill


@pytest.mark.parametrize(
    ("base_url", "owner", "prefill"),
    [
        ("http://10.0.0.7:8000/v1", "vllm", Prefill.CONTINUE_FINAL_MESSAGE),
        ("http://10.0.0.7:8080/v1", "llamacpp", Prefill.CONTINUE_FINAL_MESSAGE),
        ("http://10.0.0.7:30000/v1", "sglang", Prefill.CONTINUE_FINAL_MESSAGE),
        ("http://10.0.0.7:1234/v1", "organization_owner", Prefill.NONE),
        ("https://openrouter.ai/api/v1", "", Prefill.LAST_TURN),
        ("https://api.mistral.ai/v1", "mistralai", Prefill.PREFIX),
        ("https://api.deepseek.com/beta", "deepseek", Prefill.PREFIX),
        ("https://api.deepseek.com/v1", "deepseek", Prefill.NONE),
        ("not a url", "", Prefill.NONE),
    ],
)
def test_what_is_known_of_compatible_servers(base_url: str, owner: str, prefill: Prefill) -> None:
    assert prefill_of(base_url, owner) is prefill


@pytest.mark.parametrize(
    ("capture", "owner"), [("llamacpp-0.7.0-b11669", "llamacpp"), ("vllm-0.32.0-cpu", "vllm")]
)
def test_real_servers_say_in_their_listings_what_they_are(capture: str, owner: str) -> None:
    folder = Path(__file__).parents[1] / "captures" / capture
    body = (folder / "models.resp").read_bytes().partition(b"\r\n\r\n")[2]
    listed = OpenAISpeech().decode_model_list(body)
    assert {model.owner for model in listed} == {owner}


def test_kinds_without_such_a_way_have_none() -> None:
    for kind in ("openai", "openvino", "zai"):
        assert PROFILES[kind].traits_of("any").prefill is Prefill.NONE
    assert OPENAI_CHAT in PROFILES["sandbox"].paths
    assert PROFILES["ollama"].traits_of("any").prefill is Prefill.LAST_TURN
