"""Every official client over every kind of upstream hears what the upstream says.

What the sandbox says to the same client when it is asked directly is what has to come through the
gateway, in the same types, whatever dialects lie between.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from live_gateway import UPSTREAMS, LiveGateway
from sdk_cases import CASES, NEWS, WEATHER, Case
from sdk_questions import City, End, Question, Said, Speaker
from sdk_speakers import CLIENTS, RELAYED, both_ways, nine_pairs


def ask(speaker: Speaker, upstream: str | None, question: Question, *, stream: bool) -> Said:
    model = question.model or "sandbox-chat"
    name = model if upstream is None else f"{upstream}/{model}"
    return speaker.ask(replace(question, model=name), stream=stream)


@both_ways
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@nine_pairs
def test_an_answer_comes_through_as_the_upstream_gives_it(
    gateway: LiveGateway,
    speakers: dict[str, Speaker],
    direct_speakers: dict[str, Speaker],
    client: str,
    upstream: str,
    case: Case,
    stream: bool,
) -> None:
    """Traps 28, 35, 55, 62, 66, 68, 77, 79, 82 and the stream rules of section Z."""
    direct = ask(direct_speakers[client], None, case.question, stream=False)
    before = gateway.statistics()
    said = ask(speakers[client], upstream, case.question, stream=stream)
    after = gateway.statistics()

    assert re.fullmatch(case.text, said.text)
    assert re.fullmatch(case.thinking, said.thinking)
    assert [(call.name, tuple(call.arguments)) for call in said.calls] == [
        (tool.name, tool.arguments) for tool in case.calls
    ]
    assert (said.text, said.thinking) == (direct.text, direct.thinking)
    assert [call.arguments for call in said.calls] == [call.arguments for call in direct.calls]
    assert said.parsed == direct.parsed
    if case.question.wants_city:
        City.model_validate_json(said.text)
    check_end(said, case, client, upstream)

    # Usage: exactly what the upstream has counted.
    assert said.input_tokens == after.input_tokens - before.input_tokens
    assert said.output_tokens == after.output_tokens - before.output_tokens == direct.output_tokens
    assert case.output_tokens in (None, said.output_tokens)

    check_identity(said, client, upstream, case.question.model or "sandbox-chat")
    if stream and case.text and len(said.text) > 40:
        assert said.fragments > 4
    if stream and case.calls and any(tool.arguments for tool in case.calls):
        # Where the upstream sends arguments bit by bit, they arrive so.
        assert said.fragments > 1 or "ollama" in (client, {"l": "ollama"}.get(upstream))


def check_end(said: Said, case: Case, client: str, upstream: str) -> None:
    """Dialects differ in what they can say of an end."""
    end = case.end
    if end is End.STOP_SEQUENCE:
        # Only Anthropic's upstream tells which it was, and only Anthropic's client hears it.
        told = (client, upstream) == ("anthropic", "a")
        assert said.stop_sequence == (case.question.stop[-1] if told else None)
        end = End.STOP_SEQUENCE if told else End.DONE
    else:
        assert said.stop_sequence is None
    if end is End.REFUSED and "ollama" in (client, {"l": "ollama"}.get(upstream)):
        end = End.DONE
    assert said.end is end


def check_identity(said: Said, client: str, upstream: str, model: str) -> None:
    """Ids and names in the client's own forms, and the headers that tell what happened."""
    ids = {"openai": r"chatcmpl-\w{20,}", "anthropic": r"msg_\w{20,}", "ollama": ""}
    assert re.fullmatch(ids[client], said.id)
    relayed = (client, upstream) in RELAYED
    assert said.model == (model if relayed else f"{upstream}/{model}")
    for call in said.calls:
        assert call.id == "" if client == "ollama" else re.fullmatch(r"[\w-]{8,40}", call.id)
    assert len({call.id for call in said.calls}) == len(said.calls) or client == "ollama"
    headers = said.heard.headers
    assert said.heard.status == 200
    assert headers["x-forebay-target"] == f"{upstream}/{model}"
    assert headers["x-forebay-attempts"] == "1"
    assert headers["x-forebay-waited-ms"].isdecimal()
    assert headers["x-forebay-cache"] == "off"
    assert headers["x-request-id"] == headers["request-id"]
    # Trap 91: with it a client takes a cut stream for a whole one.
    assert headers.get("connection") != "close"


TOOL_LOOPS = {
    "one tool": Question(text="use the tool", tools=(WEATHER,)),
    "forced tool": Question(text="use the tool", tools=(WEATHER,), must_call=True),
    "parallel tools": Question(text="use all tools", tools=(WEATHER, NEWS), system="You are kind."),
    "thinking": Question(text="use all tools", tools=(WEATHER, NEWS), thinks=True),
    "thinking unasked": Question(text="use the tool", tools=(WEATHER,), model="sandbox-thinking"),
}


@both_ways
@pytest.mark.parametrize("question", TOOL_LOOPS.values(), ids=TOOL_LOOPS.keys())
@nine_pairs
def test_a_tool_loop_goes_round(
    speakers: dict[str, Speaker], client: str, upstream: str, question: Question, stream: bool
) -> None:
    """The calls, their results as the SDK sends them back, and a text that quotes these, after
    thinking on where the model was asked to think. Traps 19, 24, 27, 52, 54."""
    called = ask(speakers[client], upstream, question, stream=stream)
    assert called.end is End.TOOLS
    assert [call.name for call in called.calls] == [tool.name for tool in question.tools]

    results = tuple(f"{tool.name}: fine, {at}°" for at, tool in enumerate(question.tools))
    answered = replace(question, must_call=False, history=((called, results),))
    said = ask(speakers[client], upstream, answered, stream=stream)
    assert said.text == "\n".join(f"The tool said: {result}" for result in results)
    assert said.calls == ()
    assert said.end is End.DONE
    assert bool(said.thinking) == (question.thinks or question.model == "sandbox-thinking")


@pytest.mark.parametrize(
    ("first", "second"),
    [(one, other) for one in UPSTREAMS for other in UPSTREAMS if one != other],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_loop_survives_a_change_of_its_upstream(
    speakers: dict[str, Speaker], client: str, first: str, second: str
) -> None:
    """Traps 22, 24 and 53: ids, calls and thinking of one dialect in the history of another. The
    sandbox refuses thinking that it has not signed, and results without their calls."""
    question = Question(
        text="use all tools", model="sandbox-thinking", tools=(WEATHER, NEWS), system="Think."
    )
    called = ask(speakers[client], first, question, stream=True)
    assert (len(called.calls), bool(called.thinking)) == (2, True)
    answered = replace(question, history=((called, ("rain", "none")),))
    said = ask(speakers[client], second, answered, stream=False)
    assert said.text == "The tool said: rain\nThe tool said: none"
