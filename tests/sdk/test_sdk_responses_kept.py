"""Answers that are kept: fetched, listed, deleted and gone on from, each by its own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from openai.types.responses import ResponseItemList
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from responses_client import ResponsesClient, check_response
from sdk_speakers import both_ways
from sdk_wire import read_strictly

OVER = (*UPSTREAMS, "s")
over_all = pytest.mark.parametrize("upstream", OVER)


@pytest.fixture(scope="module")
def asking(gateway: LiveGateway) -> Iterator[ResponsesClient]:
    client = ResponsesClient(gateway.url)
    with client.sdk:
        yield client


def model(upstream: str) -> str:
    return f"{upstream}/sandbox-chat"


@both_ways
@over_all
def test_an_answer_is_fetched_as_it_was_seen_until_it_is_deleted(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    """Streamed ones, and those of a native server, too."""
    answer = asking.ask(stream=stream, model=model(upstream), input="hello")
    assert asking.sdk.responses.retrieve(answer.id) == answer
    asking.sdk.responses.delete(answer.id)
    assert json.loads(asking.wire.last.body) == {
        "id": answer.id,
        "object": "response",
        "deleted": True,
    }
    for again in (asking.sdk.responses.retrieve, asking.sdk.responses.delete):
        with pytest.raises(openai.NotFoundError) as unknown:
            again(answer.id)
        assert unknown.value.body == {
            "message": f"Response with id '{answer.id}' not found.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


@both_ways
@over_all
def test_a_conversation_goes_on_at_another_provider(
    gateway: LiveGateway, asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    first = asking.ask(stream=stream, model=model(upstream), input="one", instructions="be brief")
    for other in OVER:
        second = asking.ask(
            stream=stream, model=model(other), input="two", previous_response_id=first.id
        )
        assert second.previous_response_id == first.id
        assert second.output_text.startswith("You said: two")
        asked = gateway.requests()[-1].body.decode()
        assert first.output_text in asked
        assert "be brief" not in asked  # instructions are not inherited


@over_all
def test_items_are_listed_page_by_page(asking: ResponsesClient, upstream: str) -> None:
    answer = asking.ask(stream=False, model=model(upstream), input="turn 0")
    for turn in range(1, 4):
        answer = asking.ask(
            stream=False,
            model=model(upstream),
            input=f"turn {turn}",
            previous_response_id=answer.id,
        )
    items = asking.sdk.responses.input_items
    listed = list(items.list(answer.id, limit=3, order="asc"))
    read_strictly(ResponseItemList, bytes(asking.wire.last.body))
    assert len(listed) == 7  # in three pages
    assert [item.role for item in listed if item.type == "message"] == [
        *["user", "assistant"] * 3,
        "user",
    ]
    assert len({item.id for item in listed}) == 7
    assert list(items.list(answer.id, limit=100)) == listed[::-1]
    with pytest.raises(openai.BadRequestError) as refused:
        items.list(answer.id, limit=101)
    assert refused.value.param == "limit"
    with pytest.raises(openai.NotFoundError):
        items.list("resp_unknown")


def test_listed_reasoning_shows_its_secret_to_those_who_ask(asking: ResponsesClient) -> None:
    thought = asking.ask(
        stream=False,
        model=model("a"),
        input="hello",
        reasoning={"effort": "low", "summary": "auto"},
    )
    answer = asking.ask(
        stream=False, model=model("a"), input="more", previous_response_id=thought.id
    )
    items = asking.sdk.responses.input_items
    plain = [item for item in items.list(answer.id) if item.type == "reasoning"]
    assert [item.encrypted_content for item in plain] == [None]
    secret = items.list(answer.id, include=["reasoning.encrypted_content"])
    assert [bool(item.encrypted_content) for item in secret if item.type == "reasoning"] == [True]


@both_ways
@over_all
def test_an_unknown_response_is_never_a_fresh_conversation_trap_46(
    gateway: LiveGateway, asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    """A native server is not asked either: its account is shared by all clients."""
    before = len(gateway.requests())
    with pytest.raises(openai.BadRequestError) as refused:
        asking.ask(
            stream=stream,
            model=model(upstream),
            input="hello",
            previous_response_id="resp_unknown",
        )
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as lost:
        asking.ask(
            stream=stream,
            model=model(upstream),
            input=[{"type": "item_reference", "id": "msg_unknown"}],
        )
    assert lost.value.code == "item_not_found"
    paths = [request.path for request in gateway.requests()[before:]]
    assert not any(path.startswith(("/v1/", "/api/chat")) for path in paths)


@both_ways
@over_all
def test_references_stand_for_items_that_are_kept(
    gateway: LiveGateway, asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    first = asking.ask(stream=stream, model=model(upstream), input="one")
    second = asking.ask(
        stream=stream,
        model=model(upstream),
        input=[
            {"role": "user", "content": "one"},
            {"type": "item_reference", "id": first.output[0].id},
            {"role": "user", "content": "two"},
        ],
    )
    assert second.output_text.startswith("You said: two")
    assert json.dumps(first.output_text) in gateway.requests()[-1].body.decode()


@both_ways
@over_all
def test_what_is_not_to_be_stored_is_not_kept(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    answer = asking.ask(stream=stream, model=model(upstream), input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        asking.sdk.responses.retrieve(answer.id)
    with pytest.raises(openai.BadRequestError) as refused:
        asking.ask(
            stream=stream, model=model(upstream), input="go on", previous_response_id=answer.id
        )
    assert refused.value.code == "previous_response_not_found"


def test_the_answer_says_whether_it_was_stored(asking: ResponsesClient) -> None:
    for store in (True, False):
        asking.ask(stream=False, model=model("o"), input="hello", store=store)
        assert json.loads(asking.wire.last.body)["store"] is store


@both_ways
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_background_is_refused_by_name_where_no_target_has_it(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match="the gateway answers while") as refused:
        asking.ask(stream=stream, model=model(upstream), input="hello", background=True)
    assert refused.value.param == "background"
    assert refused.value.code == "unsupported_parameter"


def test_what_only_background_responses_can_do_is_refused(asking: ResponsesClient) -> None:
    answer = asking.ask(stream=False, model=model("o"), input="hello")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        asking.sdk.responses.cancel(answer.id)
    with pytest.raises(openai.NotFoundError):
        asking.sdk.responses.cancel("resp_unknown")
    with pytest.raises(openai.BadRequestError) as refused:
        asking.sdk.responses.retrieve(answer.id, stream=True)
    assert refused.value.param == "stream"


@both_ways
def test_a_fetched_answer_shows_its_secrets_to_those_who_ask(
    asking: ResponsesClient, stream: bool
) -> None:
    answer = asking.ask(
        stream=stream,
        model=model("a"),
        input="hello",
        reasoning={"effort": "low", "summary": "auto"},
    )
    fetched = asking.sdk.responses.retrieve(answer.id, include=["reasoning.encrypted_content"])
    assert [item.type for item in fetched.output] == ["reasoning", "message"]
    (thought,) = (item for item in fetched.output if item.type == "reasoning")
    assert thought.encrypted_content
    check_response(json.loads(asking.wire.last.body))
    assert asking.sdk.responses.retrieve(answer.id, include=["web_search_call.results"]) == answer
    for look in (asking.sdk.responses.retrieve, asking.sdk.responses.input_items.list):
        with pytest.raises(openai.BadRequestError) as refused:
            look(answer.id, include=["novelty"])  # type: ignore[list-item]
        assert (refused.value.param, refused.value.code) == ("include", "invalid_value")


@over_all
def test_input_tokens_are_counted_with_all_that_was_said(
    gateway: LiveGateway, asking: ResponsesClient, upstream: str
) -> None:
    """By the upstream where it can, else estimated."""
    count = asking.sdk.responses.input_tokens.count
    alone = count(model=model(upstream), input="hello there")
    read_strictly(InputTokenCountResponse, bytes(asking.wire.last.body))
    estimated = asking.wire.last.headers.get("x-forebay-estimated")
    assert estimated == (None if upstream in "as" else "true")
    answer = asking.ask(stream=False, model=model(upstream), input="word " * 400)
    whole = count(model=model(upstream), input="hello there", previous_response_id=answer.id)
    assert whole.input_tokens > alone.input_tokens + 300
    assert count(model=model(upstream), instructions="Be kind.").input_tokens > 0
    with pytest.raises(openai.BadRequestError) as refused:
        count(model=model(upstream), input="x", previous_response_id="resp_unknown")
    assert refused.value.code == "previous_response_not_found"


def test_an_anthropic_prompt_is_counted_by_a_server_of_this_api(
    http: httpx.Client, gateway: LiveGateway
) -> None:
    """With its stop sequences, which this API has no word for."""
    config = {"models": {"counted": {"targets": ["n/sandbox-chat"]}}}
    native = {"n": {"kind": "openai", "base_url": gateway.sandbox_url + "/v1", "api_key": "k"}}
    with live_gateway(config, providers=native) as live:
        answer = http.post(
            f"{live.url}/v1/messages/count_tokens",
            headers={"anthropic-version": "2023-06-01"},
            json={
                "model": "counted",
                "messages": [{"role": "user", "content": "x" * 400}],
                "stop_sequences": ["END"],
            },
        )
    assert answer.json() == {"input_tokens": 100}
    assert "x-forebay-estimated" not in answer.headers
    assert gateway.requests()[-1].path == "/v1/responses/input_tokens"


# Clients


@pytest.fixture(scope="module")
def locked_gateway() -> Iterator[LiveGateway]:
    clients = {"alice": {"key": "key-of-alice"}, "bob": {"key": "key-of-bob"}}
    with live_gateway({"clients": clients, "server": {"max_body_bytes": 20_000}}) as live:
        yield live


@pytest.fixture
def alice(locked_gateway: LiveGateway) -> Iterator[ResponsesClient]:
    client = ResponsesClient(locked_gateway.url, key="key-of-alice")
    with client.sdk:
        yield client


@pytest.fixture
def bob(locked_gateway: LiveGateway) -> Iterator[ResponsesClient]:
    client = ResponsesClient(locked_gateway.url, key="key-of-bob")
    with client.sdk:
        yield client


@over_all
def test_nobody_sees_what_is_anothers(
    alice: ResponsesClient, bob: ResponsesClient, upstream: str
) -> None:
    answer = alice.ask(stream=False, model=model(upstream), input="a secret")
    responses = bob.sdk.responses
    for look in (
        responses.retrieve,
        responses.delete,
        responses.cancel,
        responses.input_items.list,
    ):
        with pytest.raises(openai.NotFoundError):
            look(answer.id)
    arguments: dict[str, Any] = {"model": model(upstream), "previous_response_id": answer.id}
    for ask in (responses.create, responses.input_tokens.count):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(input="go on", **arguments)
        assert refused.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError) as lost:
        bob.ask(
            stream=False,
            model=model(upstream),
            input=[{"type": "item_reference", "id": answer.output[0].id}],
        )
    assert lost.value.code == "item_not_found"
    assert alice.sdk.responses.retrieve(answer.id) == answer


def test_without_a_key_there_is_nothing_to_see(
    locked_gateway: LiveGateway, alice: ResponsesClient
) -> None:
    answer = alice.ask(stream=False, model=model("o"), input="a secret")
    nobody = ResponsesClient(locked_gateway.url, key="key-of-nobody")
    with nobody.sdk, pytest.raises(openai.AuthenticationError):
        nobody.sdk.responses.retrieve(answer.id)


def test_a_conversation_may_not_grow_beyond_what_one_request_may_hold(
    alice: ResponsesClient,
) -> None:
    answer = alice.ask(stream=False, model=model("o"), input="a" * 9000)
    arguments: dict[str, Any] = {"stream": False, "model": model("o")}
    answer = alice.ask(input="b" * 9000, previous_response_id=answer.id, **arguments)
    with pytest.raises(openai.APIStatusError) as refused:
        alice.ask(input="go on", previous_response_id=answer.id, **arguments)
    assert refused.value.status_code == 413
    assert refused.value.param == "previous_response_id"
