"""The sandbox's count of a prompt's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from forebay.endpoints.sandbox import LimitHeaders, Sandbox, SandboxOptions

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATH = "/v1/messages/count_tokens"
TOOL: Json = {"name": "look", "input_schema": {"type": "object", "properties": {}}}


def asking(text: str = "hello", **fields: object) -> Json:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    client = connect(Sandbox())
    client.headers["anthropic-version"] = "2023-06-01"
    return client


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief."},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 5000}},
    ],
    ids=lambda fields: ",".join(fields),
)
async def test_it_is_what_the_answer_would_say(client: httpx.AsyncClient, fields: Json) -> None:
    counted = await client.post(PATH, json=asking(**fields))
    assert counted.status_code == 200, counted.text
    answered = await client.post("/v1/messages", json=asking(**fields, max_tokens=6000))
    assert counted.json() == {"input_tokens": answered.json()["usage"]["input_tokens"]}
    assert counted.headers["request-id"]


async def test_what_is_too_long_to_be_answered_can_be_counted(client: httpx.AsyncClient) -> None:
    counted = await client.post(PATH, json=asking("x" * 900_000))
    assert counted.json() == {"input_tokens": 225_000}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": 5}, "max_tokens: Extra inputs are not permitted"),
        ({"stream": False}, "stream: Extra inputs are not permitted"),
        ({"temperature": 0.5}, "temperature: Extra inputs are not permitted"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": None}, "messages: Field required"),
        ({"model": None}, "model: Field required"),
        ({"tools": [{"name": "x"}]}, "input_schema: Field required"),
    ],
)
async def test_what_is_wrong_is_refused(
    client: httpx.AsyncClient, fields: Json, message: str
) -> None:
    response = await client.post(PATH, json={**asking(), **fields})
    assert response.status_code == 400
    body = response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert message in body["error"]["message"]


async def test_other_errors(client: httpx.AsyncClient) -> None:
    missing = await client.post(PATH, json=asking(model="nobody"))
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert (await client.get(PATH)).status_code == 405
    del client.headers["anthropic-version"]
    headless = await client.post(PATH, json=asking())
    assert headless.status_code == 400
    assert "anthropic-version" in headless.json()["error"]["message"]


async def test_counting_takes_a_request_and_no_tokens(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    options = SandboxOptions(
        requests_per_minute=60, burst=3, tokens_per_minute=10, limit_headers=LimitHeaders.ANTHROPIC
    )
    sandbox = Sandbox(options)
    client = connect(sandbox)
    client.headers["anthropic-version"] = "2023-06-01"
    answers = [await client.post(PATH, json=asking("x" * 4000)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["anthropic-ratelimit-requests-remaining"] == "2"
    assert answers[3].headers["retry-after"] == "1"
    assert sandbox.statistics().input_tokens == 0
    assert sandbox.statistics().completed == 3
