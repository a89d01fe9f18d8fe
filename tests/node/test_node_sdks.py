"""Every official Node SDK over every kind of upstream hears what the upstream says.

The same table as for the Python SDKs. Each SDK asks everything in one process; the tests look at
what it has heard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from live_gateway import UPSTREAMS, live_gateway
from node_clients import CLIENTS, Ask, Heard, NodeClient, ask_all
from sdk_cases import CASES, NEWS, WEATHER, Case
from sdk_questions import End, Question

from forebay.protocol.jsontext import JsonObject, JsonValue

UPSTREAM_DIALECTS = {"o": "openai", "a": "anthropic", "l": "ollama"}
IDS = {
    "openai": r"chatcmpl-\w{20,}",
    "responses": r"resp_\w{20,}",
    "anthropic": r"msg_\w{20,}",
    "ollama": "",
}

TOOL_LOOPS = {
    "one tool": Question(text="use the tool", tools=(WEATHER,)),
    "forced tool": Question(text="use the tool", tools=(WEATHER,), must_call=True),
    "parallel tools": Question(text="use all tools", tools=(WEATHER, NEWS), system="You are kind."),
    "thinking": Question(text="use all tools", tools=(WEATHER, NEWS), thinks=True),
    "thinking unasked": Question(text="use the tool", tools=(WEATHER,), model="sandbox-thinking"),
}


def can_ask(client: str, question: Question) -> bool:
    """Responses have no stop sequences."""
    return not (question.stop and CLIENTS[client].dialect == "responses")


BOTH_WAYS = {"whole": False, "streamed": True}
ALL = [
    pytest.param(client, upstream, name, way, id=f"{client}-{upstream}-{name}-{way}")
    for client in CLIENTS
    for upstream in UPSTREAMS
    for name, case in CASES.items()
    for way in BOTH_WAYS
    if can_ask(client, case.question)
]
ALL_LOOPS = [
    pytest.param(client, upstream, name, way, id=f"{client}-{upstream}-{name}-{way}")
    for client in CLIENTS
    for upstream in UPSTREAMS
    for name in TOOL_LOOPS
    for way in BOTH_WAYS
]


@pytest.fixture(scope="module")
def heard(node_sdks: None) -> Mapping[str, Heard]:
    """By the id of the question."""
    with live_gateway() as live:

        def ask(
            client: str, upstream: str | None, name: str, question: Question, way: str, loop: bool
        ) -> Ask:
            model = question.model or "sandbox-chat"
            return Ask(
                id=f"{client} {upstream or 'direct'} {name} {way}{' loop' if loop else ''}",
                client=client,
                url=live.sandbox_url if upstream is None else live.url,
                question=replace(
                    question, model=model if upstream is None else f"{upstream}/{model}"
                ),
                stream=BOTH_WAYS[way],
                results=results_of(question) if loop else (),
            )

        asks = [
            ask(client, upstream, name, case.question, way, loop=False)
            for client, kind in CLIENTS.items()
            for upstream in (*UPSTREAMS, None)
            for name, case in CASES.items()
            for way in (BOTH_WAYS if upstream is not None else ("whole",))
            if can_ask(client, case.question)
            # The sandbox itself has no Responses.
            if upstream is not None or kind.dialect != "responses"
        ]
        asks += [
            ask(client, upstream, name, question, way, loop=True)
            for client in CLIENTS
            for upstream in UPSTREAMS
            for name, question in TOOL_LOOPS.items()
            for way in BOTH_WAYS
        ]
        return ask_all(asks)


def results_of(question: Question) -> tuple[str, ...]:
    return tuple(f"{tool.name}: fine, {at}°" for at, tool in enumerate(question.tools))


def the_answer(heard: Heard) -> JsonObject:
    """The only one, to the only request."""
    assert heard.error is None
    (said,) = heard.said
    assert [head.status for head in heard.heads] == [200]
    return said


def calls_of(said: JsonObject) -> list[JsonObject]:
    calls = said["calls"]
    assert isinstance(calls, list)
    return [call for call in calls if isinstance(call, dict)]


@pytest.mark.parametrize(("client", "upstream", "name", "way"), ALL)
def test_an_answer_comes_through_to_every_node_sdk(
    heard: Mapping[str, Heard], client: str, upstream: str, name: str, way: str
) -> None:
    """Traps 28, 35, 55, 62, 66, 68, 77, 79, 82, 104. What the sandbox says to the same client
    directly has to come through, in pieces if it is streamed."""
    kind, case = CLIENTS[client], CASES[name]
    answer = heard[f"{client} {upstream} {name} {way}"]
    said = the_answer(answer)
    neighbour = "openai" if kind.dialect == "responses" else client
    direct = the_answer(heard[f"{neighbour} direct {name} whole"])

    assert re.fullmatch(case.text, str(said["text"]))
    assert re.fullmatch(case.thinking if kind.hears_thinking else "", str(said["thinking"]))
    assert (said["text"], said["thinking"]) == (direct["text"], direct["thinking"])
    assert [call["name"] for call in calls_of(said)] == [tool.name for tool in case.calls]
    assert [call["arguments"] for call in calls_of(said)] == [
        call["arguments"] for call in calls_of(direct)
    ]
    assert counted(said["output_tokens"]) == counted(direct["output_tokens"])
    assert case.output_tokens in (None, counted(said["output_tokens"]))
    assert counted(said["input_tokens"]) > 0
    if case.question.wants_city and client != "ollama":
        city = said["parsed"]
        assert isinstance(city, dict)
        assert list(city) == ["name", "inhabitants"]
    check_end(said, case, client, upstream)
    check_identity(said, answer, kind, upstream, case.question.model or "sandbox-chat")
    if way == "streamed" and case.text and len(str(said["text"])) > 40:
        assert counted(said["fragments"]) > 4


def counted(value: JsonValue) -> int:
    assert isinstance(value, int)
    return value


def check_end(said: JsonObject, case: Case, client: str, upstream: str) -> None:
    """Dialects differ in what they can say of an end."""
    end = case.end
    if end is End.STOP_SEQUENCE:
        told = (client, upstream) == ("anthropic", "a")
        assert said["stop_sequence"] == (case.question.stop[-1] if told else None)
        end = End.STOP_SEQUENCE if told else End.DONE
    if end is End.REFUSED and "ollama" in (CLIENTS[client].dialect, UPSTREAM_DIALECTS[upstream]):
        end = End.DONE
    assert said["end"] == end.value


def check_identity(
    said: JsonObject, answer: Heard, kind: NodeClient, upstream: str, model: str
) -> None:
    if kind.hears_ids:
        assert re.fullmatch(IDS[kind.dialect], str(said["id"]))
        relayed = UPSTREAM_DIALECTS[upstream] == kind.dialect
        assert said["model"] == (model if relayed else f"{upstream}/{model}")
    ids = [str(call["id"]) for call in calls_of(said)]
    if kind.dialect != "ollama":
        assert all(re.fullmatch(r"[\w-]{8,40}", one) for one in ids)
        assert len(set(ids)) == len(ids)
    (head,) = answer.heads
    assert head.headers["x-forebay-target"] == f"{upstream}/{model}"
    assert head.headers["x-request-id"] == head.headers["request-id"]
    # Trap 91: with it Node takes a cut stream for a whole one.
    assert head.headers.get("connection") != "close"


@pytest.mark.parametrize(("client", "upstream", "name", "way"), ALL_LOOPS)
def test_a_tool_loop_of_every_node_sdk_goes_round(
    heard: Mapping[str, Heard], client: str, upstream: str, name: str, way: str
) -> None:
    """The calls, their results as the SDK sends them back, and a text that quotes these. Traps 19,
    24, 27, 52, 54."""
    question = TOOL_LOOPS[name]
    answer = heard[f"{client} {upstream} {name} {way} loop"]
    assert answer.error is None
    called, said = answer.said
    assert called["end"] == End.TOOLS.value
    assert [call["name"] for call in calls_of(called)] == [tool.name for tool in question.tools]
    assert said["text"] == "\n".join(f"The tool said: {one}" for one in results_of(question))
    assert calls_of(said) == []
    assert said["end"] == End.DONE.value
    thinks = question.thinks or question.model == "sandbox-thinking"
    assert bool(said["thinking"]) == (thinks and CLIENTS[client].hears_thinking)
    assert [head.status for head in answer.heads] == [200, 200]
