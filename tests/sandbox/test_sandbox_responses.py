"""The sandbox's Responses API, over memory streams."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from responses_client import check_response, check_stream

from forebay.endpoints.sandbox import Sandbox, SandboxOptions

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATH = "/v1/responses"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
TOOLS: list[Json] = [
    {
        "type": "function",
        "name": name,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
        "strict": True,
    }
    for name in ("get_weather", "get_time")
]
SECRETS = ["reasoning.encrypted_content"]


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(said: object, **more: object) -> Json:
    return {"model": "sandbox-chat", "input": said, **more}


async def whole(client: httpx.AsyncClient, body: Json) -> Json:
    response = await client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    check_response(answer)
    return answer


async def events(client: httpx.AsyncClient, body: Json) -> list[Json]:
    response = await client.post(PATH, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, rest = response.text.split("\n\n")
    assert rest == ""
    lines = [frame.split("\n") for frame in frames]
    return check_stream(
        [(name.removeprefix("event: "), data.removeprefix("data: ")) for name, data in lines]
    )


async def refusal(client: httpx.AsyncClient, body: Json) -> Json:
    response = await client.post(PATH, json=body)
    assert response.status_code == 400, response.text
    error: Json = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return error


def call(call_id: str = "call_1") -> Json:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def result(call_id: str = "call_1", output: object = "rain") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


# Answers


async def test_a_plain_answer_and_its_stream_say_the_same(client: httpx.AsyncClient) -> None:
    body = asking("hello", instructions="Be kind.", metadata={"a": "b"}, temperature=0.5)
    answer = await whole(client, body)
    assert answer["status"] == "completed"
    (message,) = answer["output"]
    assert message["content"][0]["text"].startswith("You said: hello")
    assert (answer["instructions"], answer["metadata"]) == ("Be kind.", {"a": "b"})
    assert answer["store"] is True
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]

    streamed = await events(client, body)
    assert streamed[-1]["type"] == "response.completed"
    (item,) = streamed[-1]["response"]["output"]
    assert item["content"] == message["content"]
    assert [event["type"] for event in streamed[:5]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]


async def test_tools_are_called_side_by_side(client: httpx.AsyncClient) -> None:
    body = asking("use all tools", tools=TOOLS)
    answer = await whole(client, body)
    assert [item["name"] for item in answer["output"]] == ["get_weather", "get_time"]
    assert len({item["call_id"] for item in answer["output"]}) == 2
    assert all(json.loads(item["arguments"])["city"] for item in answer["output"])
    streamed = (await events(client, body))[-1]["response"]["output"]
    assert [item["arguments"] for item in streamed] == [
        item["arguments"] for item in answer["output"]
    ]
    one = await whole(client, asking("hi", tools=TOOLS, tool_choice="required"))
    assert len(one["output"]) == 1
    named = {"type": "function", "name": "get_time"}
    other = await whole(client, asking("hi", tools=TOOLS, tool_choice=named))
    assert [item["name"] for item in other["output"]] == ["get_time"]
    single = asking("use all tools", tools=TOOLS, parallel_tool_calls=False)
    assert len((await whole(client, single))["output"]) == 1


async def test_results_are_quoted(client: httpx.AsyncClient) -> None:
    parts = [{"type": "input_text", "text": "sun"}]
    conversation = [
        {"role": "user", "content": "use the tool"},
        call("call_1"),
        call("call_2"),
        result("call_2"),
        result("call_1", parts),
    ]
    answer = await whole(client, asking(conversation))
    assert answer["output"][0]["content"][0]["text"] == "The tool said: rain\nThe tool said: sun"


async def test_reasoning_is_shown_and_encrypted_only_where_asked(
    client: httpx.AsyncClient,
) -> None:
    hidden = (await whole(client, asking("hi", reasoning={"effort": "low"})))["output"][0]
    assert (hidden["type"], hidden["summary"]) == ("reasoning", [])
    assert "encrypted_content" not in hidden
    body = asking("hi", reasoning={"effort": "high", "summary": "auto"}, include=SECRETS)
    answer = await whole(client, body)
    thought = answer["output"][0]
    assert thought["summary"][0]["text"].startswith("The user wrote 2 characters.")
    assert answer["usage"]["output_tokens_details"]["reasoning_tokens"] == 32
    streamed = (await events(client, body))[-1]["response"]["output"][0]
    assert streamed["encrypted_content"] == thought["encrypted_content"]
    back = [{"role": "user", "content": "hi"}, *answer["output"], {"role": "user", "content": "b"}]
    assert (await whole(client, asking(back)))["status"] == "completed"


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_json_is_answered_in_its_format(client: httpx.AsyncClient, kind: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    given = {"name": "city", "schema": schema, "strict": True} if kind == "json_schema" else {}
    answer = await whole(client, asking("hi", text={"format": {"type": kind, **given}}))
    said = json.loads(answer["output"][0]["content"][0]["text"])
    assert list(said) == (["name"] if given else ["you_said"])
    assert answer["text"]["format"]["type"] == kind


async def test_refusals_are_parts_of_their_own(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking("please refuse"))
    assert answer["output"][0]["content"] == [
        {"type": "refusal", "refusal": "I can't help with that."}
    ]
    streamed = await events(client, asking("please refuse"))
    assert "response.refusal.delta" in [event["type"] for event in streamed]


async def test_the_limit_makes_an_answer_incomplete(client: httpx.AsyncClient) -> None:
    body = asking("hello", max_output_tokens=16)
    for answer in (await whole(client, body), (await events(client, body))[-1]["response"]):
        assert answer["status"] == "incomplete"
        assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
        assert answer["output"][-1]["status"] == "incomplete"
        assert answer["usage"]["output_tokens"] == 16


async def test_images_are_told_of(client: httpx.AsyncClient) -> None:
    content = [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
    ]
    answer = await whole(client, asking([{"role": "user", "content": content}]))
    assert answer["output"][0]["content"][0]["text"].startswith(
        "You sent 1 image: image/png (68 bytes)."
    )


async def test_tokens_are_counted(client: httpx.AsyncClient) -> None:
    async def count(**fields: object) -> httpx.Response:
        return await client.post(f"{PATH}/input_tokens", json={"model": "sandbox-chat", **fields})

    answer = await count(input="x" * 400, instructions="y" * 40)
    assert answer.json() == {"object": "response.input_tokens", "input_tokens": 110}
    assert (await count(input="x", temperature=1)).json()["error"]["code"] == "unknown_parameter"


# Faults


async def test_an_error_in_the_stream_is_an_event(client: httpx.AsyncClient) -> None:
    body = asking("hello [[fault: error-midstream=3]]", stream=True)
    response = await client.post(PATH, json=body)
    *_, last, rest = response.text.split("\n\n")
    assert rest == ""
    name, data = last.split("\n")
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert error["type"] == "error"
    assert error["error"]["code"] == "overloaded"
    assert response.text.count("response.output_text.delta\ndata") == 3


# Requests


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_type"),
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"stop": ["a"]}, "stop", "unknown_parameter"),
        ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
        ({"max_output_tokens": 10**6}, "max_output_tokens", "integer_above_max_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"include": ["everything"]}, "include[0]", "invalid_value"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity", "invalid_value"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            "text.format.name",
            "missing_required_parameter",
        ),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "never"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", "invalid_value"),
        (
            {"previous_response_id": "resp_1"},
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({"background": True, "store": False}, "store", "invalid_value"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, fields: Json, param: str, code: str
) -> None:
    error = await refusal(client, {**asking("hi"), **fields})
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"role": "robot", "content": "a"}], "Invalid value: 'robot'"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], "'text'. Supported"),
        (
            [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}],
            "'output_text'. Supported",
        ),
        (
            [{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}],
            "'input_text'. Supported",
        ),
        ([{"type": "message", "id": "x", "role": "user", "content": "a"}], "begins with 'msg'"),
        ([call()], "No tool output found for function call call_1."),
        ([result()], "No tool call found for function call output with call_id call_1."),
        ([call("c" * 65)], "string too long"),
        ([call("")], "empty string"),
        ([{**call(), "name": "a b"}], "does not match pattern"),
        ([{**call(), "id": "call_1"}, result()], "begins with 'fc'"),
        ([{"type": "item_reference", "id": "msg_1"}], "Item with id 'msg_1' not found."),
        ([{"type": "reasoning", "id": "rs_1", "summary": []}], "Item with id 'rs_1' not found."),
        (
            [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "a"}],
            "could not be verified",
        ),
        (
            [{"type": "reasoning", "id": f"rs_{'0' * 27}", "summary": []}],
            "without its required following item",
        ),
        (
            [
                {"type": "reasoning", "id": f"rs_{'0' * 27}", "summary": []},
                {"role": "user", "content": "a"},
            ],
            "without its required following item",
        ),
        ([{"type": "telepathy"}], "Invalid value: 'telepathy'"),
    ],
)
async def test_a_wrong_item_is_refused(
    client: httpx.AsyncClient, items: list[Json], message: str
) -> None:
    assert message in (await refusal(client, asking(items)))["message"]


async def test_models_have_their_limits(client: httpx.AsyncClient, connect: Connect) -> None:
    small = {"model": "sandbox-small"}
    assert (await refusal(client, {**asking("hi", tools=TOOLS), **small}))["param"] == "tools"
    long = await refusal(client, {**asking("x" * 40_000), **small})
    assert long["code"] == "context_length_exceeded"
    image = [{"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}]
    assert (await refusal(client, {**asking(image), **small}))["code"] == "unsupported_parameter"
    unknown = await client.post(PATH, json={**asking("hi"), "model": "no-such"})
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "model_not_found"
    busy = connect(Sandbox(SandboxOptions(requests_per_minute=1, burst=1)))
    await whole(busy, asking("hi"))
    assert (await busy.post(PATH, json=asking("hi"))).status_code == 429
