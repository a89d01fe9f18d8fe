"""Tools that a client calls as it likes, over upstreams that take plain names only, and the form
of calls that OpenAI had before tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import openai
import pytest
from live_gateway import UPSTREAMS, LiveGateway
from openai_speaker import OpenAISpeaker
from sdk_questions import End, Question, Speaker, Tool
from sdk_speakers import CLIENTS, RELAYED, both_ways

TOOLS = (
    Tool("mcp.github/create issue"),
    Tool("mcp:天気"),
    Tool("mcp__a_server__" + "with_a_long_name_" * 6),
    Tool("plain"),
)


@both_ways
@pytest.mark.parametrize(
    ("client", "upstream"),
    [
        (client, upstream)
        for client in CLIENTS
        for upstream in UPSTREAMS
        if (client, upstream) not in RELAYED
    ],
)
def test_a_tool_loop_goes_round_whatever_the_tools_are_called(
    gateway: LiveGateway, speakers: dict[str, Speaker], client: str, upstream: str, stream: bool
) -> None:
    """The sandbox refuses what OpenAI and Anthropic refuse, in tools and in the history's calls."""
    question = Question(text="use all tools", model=f"{upstream}/sandbox-chat", tools=TOOLS)
    called = speakers[client].ask(question, stream=stream)
    assert called.end is End.TOOLS
    assert [call.name for call in called.calls] == [tool.name for tool in TOOLS]

    results = tuple(f"result {at}" for at in range(len(TOOLS)))
    answered = replace(question, history=((called, results),))
    said = speakers[client].ask(answered, stream=stream)
    assert said.text == "\n".join(f"The tool said: {result}" for result in results)
    assert (TOOLS[0].name.encode() in gateway.requests()[-1].body) == (upstream == "l")


@pytest.fixture
def by_openai(speakers: dict[str, Speaker]) -> OpenAISpeaker:
    speaker = speakers["openai"]
    assert isinstance(speaker, OpenAISpeaker)
    return speaker


@pytest.mark.parametrize("name", ["mcp.github/create issue", "plain"])
@pytest.mark.parametrize("upstream", ["a", "l"])
def test_functions_are_translated_answered_in_kind_and_not_reported_as_dropped(
    by_openai: OpenAISpeaker, upstream: str, name: str
) -> None:
    """The form before tools, with a function that is named to be called."""
    messages: list[Any] = [{"role": "user", "content": "use the tool"}]
    arguments: dict[str, Any] = {
        "model": f"{upstream}/sandbox-chat",
        "functions": [{"name": name, "parameters": {"type": "object", "properties": {}}}],
        "function_call": {"name": name},
    }
    client: openai.OpenAI = by_openai.client
    raw = client.chat.completions.with_raw_response.create(messages=messages, **arguments)
    assert raw.headers.get("x-forebay-dropped") in (None, "tool_choice")
    (choice,) = raw.parse().choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.function_call.name == name
    assert choice.message.tool_calls is None

    messages += [
        {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}},
        {"role": "function", "name": name, "content": "rain"},
    ]
    chunks = list(
        client.chat.completions.create(
            messages=messages, stream=True, **(arguments | {"function_call": "auto"})
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "The tool said: rain"
    assert "x-forebay-dropped" not in by_openai.wire.last.headers
