"""Names of tools that an upstream refuses: sent as stand-ins, and given back in its answer.

Traps 22 and 23 say the same of the ids of calls."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.events import ChatResponse, FinishReason
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Turn,
    user_turn,
)
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, ReplyContext, UpstreamTraits
from forebay.protocol.dialects.ollama import OLLAMA_CHAT
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.dialects.tool_names import (
    events_with_given_names,
    with_fitted_names,
    with_given_names,
)
from forebay.protocol.jsontext import JsonObject, dumps_text

APIS = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OLLAMA_CHAT)
PATTERNS = {
    OPENAI_CHAT: re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    ANTHROPIC_MESSAGES: re.compile(r"[a-zA-Z0-9_-]{1,128}"),
    OLLAMA_CHAT: re.compile(r".*", re.DOTALL),
}
LONG = "mcp__a_server_with_a_long_name__" + "x" * 60
ODD = [
    "mcp.github/create issue",
    "mcp:github:create issue",
    "天気",
    "é",
    "",
    LONG,
    LONG + "y",
    "a" * 300,
]
names = st.sampled_from([name for name in ODD if name]) | st.text(min_size=1, max_size=140)


def asking(*tools: str, history: str | None = None, named: str | None = None) -> ChatRequest:
    """A request with these tools, where ``history`` has been called before."""
    turns = [user_turn("hi")]
    if history is not None:
        call = ToolCall(id="call_1", name=history, arguments="{}")
        result = ToolResult(call_id="call_1", name=history, content=(Text("ok"),))
        turns.append(Turn(role=Role.ASSISTANT, parts=(call,)))
        turns.append(Turn(role=Role.USER, parts=(result,)))
    return ChatRequest(
        model="m",
        turns=tuple(turns),
        tools=tuple(Tool(name=name, parameters={"type": "object"}) for name in tools),
        tool_choice=None if named is None else ToolChoice(ToolChoiceMode.NAMED, named),
    )


def sent_names(upstream: Api, request: ChatRequest) -> list[str]:
    """The names of tools, of the choice and of calls in a request as it goes out, in this order."""
    body = CODECS[upstream].encode_request(request, UpstreamTraits()).body
    found: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("name"), str):
                found.append(value["name"])
            for inside in value.values():
                collect(inside)
        elif isinstance(value, list):
            for inside in value:
                collect(inside)

    for field in ("tools", "tool_choice", "messages"):
        collect(body.get(field))
    return found


def answer_calling(*called: str) -> ChatResponse:
    return ChatResponse(
        id="",
        model="up",
        created=1,
        parts=tuple(
            ToolCall(id=f"c{at}", name=name, arguments="{}") for at, name in enumerate(called)
        ),
        finish=FinishReason.TOOL_CALLS,
    )


def replying_to(request: ChatRequest) -> ReplyContext:
    return ReplyContext(
        request=request,
        response_id="0123456789abcdef",
        created=1,
        input_tokens_estimate=1,
        elapsed_ns=lambda: 1,
    )


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
@given(tools=st.lists(names, min_size=1, max_size=5, unique=True))
def test_every_name_that_is_sent_is_one_that_the_upstream_takes(
    upstream: Api, tools: list[str]
) -> None:
    request = asking(*tools, history=tools[0], named=tools[0])
    sent = sent_names(upstream, request)
    assert all(PATTERNS[upstream].fullmatch(name) for name in sent)
    declared = sent[: len(tools)]
    assert len(set(declared)) == len(tools)
    # The choice, the call and (at OpenAI) its result are of the tool that was declared.
    assert set(sent[len(tools) :]) == {declared[0]}
    assert len(sent) >= len(tools) + 2


@given(tools=st.lists(names, min_size=1, max_size=5, unique=True))
def test_the_answer_has_the_names_of_the_client_again(tools: list[str]) -> None:
    request = asking(*tools)
    for upstream in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        answer = answer_calling(*sent_names(upstream, request))
        assert with_given_names(answer, request) == answer_calling(*tools)
        renamed = events_with_given_names(request)
        events = list(events_of(answer))
        if renamed is not None:
            events = [renamed(event) for event in events]
        assert assemble(events).parts == answer_calling(*tools).parts


@pytest.mark.parametrize("name", ["weather", "get_weather-2", "a" * 64])
def test_a_name_that_fits_stays_as_it_is_and_costs_nothing(name: str) -> None:
    request = asking(name, history=name, named=name)
    assert with_fitted_names(request, PATTERNS[OPENAI_CHAT]) is request
    assert events_with_given_names(request) is None
    answer = answer_calling(name)
    assert with_given_names(answer, request) is answer


def test_a_long_name_is_sent_whole_where_it_fits() -> None:
    assert sent_names(ANTHROPIC_MESSAGES, asking(LONG)) == [LONG]
    (stand_in,) = sent_names(OPENAI_CHAT, asking(LONG))
    assert stand_in.startswith("mcp__a_server_with_a_long_name__xxx")
    assert len(stand_in) == 64
    # Two long names with one beginning stay apart.
    assert len(set(sent_names(OPENAI_CHAT, asking(LONG, LONG + "y")))) == 2


@pytest.mark.parametrize("tool", ["mcp.github/create issue", "天気", LONG])
def test_ollama_takes_any_name(tool: str) -> None:
    assert set(sent_names(OLLAMA_CHAT, asking(tool, history=tool))) == {tool}


def test_a_model_can_still_read_what_a_tool_is_called() -> None:
    (dots,) = sent_names(OPENAI_CHAT, asking("mcp.github/create issue"))
    assert re.fullmatch(r"mcp_github_create_issue_[0-9a-f]{8}", dots)
    (nothing_left,) = sent_names(OPENAI_CHAT, asking("天気"))
    assert re.fullmatch(r"tool_[0-9a-f]{8}", nothing_left)


def test_a_stand_in_is_the_same_in_every_request_and_at_every_upstream() -> None:
    """Prompt caches compare prefixes; a job may go from one upstream to the other."""
    alone = sent_names(OPENAI_CHAT, asking("a.b"))
    later = sent_names(OPENAI_CHAT, asking("c.d", "a.b", "天気", history="a.b"))
    assert alone[0] == later[1]
    assert alone == sent_names(ANTHROPIC_MESSAGES, asking("a.b"))


def test_a_tool_that_is_called_like_a_stand_in_is_another_tool() -> None:
    (stand_in,) = sent_names(OPENAI_CHAT, asking("a.b"))
    request = asking("a.b", stand_in)
    sent = sent_names(OPENAI_CHAT, request)
    assert sent[1] == stand_in
    assert sent[0] != stand_in
    assert with_given_names(answer_calling(*sent), request) == answer_calling("a.b", stand_in)


def test_a_tool_of_the_history_that_is_declared_no_more_is_renamed_too() -> None:
    request = asking(history="a.b")
    for upstream in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        sent = sent_names(upstream, request)
        assert sent
        assert all(PATTERNS[upstream].fullmatch(name) for name in sent)


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
@pytest.mark.parametrize("client", APIS)
def test_every_client_hears_its_own_names_whole_and_streamed(client: Api, upstream: Api) -> None:
    request = asking("mcp.a/b", "plain", LONG)
    sent = sent_names(upstream, request)
    context = replying_to(replace(request, stream=True))
    whole = dumps_text(CODECS[client].encode_response(answer_calling(*sent), context))
    encoder = CODECS[client].stream_encoder(context)
    streamed = b"".join(encoder.encode(event) for event in events_of(answer_calling(*sent)))
    assert encoder.keepalive()
    for heard in (whole, streamed.decode()):
        assert re.findall(r'"name":"([^"]*)"', heard) == ["mcp.a/b", "plain", LONG]


@pytest.mark.parametrize("api", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
def test_a_client_of_the_upstreams_own_dialect_keeps_its_names(api: Api) -> None:
    """As its bytes would if they were relayed: the upstream says what it takes."""
    function: JsonObject = {"name": "a.b", "parameters": {}}
    tool: JsonObject = {"name": "a.b", "input_schema": {"type": "object"}}
    body: JsonObject = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function} if api == OPENAI_CHAT else tool],
    }
    assert sent_names(api, CODECS[api].decode_request(body)) == ["a.b"]
