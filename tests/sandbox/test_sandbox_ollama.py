"""The sandbox's Ollama dialect, over memory streams."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from forebay.endpoints.sandbox import Sandbox, SandboxOptions

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK: Json = {"type": "function", "function": {"name": "get_time"}}


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(text: str, **more: object) -> Json:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": text}], **more}


async def whole(client: httpx.AsyncClient, body: Json, path: str = "/api/chat") -> Json:
    response = await client.post(path, json=body | {"stream": False})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    answer: Json = response.json()
    return answer


async def lines(client: httpx.AsyncClient, body: Json, path: str = "/api/chat") -> list[Json]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    *found, rest = response.text.split("\n")
    assert rest == ""
    return [json.loads(line) for line in found]


async def refused(
    client: httpx.AsyncClient, body: Json | bytes, path: str = "/api/chat"
) -> tuple[int, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await client.post(path, content=content)
    assert set(response.json()) == {"error"}
    return response.status_code, response.json()["error"]


async def test_json_is_escaped_as_go_escapes_it(client: httpx.AsyncClient) -> None:
    """As ``json.Marshal`` does by default; U+0085 it leaves alone."""
    text = "<b>&\u2028\u2029\x85\x0b</b>"
    streamed = await client.post("/api/chat", json=asking(text))
    whole_answer = await client.post("/api/chat", json=asking(text, stream=False))
    refusal = await client.post("/api/chat", json={"model": "<\u2028>"})
    for body in (streamed.content, whole_answer.content, refusal.content):
        assert not any(character.encode() in body for character in "<>&\u2028\u2029")
        assert b"\\u003c" in body
        assert b"\\u2028" in body
    assert "\x85".encode() in streamed.content
    assert whole_answer.json()["message"]["content"].startswith(f"You said: {text}\n")
    lines = streamed.text.removesuffix("\n").split("\n")
    said = "".join(json.loads(line)["message"]["content"] for line in lines)
    assert said == whole_answer.json()["message"]["content"]


async def test_trap_44_chat_streams_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    text = "Grüße, 世界 🌍"
    answer = await whole(client, asking(text))
    assert answer["message"]["content"].startswith(f"You said: {text}\n")
    assert (answer["done"], answer["done_reason"]) == (True, "stop")
    *content, last = await lines(client, asking(text))
    joined = "".join(line["message"]["content"] for line in content)
    assert joined == answer["message"]["content"]
    assert all(line["done"] is False for line in content)
    assert last["message"]["content"] == ""
    counters = {key: value for key, value in answer.items() if key not in ("message", "created_at")}
    assert {key: last[key] for key in counters} == counters
    assert answer["eval_count"] == 32
    assert isinstance(answer["total_duration"], int)
    assert answer["created_at"].endswith("Z")


async def test_generate_answers_in_its_own_fields(client: httpx.AsyncClient) -> None:
    body = {"model": "sandbox-thinking:latest", "prompt": "hi", "system": "You are kind."}
    answer = await whole(client, body, "/api/generate")
    assert answer["response"].startswith("You said: hi\n")
    assert answer["model"] == "sandbox-thinking:latest"
    assert "message" not in answer
    *content, last = await lines(client, body, "/api/generate")
    assert "".join(line["response"] for line in content) == answer["response"]
    assert "".join(line.get("thinking", "") for line in content) == answer["thinking"]
    assert last["done_reason"] == "stop"


async def test_tool_calls_come_whole_and_end_with_stop(client: httpx.AsyncClient) -> None:
    """Trap 66: Ollama says "stop" where tools were called."""
    body = asking("use all tools", tools=[WEATHER, CLOCK])
    answer = await whole(client, body)
    calls = answer["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"]
    assert isinstance(calls[0]["function"]["arguments"]["city"], str)
    assert answer["done_reason"] == "stop"
    *content, last = await lines(client, body)
    streamed = [call for line in content for call in line["message"]["tool_calls"]]
    assert [call["function"] for call in streamed] == [call["function"] for call in calls]
    assert "tool_calls" not in last["message"]
    body["messages"] += [
        answer["message"],
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
        {"role": "tool", "tool_name": "get_time", "content": "12:30"},
    ]
    quoted = await whole(client, body)
    assert quoted["message"]["content"] == "The tool said: sunny\nThe tool said: 12:30"


async def test_trap_70_a_call_that_was_cut_is_not_told(client: httpx.AsyncClient) -> None:
    body = asking("use the tool", tools=[WEATHER], options={"num_predict": 4})
    answer = await whole(client, body)
    assert "tool_calls" not in answer["message"]
    assert answer["done_reason"] == "length"


async def test_formats_images_stops_and_limits(client: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    shaped = await whole(client, asking("hi", format=schema))
    assert isinstance(json.loads(shaped["message"]["content"])["ok"], bool)
    loose = await whole(client, asking("hi", format="json"))
    assert json.loads(loose["message"]["content"]) == {"you_said": "hi"}
    body = asking("look")
    body["messages"][0]["images"] = [base64.b64encode(PNG).decode(), "AAAA"]
    seen = await whole(client, body)
    assert seen["message"]["content"].startswith(
        "You sent 2 images: image/png (68 bytes), application/octet-stream (3 bytes). You said"
    )
    stopped = await whole(client, asking("one two", options={"stop": ["two"]}))
    assert stopped["message"]["content"] == "You said: one "
    cut = await whole(client, asking("hello there", options={"num_predict": 4}))
    assert cut["message"]["content"] == "You said: hello "
    assert (cut["done_reason"], cut["eval_count"]) == ("length", 4)
    unlimited = await whole(client, asking("hi", options={"num_predict": -1}))
    assert unlimited["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("model", "think", "thinks"),
    [
        ("sandbox-chat", None, False),
        ("sandbox-chat", True, True),
        ("sandbox-chat", "high", True),
        ("sandbox-thinking", None, True),
        ("sandbox-thinking", False, False),
        ("sandbox-small", None, False),
        ("sandbox-small", False, False),
    ],
)
async def test_who_asks_for_thinking_gets_it(
    client: httpx.AsyncClient, model: str, think: bool | str | None, thinks: bool
) -> None:
    body = asking("hi", think=think) | {"model": model}
    answer = await whole(client, body)
    assert ("thinking" in answer["message"]) == thinks
    streamed = "".join(line["message"].get("thinking", "") for line in await lines(client, body))
    assert streamed == answer["message"].get("thinking", "")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize(
    ("keep_alive", "reason"), [(None, "load"), ("5m", "load"), (-1, "load"), (0, "unload")]
)
async def test_traps_42_and_43_an_empty_prompt_only_loads(
    connect: Connect, path: str, keep_alive: str | int | None, reason: str
) -> None:
    sandbox = Sandbox()
    body = {"model": "sandbox-chat", "keep_alive": keep_alive}
    response = await connect(sandbox).post(path, json=body)
    assert (response.json()["done"], response.json()["done_reason"]) == (True, reason)
    assert sandbox.statistics().received == 0


GO_TYPE = "json: cannot unmarshal {} into Go struct field {} of type {}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "model is required"),
        ({"model": 5}, GO_TYPE.format("number", "model", "string")),
        ({"messages": "hi"}, GO_TYPE.format("string", "messages", "[]interface {}")),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            GO_TYPE.format("array", "messages.content", "string"),
        ),
        ({"messages": [{"content": "x"}]}, "messages.role is required"),
        ({"messages": [{"role": "god", "content": "x"}]}, "invalid role: god"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                    }
                ]
            },
            GO_TYPE.format(
                "string", "messages.tool_calls.function.arguments", "map[string]interface {}"
            ),
        ),
        ({"stream": 1}, GO_TYPE.format("number", "stream", "bool")),
        ({"options": {"num_predict": "5"}}, GO_TYPE.format("string", "options.num_predict", "int")),
        ({"format": 5}, "invalid format: 5"),
        ({"think": "weird"}, 'invalid think value: "weird"'),
        ({"keep_alive": "-1"}, 'time: missing unit in duration "-1"'),
        ({"messages": [{"role": "user", "images": ["data:image/png;base64,AA"]}]}, "illegal image"),
    ],
)
async def test_a_bad_field_is_a_400_in_gos_words(
    client: httpx.AsyncClient, change: Json, message: str
) -> None:
    status, told = await refused(client, asking("hi") | change)
    assert status == 400
    assert told.startswith(message)


async def test_other_errors(client: httpx.AsyncClient) -> None:
    assert await refused(client, b"") == (400, "missing request body")
    assert (await refused(client, b"{"))[0] == 400
    assert (await refused(client, b"[]", "/api/show"))[0] == 400
    assert await refused(client, b"", "/api/show") == (400, "missing request body")
    missing = {"model": "none"}
    for path in ("/api/chat", "/api/generate", "/api/show"):
        assert await refused(client, missing, path) == (404, "model 'none' not found")
    assert (await client.get("/api/chat")).status_code == 405
    assert (await client.post("/api/tags")).json() == {"error": "405 method not allowed"}
    assert (await client.get("/api/none")).json() == {"error": "404 page not found"}


async def test_trap_45_models_lack_what_they_lack(client: httpx.AsyncClient) -> None:
    small = asking("hi") | {"model": "sandbox-small"}
    told = await refused(client, small | {"think": True})
    assert told == (400, '"sandbox-small" does not support thinking')
    assert (await refused(client, small | {"tools": [CLOCK]}))[0] == 400
    long = small | {"messages": asking("x" * 40_000)["messages"]}
    assert (await whole(client, long))["prompt_eval_count"] == 8192
    assert (await refused(client, long | {"truncate": False}))[0] == 400


async def test_the_pages_about_models(client: httpx.AsyncClient) -> None:
    """Traps 73 and 74."""
    assert (await client.get("/")).text == "Ollama is running"
    assert (await client.head("/")).status_code == 200
    assert (await client.head("/api/tags")).content == b""
    assert (await client.get("/api/version")).json()["version"]
    models = (await client.get("/api/tags")).json()["models"]
    assert [model["name"] for model in models] == [
        "sandbox-chat:latest",
        "sandbox-thinking:latest",
        "sandbox-small:latest",
    ]
    assert all(len(model["digest"]) == 64 and "modified_at" in model for model in models)
    running = (await client.get("/api/ps")).json()["models"]
    assert running[0]["context_length"] == 200_000
    shown = (await client.post("/api/show", json={"name": "sandbox-small"})).json()
    assert shown["capabilities"] == ["completion"]
    assert shown["model_info"]["sandbox.context_length"] == 8192
    thinking = (await client.post("/api/show", json={"model": "sandbox-chat:latest"})).json()
    assert thinking["capabilities"] == ["completion", "tools", "vision", "thinking"]


async def test_the_key_is_asked_for(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(api_key="k-1")))
    assert await refused(client, asking("hi")) == (401, "unauthorized")
    allowed = await client.get("/api/tags", headers={"authorization": "Bearer k-1"})
    assert allowed.status_code == 200
