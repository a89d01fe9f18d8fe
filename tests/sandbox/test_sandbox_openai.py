"""The sandbox's OpenAI dialect, over memory streams."""

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

PATH = "/v1/chat/completions"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city"],
        },
    },
}
CLOCK: Json = {"type": "function", "function": {"name": "get_time"}}


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(text: str, **more: object) -> Json:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": text}], **more}


async def whole(client: httpx.AsyncClient, body: Json) -> Json:
    response = await client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


async def chunks(client: httpx.AsyncClient, body: Json) -> list[Json]:
    response = await client.post(PATH, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def deltas(stream: list[Json], index: int = 0) -> list[Json]:
    choices = [choice for chunk in stream for choice in chunk["choices"]]
    return [choice["delta"] for choice in choices if choice["index"] == index]


def joined(stream: list[Json], key: str, index: int = 0) -> str:
    return "".join(delta.get(key) or "" for delta in deltas(stream, index))


async def refused(client: httpx.AsyncClient, body: Json | bytes) -> tuple[int, Json]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await client.post(PATH, content=content)
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"]
    return response.status_code, error


async def test_an_answer_echoes_the_text_and_always_says_the_same(
    client: httpx.AsyncClient,
) -> None:
    text = "Grüße, 世界 🌍"
    first = await whole(client, asking(text))
    message = first["choices"][0]["message"]
    assert message["content"].startswith(f"You said: {text}\n")
    assert message["role"] == "assistant"
    assert first["choices"][0]["finish_reason"] == "stop"
    assert len(message["content"].encode()) == 32 * 4
    assert first["usage"]["completion_tokens"] == 32
    assert first["usage"]["total_tokens"] == first["usage"]["prompt_tokens"] + 32
    second = await whole(client, asking(text))
    assert second["choices"] == first["choices"]
    assert second["id"] != first["id"]


async def test_a_stream_says_the_same_as_a_whole_answer(client: httpx.AsyncClient) -> None:
    body = asking("Grüße, 世界 🌍")
    answer = await whole(client, body)
    stream = await chunks(client, {**body, "stream_options": {"include_usage": True}})
    assert joined(stream, "content") == answer["choices"][0]["message"]["content"]
    assert deltas(stream)[0] == {"role": "assistant", "content": "", "refusal": None}
    *content, last, usage = stream
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in content)
    assert all(chunk["usage"] is None for chunk in [*content, last])
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["choices"][0]["delta"] == {}
    assert usage["choices"] == []
    assert usage["usage"] == answer["usage"]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in stream}) == 1


async def test_trap_77_no_usage_chunk_unless_asked(client: httpx.AsyncClient) -> None:
    stream = await chunks(client, asking("hi"))
    assert all(chunk["choices"] and "usage" not in chunk for chunk in stream)


async def test_a_demanded_tool_is_called_with_fitting_arguments(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking("hi", tools=[WEATHER, CLOCK], tool_choice="required"))
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert len(call["id"]) <= 40
    arguments = json.loads(call["function"]["arguments"])
    assert isinstance(arguments["city"], str)
    assert arguments["unit"] in ("c", "f")
    assert 1 <= arguments["days"] <= 7


async def test_the_text_may_ask_for_a_tool_by_name(client: httpx.AsyncClient) -> None:
    body = asking("use the tool get_time", tools=[WEATHER, CLOCK])
    (call,) = (await whole(client, body))["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "get_time", "arguments": "{}"}
    none = await whole(client, {**body, "tool_choice": "none"})
    assert none["choices"][0]["finish_reason"] == "stop"


async def test_a_named_tool_ends_with_stop_as_at_openai(client: httpx.AsyncClient) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    answer = await whole(client, asking("hi", tools=[WEATHER, CLOCK], tool_choice=named))
    choice = answer["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "get_time"
    assert choice["finish_reason"] == "stop"


async def test_all_tools_are_called_at_once_unless_that_is_forbidden(
    client: httpx.AsyncClient,
) -> None:
    body = asking("use all tools", tools=[WEATHER, CLOCK])
    calls = (await whole(client, body))["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"]
    assert len({call["id"] for call in calls}) == 2
    single = await whole(client, {**body, "parallel_tool_calls": False, "tool_choice": "required"})
    assert len(single["choices"][0]["message"]["tool_calls"]) == 1


async def test_streamed_arguments_come_in_fragments(client: httpx.AsyncClient) -> None:
    body = asking("use all tools", tools=[WEATHER, CLOCK])
    calls = (await whole(client, body))["choices"][0]["message"]["tool_calls"]
    stream = await chunks(client, body)
    fragments = [delta["tool_calls"][0] for delta in deltas(stream) if "tool_calls" in delta]
    for index, call in enumerate(calls):
        first, *rest = [one for one in fragments if one["index"] == index]
        assert first["function"] == {"name": call["function"]["name"], "arguments": ""}
        assert first["type"] == "function"
        assert all("id" not in one and "name" not in one["function"] for one in rest)
        text = "".join(one["function"]["arguments"] for one in rest)
        assert text == call["function"]["arguments"]
    assert len([one for one in fragments if one["index"] == 0]) > 3


async def test_a_tool_result_is_quoted(client: httpx.AsyncClient) -> None:
    body = asking("use the tool", tools=[CLOCK])
    message = (await whole(client, body))["choices"][0]["message"]
    body["messages"] += [
        message,
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "12:30 «ü»"},
    ]
    answer = await whole(client, body)
    assert answer["choices"][0]["message"]["content"] == "The tool said: 12:30 «ü»"


async def test_a_result_is_quoted_only_in_the_turn_that_brings_it(
    client: httpx.AsyncClient,
) -> None:
    result = {"role": "tool", "tool_call_id": "a", "content": "12:30"}
    body = tool_talk(calling("a"), result, {"role": "user", "content": "and now?"})
    answer = await whole(client, body)
    assert answer["choices"][0]["message"]["content"].startswith("You said: and now?\n")


async def test_thinking_and_text_share_the_limit(client: httpx.AsyncClient) -> None:
    body = asking("hi", reasoning_effort="medium", max_tokens=20)
    answer = await whole(client, body)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 20
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 16
    assert len(answer["choices"][0]["message"]["content"]) == 4 * 4


async def test_a_schema_gives_json_that_fits(client: httpx.AsyncClient) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = await whole(client, asking("hi", response_format=wanted))
    value = json.loads(answer["choices"][0]["message"]["content"])
    assert isinstance(value["name"], str)
    assert isinstance(value["tags"], list)
    plain = await whole(client, asking("hi", response_format={"type": "json_object"}))
    assert json.loads(plain["choices"][0]["message"]["content"]) == {"you_said": "hi"}


async def test_images_are_told_with_type_and_size(client: httpx.AsyncClient) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    body = {"model": "sandbox-chat", "messages": [{"role": "user", "content": content}]}
    text = (await whole(client, body))["choices"][0]["message"]["content"]
    assert text.startswith(
        "You sent 2 images: image/png (68 bytes), https://example.com/a.png. You said: look\n"
    )


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_max_tokens_cut_the_answer(client: httpx.AsyncClient, limit: str) -> None:
    answer = await whole(client, asking("hello there", **{limit: 4}))
    assert answer["choices"][0]["message"]["content"] == "You said: hello "
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 4


async def test_max_tokens_may_cut_inside_arguments(client: httpx.AsyncClient) -> None:
    body = asking("use the tool", tools=[WEATHER], max_tokens=6)
    choice = (await whole(client, body))["choices"][0]
    assert choice["finish_reason"] == "length"
    text = choice["message"]["tool_calls"][0]["function"]["arguments"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


async def test_stop_sequences_end_the_text(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking("one two three", stop=["three", "two"]))
    assert answer["choices"][0]["message"]["content"] == "You said: one "
    assert answer["choices"][0]["finish_reason"] == "stop"
    single = await whole(client, asking("one two three", stop="three"))
    assert single["choices"][0]["message"]["content"] == "You said: one two "


async def test_be_brief_gives_one_word(client: httpx.AsyncClient) -> None:
    body = asking("hi")
    body["messages"].insert(0, {"role": "developer", "content": "Please be brief."})
    content = (await whole(client, body))["choices"][0]["message"]["content"]
    assert content.endswith(".")
    assert content[:-1].isalpha()


async def test_please_refuse_is_refused(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking("Please refuse this"))
    assert answer["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize(("model", "effort"), [("sandbox-chat", "low"), ("sandbox-thinking", None)])
async def test_thinking_comes_before_the_text(
    client: httpx.AsyncClient, model: str, effort: str | None
) -> None:
    body = asking("hi", reasoning_effort=effort) | {"model": model}
    answer = await whole(client, body)
    thinking = answer["choices"][0]["message"]["reasoning_content"]
    assert thinking.startswith("The user wrote 2 characters.")
    details = answer["usage"]["completion_tokens_details"]
    assert 0 < details["reasoning_tokens"] < answer["usage"]["completion_tokens"]
    stream = await chunks(client, body)
    assert joined(stream, "reasoning_content") == thinking
    kinds = ["content" in delta for delta in deltas(stream)[1:-1]]
    assert kinds == sorted(kinds)


async def test_thinking_can_be_turned_off(client: httpx.AsyncClient) -> None:
    body = asking("hi", reasoning_effort="none") | {"model": "sandbox-thinking"}
    assert "reasoning_content" not in (await whole(client, body))["choices"][0]["message"]


async def test_two_choices_arrive_whole_and_interleaved(client: httpx.AsyncClient) -> None:
    body = asking("hi", n=2)
    answer = await whole(client, body)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert texts[0] != texts[1]
    assert answer["usage"]["completion_tokens"] == 64
    stream = await chunks(client, body)
    assert [joined(stream, "content", index) for index in (0, 1)] == texts
    assert [chunk["choices"][0]["index"] for chunk in stream[:6]] == [0, 1, 0, 1, 0, 1]
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in stream]
    assert finishes.count("stop") == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"model": "\xff"}'])
async def test_what_is_no_json_object_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    status, error = await refused(client, body)
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_json")


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "god", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "assistant"}]},
            "messages[0].content",
            "missing_required_parameter",
        ),
        ({"max_tokens": "5"}, "max_tokens", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 10**9}, "max_tokens", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"n": 0}, "n", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"stop": [1]}, "stop[0]", "invalid_type"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", "invalid_value"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
    ],
)
async def test_a_bad_field_is_a_400_that_names_it(
    client: httpx.AsyncClient, change: Json, param: str, code: str
) -> None:
    status, error = await refused(client, asking("hi") | change)
    assert (status, error["param"], error["code"]) == (400, param, code)
    assert param in error["message"]


def tool_talk(*messages: Json) -> Json:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": "x"}, *messages]}


def calling(identifier: str, arguments: object = "{}") -> Json:
    function = {"name": "get_time", "arguments": arguments}
    call = {"id": identifier, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (tool_talk(calling("a")), "must be followed by tool messages"),
        (tool_talk(calling("a"), {"role": "user", "content": "y"}), "must be followed by tool"),
        (tool_talk({"role": "tool", "tool_call_id": "a", "content": "y"}), "preceding message"),
        (
            tool_talk(calling("a"), {"role": "tool", "tool_call_id": "b", "content": "y"}),
            "preceding message",
        ),
        (
            tool_talk(
                calling("a"),
                {"role": "user", "content": "y"},
                {"role": "tool", "tool_call_id": "a", "content": "too late"},
            ),
            "must be followed by tool messages",
        ),
        (tool_talk(calling("a" * 41)), "maximum length 40"),
        (tool_talk(calling("a", {})), "expected a string, but got an object"),
        (
            tool_talk(
                calling("a"),
                {"role": "tool", "tool_call_id": "a", "content": [{"type": "image_url"}]},
            ),
            "Supported values are: 'text'",
        ),
    ],
)
async def test_tool_calls_and_results_must_match(
    client: httpx.AsyncClient, body: Json, words: str
) -> None:
    status, error = await refused(client, body)
    assert status == 400
    assert words in error["message"]


async def test_models_lack_what_they_lack(client: httpx.AsyncClient) -> None:
    small = asking("hi") | {"model": "sandbox-small"}
    for change in ({"tools": [CLOCK]}, {"reasoning_effort": "low"}):
        status, error = await refused(client, small | change)
        assert (status, error["code"]) == (400, "unsupported_parameter")
    status, error = await refused(client, small | {"messages": asking("x" * 40_000)["messages"]})
    assert (status, error["code"]) == (400, "context_length_exceeded")
    assert "8192 tokens" in error["message"]


async def test_an_unknown_model_is_a_404(client: httpx.AsyncClient) -> None:
    status, error = await refused(client, asking("hi") | {"model": "gpt-9"})
    assert (status, error["code"]) == (404, "model_not_found")


async def test_unknown_paths_and_wrong_methods_speak_the_dialect(
    client: httpx.AsyncClient,
) -> None:
    unknown = await client.get("/v1/nothing")
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, None)
    assert unknown.json()["error"]["message"] == "Invalid URL (GET /v1/nothing)"
    wrong = await client.get(PATH)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_supported")
    assert (await client.post("/v1/models")).status_code == 405


async def test_the_key_is_asked_for(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(api_key="k-1")))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "k-1"}):
        response = await client.post(PATH, json=asking("hi"), headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
    for headers in ({"authorization": "bearer k-1"}, {"x-api-key": "k-1"}):
        assert (await client.get("/v1/models", headers=headers)).status_code == 200


async def test_models_are_listed_and_found(connect: Connect) -> None:
    options = SandboxOptions().changed({"models": ["sandbox-chat", "author/model:free"]})
    client = connect(Sandbox(options))
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["sandbox-chat", "author/model:free"]
    for path in ("/v1/models/author/model:free", "/v1/models/author%2Fmodel%3Afree"):
        assert (await client.get(path)).json()["id"] == "author/model:free"
    missing = await client.get("/models/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_answers_carry_a_request_id_and_a_date(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/completions", json=asking("hi"))
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["date"].endswith("GMT")
    assert response.headers["content-type"] == "application/json"


async def test_without_echo_the_length_is_exact(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(echo=False, reply_tokens=100)))
    answer = await whole(client, asking("a long question " * 50))
    assert len(answer["choices"][0]["message"]["content"]) == 400
    assert answer["usage"]["completion_tokens"] == 100
