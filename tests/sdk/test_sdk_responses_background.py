"""Answers in the background, and what goes on from them: at the provider that keeps them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from live_gateway import LiveGateway, live_gateway
from openai.types.responses import Response, ResponseCompactionItem, ResponseItemList
from responses_client import ResponsesClient, check_response, check_stream
from sdk_speakers import both_ways
from sdk_wire import read_strictly

from forebay.endpoints.sandbox import SandboxOptions

NATIVE = ("s", "n")
"""Providers that make answers in the background: the sandbox by its own kind, and as ``openai``."""
over_natives = pytest.mark.parametrize("upstream", NATIVE)
SLOW = SandboxOptions(keep_requests=200, latency_ms=30, token_interval_ms=1)


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    """Two clients; ``n`` is of kind ``openai`` and ``o`` makes nothing in the background."""
    with live_gateway(sandbox=SLOW) as other:
        native = {"kind": "openai", "base_url": f"{other.sandbox_url}/v1", "api_key": "k"}
        config = {
            "clients": {"alice": {"key": "key-of-alice"}, "bob": {"key": "key-of-bob"}},
            "models": {"both": {"targets": ["o/sandbox-chat", "n/sandbox-chat"]}},
        }
        with live_gateway(config, sandbox=SLOW, providers={"n": native}) as live:
            yield live


@pytest.fixture(scope="module")
def clients(gateway: LiveGateway) -> Iterator[dict[str, ResponsesClient]]:
    with ExitStack() as stack:
        made = {
            name: ResponsesClient(gateway.url, key=f"key-of-{name}") for name in ("alice", "bob")
        }
        for client in made.values():
            stack.enter_context(client.sdk)
        yield made


@pytest.fixture
def alice(clients: dict[str, ResponsesClient]) -> ResponsesClient:
    return clients["alice"]


@pytest.fixture
def bob(clients: dict[str, ResponsesClient]) -> ResponsesClient:
    return clients["bob"]


def model(upstream: str) -> str:
    return f"{upstream}/sandbox-chat"


def begin(client: ResponsesClient, upstream: str, said: str = "hello", **more: Any) -> Response:  # noqa: ANN401 - as the SDK has it
    answer = client.ask(stream=False, model=model(upstream), input=said, background=True, **more)
    assert (answer.status, answer.background, answer.output) == ("queued", True, [])
    return answer


def finished(client: ResponsesClient, response_id: str) -> Response:
    """The answer, once it is there; each state on the way is a whole Response."""
    deadline = time.monotonic() + 10
    states = []
    while time.monotonic() < deadline:
        answer = client.sdk.responses.retrieve(response_id)
        check_response(json.loads(client.wire.last.body))
        assert answer.id == response_id
        states.append(answer.status)
        if answer.status not in ("queued", "in_progress"):
            assert states == sorted(states, key=["queued", "in_progress", answer.status].index)
            return answer
        time.sleep(0.02)
    raise AssertionError(states)


@over_natives
def test_an_answer_in_the_background_is_polled_for(alice: ResponsesClient, upstream: str) -> None:
    queued = begin(alice, upstream)
    answer = finished(alice, queued.id)
    assert answer.output_text.startswith("You said: hello")
    assert answer.usage is not None
    assert alice.wire.last.headers["x-forebay-target"] == model(upstream)
    items = alice.sdk.responses.input_items.list(queued.id)
    read_strictly(ResponseItemList, bytes(alice.wire.last.body))
    assert [item.role for item in items if item.type == "message"] == ["user"]


def test_the_model_is_asked_at_its_target_that_can(
    gateway: LiveGateway, alice: ResponsesClient
) -> None:
    answer = alice.ask(stream=False, model="both", input="hello", background=True)
    assert alice.wire.last.headers["x-forebay-target"] == model("n")
    assert finished(alice, answer.id).status == "completed"
    assert alice.ask(stream=False, model="both", input="hello").status == "completed"
    assert alice.wire.last.headers["x-forebay-target"] == model("o")


@over_natives
def test_a_stream_in_the_background_is_taken_up_where_it_broke_off(
    alice: ResponsesClient, upstream: str
) -> None:
    seen: list[tuple[str, str]] = []

    def note(event: Any) -> None:  # noqa: ANN401 - one of many types
        seen.append((event.type, event.to_json()))

    asked = alice.sdk.responses.create(
        model=model(upstream), input="hello", background=True, stream=True
    )
    with asked as stream:
        first = next(stream)
        assert first.type == "response.created"
        note(first)
        for event in stream:
            note(event)
            if event.type == "response.output_text.delta":
                break
    cursor = event.sequence_number
    for event in alice.sdk.responses.retrieve(
        first.response.id, stream=True, starting_after=cursor
    ):
        note(event)
    events = check_stream(list(seen))
    assert events[-1]["type"] == "response.completed"
    assert finished(alice, first.response.id).output_text == "".join(
        event["delta"] for event in events if event["type"] == "response.output_text.delta"
    )


@over_natives
def test_a_stream_can_be_heard_again_from_its_beginning(
    alice: ResponsesClient, upstream: str
) -> None:
    answer = alice.ask(stream=True, model=model(upstream), input="hello", background=True)
    again = list(alice.sdk.responses.retrieve(answer.id, stream=True))
    check_stream(alice.wire.last.frames)
    assert again[-1].type == "response.completed"
    assert again[-1].response == answer


@over_natives
def test_an_answer_is_cancelled_once_and_for_all(alice: ResponsesClient, upstream: str) -> None:
    queued = begin(alice, upstream)
    for _ in range(2):
        assert alice.sdk.responses.cancel(queued.id).status == "cancelled"
    assert finished(alice, queued.id).status == "cancelled"


@over_natives
def test_what_is_deleted_is_gone_here_and_there(
    gateway: LiveGateway, alice: ResponsesClient, upstream: str
) -> None:
    queued = begin(alice, upstream)
    alice.sdk.responses.delete(queued.id)
    assert json.loads(alice.wire.last.body)["deleted"] is True
    before = len(gateway.requests())
    for look in (alice.sdk.responses.retrieve, alice.sdk.responses.delete):
        with pytest.raises(openai.NotFoundError):
            look(queued.id)
    assert len(gateway.requests()) == before


@over_natives
def test_nobody_else_can_see_it_or_go_on_from_it(
    alice: ResponsesClient, bob: ResponsesClient, upstream: str
) -> None:
    queued = begin(alice, upstream, "a secret")
    responses = bob.sdk.responses
    for look in (
        responses.retrieve,
        responses.delete,
        responses.cancel,
        responses.input_items.list,
    ):
        with pytest.raises(openai.NotFoundError):
            look(queued.id)
    with pytest.raises(openai.NotFoundError):
        responses.retrieve(queued.id, stream=True)
    arguments: dict[str, Any] = {"model": model(upstream), "previous_response_id": queued.id}
    for ask in (responses.create, responses.input_tokens.count, responses.compact):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(input="go on", **arguments)
        assert refused.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        bob.ask(stream=False, input="go on", background=True, **arguments)
    assert refused.value.code == "previous_response_not_found"
    assert finished(alice, queued.id).status == "completed"


# Going on


@both_ways
@over_natives
def test_a_conversation_goes_on_where_its_answer_is_kept(
    gateway: LiveGateway, alice: ResponsesClient, upstream: str, stream: bool
) -> None:
    """And stays there: nobody else knows all of it."""
    first = finished(alice, begin(alice, upstream, "one").id)
    second = alice.ask(
        stream=stream, model=model(upstream), input="two", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert second.output_text.startswith("You said: two")
    assert alice.sdk.responses.retrieve(second.id) == second
    listed = list(alice.sdk.responses.input_items.list(second.id, order="asc"))
    assert [item.role for item in listed if item.type == "message"] == ["user", "assistant", "user"]
    third = begin(alice, upstream, "three", previous_response_id=second.id)
    assert finished(alice, third.id).output_text.startswith("You said: three")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        alice.sdk.responses.cancel(second.id)


@over_natives
def test_what_is_not_to_be_stored_is_not_known_afterwards(
    alice: ResponsesClient, upstream: str
) -> None:
    first = finished(alice, begin(alice, upstream, "one").id)
    second = alice.ask(
        stream=False,
        model=model(upstream),
        input="two",
        previous_response_id=first.id,
        store=False,
    )
    with pytest.raises(openai.NotFoundError):
        alice.sdk.responses.retrieve(second.id)


@both_ways
@over_natives
def test_nobody_but_its_keeper_can_go_on_from_it(
    alice: ResponsesClient, upstream: str, stream: bool
) -> None:
    first = finished(alice, begin(alice, upstream, "one").id)
    elsewhere = {"s": "n", "n": "s"}[upstream]
    for other in ("o", "a", "l", elsewhere):
        with pytest.raises(openai.BadRequestError, match=f"provider '{upstream}' keeps") as refused:
            alice.ask(stream=stream, model=model(other), input="two", previous_response_id=first.id)
        assert refused.value.param == "previous_response_id"
    arguments: dict[str, Any] = {"input": "two", "previous_response_id": first.id}
    for ask in (alice.sdk.responses.input_tokens.count, alice.sdk.responses.compact):
        for other in ("o", "a", elsewhere):
            with pytest.raises(openai.BadRequestError, match=f"provider '{upstream}' keeps"):
                ask(model=model(other), **arguments)


@over_natives
def test_references_among_what_a_provider_keeps_are_not_followed(
    alice: ResponsesClient, upstream: str
) -> None:
    """The provider would find the items of every client: it is not even asked."""
    first = finished(alice, begin(alice, upstream, "one").id)
    with pytest.raises(openai.BadRequestError) as refused:
        alice.ask(
            stream=False,
            model=model(upstream),
            input=[{"type": "item_reference", "id": first.output[0].id}],
            previous_response_id=first.id,
        )
    assert refused.value.code == "item_not_found"
    assert "send the item itself" in refused.value.message


@over_natives
def test_tokens_are_counted_where_the_conversation_is_kept(
    alice: ResponsesClient, upstream: str
) -> None:
    first = finished(alice, begin(alice, upstream, "word " * 100).id)
    count = alice.sdk.responses.input_tokens.count
    alone = count(model=model(upstream), input="hello")
    whole = count(model=model(upstream), input="hello", previous_response_id=first.id)
    assert whole.input_tokens > alone.input_tokens + 100
    assert "x-forebay-estimated" not in alice.wire.last.headers


@pytest.mark.parametrize("before", ["o", "a", "l", "s", "n"])
@over_natives
def test_an_answer_in_the_background_goes_on_from_what_the_gateway_keeps(
    gateway: LiveGateway, alice: ResponsesClient, upstream: str, before: str
) -> None:
    """All of the conversation is told to the provider, whoever made it."""
    thinks = {"reasoning": {"effort": "low"}} if before == "a" else {}
    first = alice.ask(stream=False, model=model(before), input="one", **thinks)
    queued = begin(alice, upstream, "two", previous_response_id=first.id, store=True)
    answer = finished(alice, queued.id)
    assert answer.output_text.startswith("You said: two")
    said = list(alice.sdk.responses.input_items.list(queued.id, order="asc"))
    words = [item.content[0].text for item in said if item.type == "message"]  # type: ignore[union-attr]
    assert words == ["one", first.output_text, "two"]


# Compacting


@over_natives
def test_a_conversation_is_compacted_by_who_can(alice: ResponsesClient, upstream: str) -> None:
    compacted = alice.sdk.responses.compact(
        model=model(upstream),
        input=[
            {"role": "user", "content": "remember the milk"},
            {"role": "assistant", "content": "I will"},
        ],
    )
    # The SDK's type has no place for the user's messages, which its own words say are there.
    sealed = compacted.output[-1]
    assert sealed.type == "compaction"
    read_strictly(ResponseCompactionItem, sealed.to_json())
    items = json.loads(alice.wire.last.body)["output"]
    answer = alice.ask(
        stream=False,
        model=model(upstream),
        input=[*items, {"role": "user", "content": "go on"}],
    )
    assert answer.output_text.startswith("You said: go on")


@pytest.mark.parametrize("before", ["o", "a", "kept there"])
@over_natives
def test_what_is_kept_is_compacted_whole(
    gateway: LiveGateway, alice: ResponsesClient, upstream: str, before: str
) -> None:
    if before == "kept there":
        first = finished(alice, begin(alice, upstream, "remember the milk").id)
    else:
        first = alice.ask(
            stream=False,
            model=model(before),
            input="remember the milk",
            reasoning={"effort": "low"} if before == "a" else openai.omit,
        )
    alice.sdk.responses.compact(
        model=model(upstream), input="and the bread", previous_response_id=first.id
    )
    *said, _ = json.loads(alice.wire.last.body)["output"]
    assert [item["content"][0]["text"] for item in said] == ["remember the milk", "and the bread"]
    alone = alice.sdk.responses.compact(model=model(upstream), previous_response_id=first.id)
    assert len(alone.output) == 2


@pytest.mark.parametrize("upstream", ["o", "a", "l"])
def test_compacting_is_refused_where_no_target_can(alice: ResponsesClient, upstream: str) -> None:
    with pytest.raises(openai.BadRequestError, match="no target that compacts") as refused:
        alice.sdk.responses.compact(model=model(upstream), input="hello")
    assert refused.value.param == "model"
