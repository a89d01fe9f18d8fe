"""Answers that were held and kept alive, as every official Node SDK hears them: the whole answer,
or an error. The status was said long before either."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from fault_questions import gateway_for, take_the_only_places
from held_cases import BOTH_WAYS, BROKEN, KEPT, PROVIDERS, WAIT, held_questions
from live_gateway import UPSTREAMS
from node_clients import CLIENTS, Heard, ask_wanted
from spoken_errors import JSON_TYPES


@pytest.fixture(scope="module")
def heard(node_sdks: None) -> Mapping[str, Heard]:
    """By the id of the question."""
    wanted = held_questions(CLIENTS)
    with gateway_for(wanted, wait=WAIT, providers=PROVIDERS) as (live, questions):
        take_the_only_places(live, "f")
        return ask_wanted(wanted, live.url, questions)


def every(*names: str) -> list[object]:
    return [
        pytest.param(client, upstream, way, name, id=f"{client}-{upstream}-{name}-{way}")
        for client in CLIENTS
        for upstream in UPSTREAMS
        for name in names
        for way in BOTH_WAYS
    ]


def check_that_it_was_held(answer: Heard, client: str, way: str) -> None:
    """One answer, which said 200 before anybody knew what it would be. Trap 104: its type too."""
    (head,) = answer.heads
    assert head.status == 200
    assert "x-forebay-target" not in head.headers
    if way == "whole":
        dialect = CLIENTS[client].dialect
        assert head.headers["content-type"] == JSON_TYPES.get(dialect, "application/json")
    # Trap 91.
    assert head.headers.get("connection") != "close"


@pytest.mark.parametrize(("client", "upstream", "way", "name"), every(*KEPT))
def test_a_held_answer_still_arrives(
    heard: Mapping[str, Heard], client: str, upstream: str, way: str, name: str
) -> None:
    """Traps 95, 96, 98, 99 and 104."""
    question, answer = KEPT[name], heard[f"{client} {upstream} {way} {name}"]
    check_that_it_was_held(answer, client, way)
    assert answer.error is None
    (said,) = answer.said
    calls = said["calls"]
    assert isinstance(calls, list)
    assert [call["name"] for call in calls if isinstance(call, dict)] == [
        tool.name for tool in question.tools
    ]
    if question.wants_city:
        assert list(json.loads(str(said["text"]))) == ["name", "inhabitants"]
    elif not question.tools:
        assert str(said["text"]).startswith(f"You said: {question.text}\n")
    assert said["end"] == ("tools" if question.tools else "done")


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_trap_97_a_held_response_is_kept_alive_with_events_that_the_sdk_parses(
    heard: Mapping[str, Heard], upstream: str
) -> None:
    """Whoever counts events, as coding agents do, hears more than comments: that the response was
    made, and again and again that it is on its way."""
    (said,) = heard[f"openai-responses {upstream} streamed text"].said
    events = said["events"]
    assert isinstance(events, list)
    # Queued: it was made before there was any word of its provider.
    assert events[:2] == [["response.created", "queued"], ["response.in_progress", "in_progress"]]
    kinds = [event[0] for event in events if isinstance(event, list)]
    assert kinds.count("response.created") == 1
    alive = kinds.index("response.output_item.added")
    assert set(kinds[1:alive]) == {"response.in_progress"}
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize(("client", "upstream", "way", "name"), every(*BROKEN))
def test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success(
    heard: Mapping[str, Heard], client: str, upstream: str, way: str, name: str
) -> None:
    """Traps 87, 88, 89, 90, 91 and 100; and no SDK asks again by itself."""
    answer = heard[f"{client} {upstream} {way} {name}"]
    check_that_it_was_held(answer, client, way)
    assert answer.said == ()
    assert answer.error is not None
    if way == "streamed":
        assert BROKEN[name].told in answer.error.message
