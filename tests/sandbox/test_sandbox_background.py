"""Responses that the sandbox makes in the background, and keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from responses_client import check_response, check_stream
from trio.testing import MockClock

from forebay.endpoints.sandbox import Sandbox, SandboxOptions

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATH = "/v1/responses"
SLOW = SandboxOptions(latency_ms=10_000, token_interval_ms=1000)
"""Ten seconds in the queue, then a piece a second."""


def asking(said: object = "one two three", **more: object) -> Json:
    return {"model": "sandbox-chat", "input": said, **more}


def events_of(response: httpx.Response) -> list[Json]:
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def begin(client: httpx.AsyncClient, **more: object) -> Json:
    """A response in the background, at once."""
    began = trio.current_time()
    response = await client.post(PATH, json=asking(background=True, **more))
    assert response.status_code == 200, response.text
    assert trio.current_time() == began
    answer: Json = response.json()
    check_response(answer)
    return answer


async def shown(client: httpx.AsyncClient, response: Json) -> Json:
    answer = await client.get(f"{PATH}/{response['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    check_response(found)
    return found


async def test_a_response_is_queued_then_in_progress_then_there(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox(SLOW))
    response = await begin(client)
    assert (response["status"], response["background"], response["output"]) == ("queued", True, [])
    assert (await shown(client, response))["status"] == "queued"
    await trio.sleep(10)
    assert (await shown(client, response))["status"] == "in_progress"
    await trio.sleep(60)
    done = await shown(client, response)
    assert (done["status"], done["id"]) == ("completed", response["id"])
    assert done["output"][0]["content"][0]["text"].startswith("You said: one two three")
    assert done["usage"]["total_tokens"] > 0


async def test_a_stream_that_was_left_is_taken_up_where_it_was_left(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox(SLOW))
    began = trio.current_time()
    asked = asking(background=True, stream=True)
    seen: list[Json] = []
    with trio.move_on_at(began + 12.5):
        async with client.stream("POST", PATH, json=asked) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line.removeprefix("data: ")))
                    assert len(seen) > 2 or trio.current_time() == began
    assert len(seen) == 8
    assert [event["type"] for event in seen[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    where = f"{PATH}/{seen[0]['response']['id']}"
    rest = events_of(await client.get(where, params={"stream": "true", "starting_after": "7"}))
    events = check_stream([(event["type"], json.dumps(event)) for event in [*seen, *rest]])
    took = trio.current_time() - began
    pieces = sum(event["type"] == "response.output_text.delta" for event in events)
    assert took == 10 + pieces - 1
    again = events_of(await client.get(where, params={"stream": "true"}))
    assert again == events
    assert trio.current_time() - began == took


async def test_a_cancelled_response_stays_so(connect: Connect, autojump_clock: MockClock) -> None:
    client = connect(Sandbox(SLOW))
    response = await begin(client)
    await trio.sleep(11)
    for _ in range(2):
        cancelled = await client.post(f"{PATH}/{response['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await trio.sleep(60)
    assert (await shown(client, response))["status"] == "cancelled"
    done = await begin(client)
    await trio.sleep(60)
    kept = await client.post(f"{PATH}/{done['id']}/cancel")
    assert kept.json()["status"] == "completed"


async def test_only_what_is_made_in_the_background_can_be_cancelled_and_streamed_again(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox())
    answer = (await client.post(PATH, json=asking())).json()
    refused = await client.post(f"{PATH}/{answer['id']}/cancel")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Cannot cancel a synchronous response."
    whole = await begin(client)
    for response in (answer, whole):
        again = await client.get(f"{PATH}/{response['id']}?stream=true")
        assert (again.status_code, again.json()["error"]["param"]) == (400, "stream")


async def test_what_is_deleted_or_unknown_or_not_stored_is_not_found(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox())
    deleted = await begin(client)
    gone = await client.delete(f"{PATH}/{deleted['id']}")
    assert gone.json() == {"id": deleted["id"], "object": "response", "deleted": True}
    unstored = (await client.post(PATH, json=asking(store=False))).json()
    for wanted in (deleted["id"], unstored["id"], "resp_unknown"):
        for method, where in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
            missing = await client.request(method, f"{PATH}/{wanted}{where}")
            assert missing.status_code == 404
            assert missing.json()["error"]["message"] == f"Response with id '{wanted}' not found."


async def test_a_conversation_goes_on_with_its_calls_and_its_items(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox())
    tool = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
    first = await begin(client, tools=[tool], tool_choice="required")
    (call,) = (await shown(client, first))["output"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    second = await client.post(PATH, json=asking([result], previous_response_id=first["id"]))
    assert second.json()["previous_response_id"] == first["id"]
    assert "noon" in second.json()["output"][0]["content"][0]["text"]
    listed = await client.get(f"{PATH}/{second.json()['id']}/input_items?order=asc&limit=2")
    kinds = [item["type"] for item in listed.json()["data"]]
    assert (kinds, listed.json()["has_more"]) == (["message", "function_call"], True)
    rest = await client.get(
        f"{PATH}/{second.json()['id']}/input_items?order=asc&after={listed.json()['last_id']}"
    )
    assert [item["type"] for item in rest.json()["data"]] == ["function_call_output"]


async def test_a_conversation_is_compacted_and_goes_on(
    connect: Connect, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox())
    asked = {"model": "sandbox-chat", "input": "remember the milk"}
    compacted = (await client.post(f"{PATH}/compact", json=asked)).json()
    assert compacted["object"] == "response.compaction"
    said, sealed = compacted["output"]
    assert said["content"] == [{"type": "input_text", "text": "remember the milk"}]
    assert sealed["type"] == "compaction"
    answer = await client.post(PATH, json=asking([sealed, {"role": "user", "content": "go on"}]))
    assert answer.status_code == 200
    forged = {**sealed, "encrypted_content": "bm90IG91cnM="}
    refused = await client.post(PATH, json=asking([forged]))
    assert refused.json()["error"]["code"] == "invalid_encrypted_content"


@pytest.mark.parametrize("where", ["", "/input_items"])
async def test_only_what_is_known_can_be_included(
    connect: Connect, where: str, autojump_clock: MockClock
) -> None:
    client = connect(Sandbox())
    response = await begin(client)
    path = f"{PATH}/{response['id']}{where}"
    assert (await client.get(path, params={"include[]": "novelty"})).status_code == 400
    known = {"include[]": "reasoning.encrypted_content"}
    assert (await client.get(path, params=known)).status_code == 200
