"""The sandbox's embeddings, in OpenAI's API and in both of Ollama's."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from forebay.endpoints.sandbox import Sandbox, SandboxModel, SandboxOptions
from forebay.endpoints.sandbox._vectors import LONGEST, packed, vector

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATHS = ("/v1/embeddings", "/api/embed", "/api/embeddings")


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(path: str, text: str = "hello") -> Json:
    name = "prompt" if path == "/api/embeddings" else "input"
    return {"model": "sandbox-chat", name: text}


def vectors(path: str, answer: Json) -> list[list[float]]:
    match path:
        case "/v1/embeddings":
            return [item["embedding"] for item in answer["data"]]
        case "/api/embed":
            return list(answer["embeddings"])
        case _:
            return [answer["embedding"]]


async def whole(client: httpx.AsyncClient, path: str, body: Json) -> Json:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    kind = "application/json" if path.startswith("/v1/") else "application/json; charset=utf-8"
    assert response.headers["content-type"] == kind
    answer: Json = response.json()
    return answer


@given(text=st.text(), dimensions=st.integers(1, LONGEST))
def test_a_vector_has_length_one_and_is_its_texts_own(text: str, dimensions: int) -> None:
    numbers = vector(text, dimensions)
    assert len(numbers) == dimensions
    assert math.hypot(*numbers) == pytest.approx(1, abs=1e-6)
    assert vector(text, dimensions) == numbers
    assert vector(text + "!", dimensions) != numbers or dimensions == 1
    assert struct.unpack(f"<{dimensions}f", base64.b64decode(packed(numbers))) == numbers


async def test_all_three_say_the_same(client: httpx.AsyncClient) -> None:
    found = [vectors(path, await whole(client, path, asking(path))) for path in PATHS]
    assert found[0] == found[1] == found[2] == [[*vector("hello")]]


async def test_openais_answer_is_in_the_order_of_the_inputs(client: httpx.AsyncClient) -> None:
    body = {"model": "sandbox-chat", "input": ["one", "", "three"]}
    assert (await client.post(PATHS[0], json=body)).status_code == 400
    answer = await whole(client, PATHS[0], {**body, "input": ["one", "two", "three three"]})
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": [*vector(text)]}
            for index, text in enumerate(["one", "two", "three three"])
        ],
        "model": "sandbox-chat",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


async def test_openais_encodings_and_dimensions(client: httpx.AsyncClient) -> None:
    body = {**asking(PATHS[0]), "dimensions": 8, "user": "u"}
    (numbers,) = vectors(PATHS[0], await whole(client, PATHS[0], body))
    assert numbers == [*vector("hello", 8)]
    answer = await whole(client, PATHS[0], {**body, "encoding_format": "base64"})
    assert answer["data"][0]["embedding"] == packed(vector("hello", 8))


async def test_tokens_are_inputs_too(client: httpx.AsyncClient) -> None:
    one = await whole(client, PATHS[0], {"model": "sandbox-chat", "input": [5, 6, 7]})
    several = await whole(client, PATHS[0], {"model": "sandbox-chat", "input": [[5, 6, 7], [8]]})
    assert one["data"][0]["embedding"] == several["data"][0]["embedding"]
    assert several["data"][1]["embedding"] != several["data"][0]["embedding"]
    assert several["usage"]["prompt_tokens"] == 4


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": ["a", 5]}, "input[1]", "invalid_type"),
        ({"input": ["a", ""]}, "input[1]", "invalid_value"),
        ({"input": [[1], []]}, "input[1]", "invalid_value"),
        ({"input": [[1], "a"]}, "input[1]", "invalid_type"),
        ({"input": [1, "a"]}, "input[1]", "invalid_type"),
        ({"input": [1, True]}, "input[1]", "invalid_type"),
        ({"input": [-1]}, "input[0]", "invalid_value"),
        ({"input": ["x"] * 2049}, "input", "invalid_value"),
        ({"input": "x" * 800_004}, "input", "context_length_exceeded"),
        ({"input": ["x" * 700_000] * 2}, "input", "max_tokens_per_request"),
        ({"dimensions": 0}, "dimensions", "invalid_value"),
        ({"dimensions": LONGEST + 1}, "dimensions", "invalid_value"),
        ({"dimensions": 1.5}, "dimensions", "invalid_type"),
        ({"encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"user": 5}, "user", "invalid_type"),
        ({"model": None}, "model", "missing_required_parameter"),
    ],
)
async def test_openai_refuses_and_names_the_field(
    client: httpx.AsyncClient, fields: Json, param: str, code: str
) -> None:
    response = await client.post(PATHS[0], json={**asking(PATHS[0]), **fields})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"


async def test_ollamas_answers_count(client: httpx.AsyncClient) -> None:
    body = {"model": "sandbox-chat", "input": ["one", "two two"], "keep_alive": "5m"}
    answer = await whole(client, "/api/embed", body)
    assert answer["embeddings"] == [[*vector("one")], [*vector("two two")]]
    assert answer["model"] == "sandbox-chat"
    assert answer["prompt_eval_count"] == 3
    assert answer["total_duration"] > answer["load_duration"] > 0
    for dimensions, length in ((0, LONGEST), (5, 5), (LONGEST + 1, LONGEST)):
        answer = await whole(client, "/api/embed", {**body, "dimensions": dimensions})
        assert {len(one) for one in answer["embeddings"]} == {length}


async def test_ollama_only_loads_where_there_is_nothing_to_embed(connect: Connect) -> None:
    sandbox = Sandbox()
    client = connect(sandbox)
    empty: list[Json] = [{}, {"input": ""}, {"input": []}, {"input": None}]
    for fields in empty:
        answer = await whole(client, "/api/embed", {"model": "sandbox-chat", **fields})
        assert answer == {"model": "sandbox-chat", "embeddings": []}
    assert await whole(client, "/api/embeddings", {"model": "sandbox-chat"}) == {"embedding": []}
    assert sandbox.statistics().received == 0


async def test_ollama_cuts_what_is_too_long_unless_told_not_to(connect: Connect) -> None:
    model = SandboxModel("short", context_tokens=4)
    client = connect(Sandbox(SandboxOptions(models=(model,))))
    body = {"model": "short", "input": "x" * 100}
    assert (await whole(client, "/api/embed", body))["prompt_eval_count"] == 4
    refused = await client.post("/api/embed", json={**body, "truncate": False})
    assert refused.status_code == 400
    assert "context length" in refused.json()["error"]


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/api/embed", {"model": ""}, "model is required"),
        ("/api/embed", {"input": 5}, "invalid input type"),
        ("/api/embed", {"input": ["a", 5]}, "invalid input type"),
        ("/api/embed", {"truncate": "yes"}, "cannot unmarshal string into Go struct field"),
        ("/api/embed", {"dimensions": "5"}, "cannot unmarshal string into Go struct field"),
        ("/api/embed", {"options": []}, "cannot unmarshal array into Go struct field"),
        ("/api/embed", {"keep_alive": "soon"}, "missing unit in duration"),
        ("/api/embeddings", {"prompt": ["a"]}, "cannot unmarshal array into Go struct field"),
    ],
)
async def test_ollama_refuses_in_gos_words(
    client: httpx.AsyncClient, path: str, fields: Json, message: str
) -> None:
    response = await client.post(path, json={**asking(path), **fields})
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert message in response.json()["error"]


@pytest.mark.parametrize("path", PATHS)
async def test_limits_keys_faults_and_methods_are_those_of_chats(
    path: str, connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_minute=6, burst=2, api_key="k", latency_ms=500))
    client = connect(sandbox)
    assert (await client.post(path, json=asking(path))).status_code == 401
    client.headers["authorization"] = "Bearer k"
    began = trio.current_time()
    assert (await client.post(path, json=asking(path))).status_code == 200
    assert trio.current_time() - began == 0.5
    faulty = asking(path, "[[fault: 503, times=1]]")
    assert [(await client.post(path, json=faulty)).status_code for _ in range(2)] == [503, 200]
    refused = await client.post(path, json=asking(path))
    assert refused.status_code == 429
    statistics = sandbox.statistics()
    assert (statistics.started, statistics.completed, statistics.in_flight) == (2, 2, 0)
    assert statistics.refused == {401: 1, 503: 1, 429: 1}
    assert statistics.input_tokens == 2 + 6
    assert statistics.output_tokens == 0
    assert (await client.get(path)).status_code == 405
    missing = await client.post(path, json={**asking(path), "model": "nobody"})
    assert missing.status_code == 404
    await trio.sleep(20)
    assert (await client.post(path, json=asking(path, "[[fault: garbage]]"))).text[:6] == "<html>"
    hidden = await client.post(path, json=asking(path, "[[fault: error-first]]"))
    assert (hidden.status_code, "error" in hidden.json()) == (200, True)
