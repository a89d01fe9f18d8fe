"""The sandbox's Anthropic dialect, over memory streams."""

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

OLD = {"anthropic-version": "2023-06-01"}
NEW = {"anthropic-version": "2026-10-21"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
WEATHER: Json = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "exact": {"type": "boolean"}},
    },
}
CLOCK: Json = {"name": "get_time", "input_schema": {"type": "object"}}


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(text: str, **more: object) -> Json:
    return talking({"role": "user", "content": text}, **more)


def talking(*messages: Json, **more: object) -> Json:
    return {"model": "sandbox-chat", "max_tokens": 2000, "messages": list(messages), **more}


async def whole(client: httpx.AsyncClient, body: Json) -> Json:
    response = await client.post("/v1/messages", json=body, headers=OLD)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


async def events(client: httpx.AsyncClient, body: Json) -> list[Json]:
    response = await client.post(
        "/v1/messages?beta=true", json=body | {"stream": True}, headers=OLD
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, rest = response.text.split("\n\n")
    assert rest == ""
    found: list[Json] = []
    for frame in frames:
        name, _, data = frame.partition("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


async def refused(
    client: httpx.AsyncClient, body: Json | bytes, headers: dict[str, str] = OLD
) -> tuple[int, str, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await client.post("/v1/messages", content=content, headers=headers)
    answer = response.json()
    assert set(answer) == {"type", "error", "request_id"}
    assert answer["type"] == "error"
    assert set(answer["error"]) == {"type", "message"}
    return response.status_code, answer["error"]["type"], answer["error"]["message"]


def assembled(stream: list[Json]) -> list[Json]:
    """The blocks of a stream, put together; checks their order on the way."""
    blocks: list[Json] = []
    fragments = ""
    for event in stream:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append(dict(event["content_block"]))
                fragments = ""
            case "content_block_delta":
                assert event["index"] == len(blocks) - 1
                delta = event["delta"]
                match delta["type"]:
                    case "text_delta":
                        blocks[-1]["text"] += delta["text"]
                    case "thinking_delta":
                        blocks[-1]["thinking"] += delta["thinking"]
                    case "signature_delta":
                        blocks[-1]["signature"] += delta["signature"]
                    case "input_json_delta":
                        fragments += delta["partial_json"]
            case "content_block_stop":
                assert event["index"] == len(blocks) - 1
                if blocks[-1]["type"] == "tool_use":
                    blocks[-1]["input"] = json.loads(fragments or "{}")
    return blocks


async def test_an_answer_echoes_the_text(client: httpx.AsyncClient) -> None:
    text = "Grüße, 世界 🌍"
    answer = await whole(client, asking(text))
    assert answer["content"][0]["text"].startswith(f"You said: {text}\n")
    assert (answer["type"], answer["role"]) == ("message", "assistant")
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    assert answer["usage"]["output_tokens"] == 32
    assert answer["usage"]["cache_read_input_tokens"] == 0


async def test_a_stream_says_the_same_as_a_whole_answer(client: httpx.AsyncClient) -> None:
    body = asking("Grüße, 世界 🌍", thinking={"type": "adaptive"})
    answer = await whole(client, body)
    stream = await events(client, body)
    assert assembled(stream) == answer["content"]
    assert [block["type"] for block in answer["content"]] == ["thinking", "text"]
    first, second, *_, delta, last = stream
    assert first["type"] == "message_start"
    assert first["message"]["content"] == []
    assert first["message"]["stop_reason"] is None
    assert first["message"]["usage"]["input_tokens"] == answer["usage"]["input_tokens"]
    assert second == {"type": "ping"}
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == {"output_tokens": answer["usage"]["output_tokens"]}
    assert last == {"type": "message_stop"}


async def test_the_same_talk_costs_the_same_in_every_dialect(client: httpx.AsyncClient) -> None:
    body = asking("Grüße", system="You are kind.")
    messages = [{"role": "system", "content": "You are kind."}, *body["messages"]]
    other = {"model": "sandbox-chat", "messages": messages}
    openai = (await client.post("/v1/chat/completions", json=other)).json()
    ollama = (await client.post("/api/chat", json={**other, "stream": False})).json()
    anthropic = await whole(client, body)
    assert (
        anthropic["usage"]["input_tokens"]
        == openai["usage"]["prompt_tokens"]
        == ollama["prompt_eval_count"]
        == 5
    )
    assert (
        anthropic["content"][0]["text"]
        == openai["choices"][0]["message"]["content"]
        == ollama["message"]["content"]
    )


async def test_tools_are_called_and_their_results_quoted(client: httpx.AsyncClient) -> None:
    body = asking("use all tools", tools=[WEATHER, CLOCK])
    answer = await whole(client, body)
    weather, clock = answer["content"]
    assert answer["stop_reason"] == "tool_use"
    assert (weather["name"], clock["name"]) == ("get_weather", "get_time")
    assert isinstance(weather["input"]["city"], str)
    assert isinstance(weather["input"]["exact"], bool)
    stream = await events(client, body)
    assert [block["input"] for block in assembled(stream)] == [weather["input"], {}]
    results = [
        {"type": "tool_result", "tool_use_id": weather["id"], "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": clock["id"],
            "content": [{"type": "text", "text": "12:30"}],
        },
    ]
    body["messages"] += [
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": results},
    ]
    quoted = await whole(client, body)
    assert quoted["content"][0]["text"] == "The tool said: sunny\nThe tool said: 12:30"


async def test_trap_82_a_tool_without_arguments_streams_none(client: httpx.AsyncClient) -> None:
    stream = await events(client, asking("use the tool", tools=[CLOCK]))
    deltas = [event["delta"] for event in stream if event["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": ""}]


async def test_tool_choices(client: httpx.AsyncClient) -> None:
    body = asking("hi, use all tools", tools=[WEATHER, CLOCK])
    named = await whole(client, body | {"tool_choice": {"type": "tool", "name": "get_time"}})
    assert [block["name"] for block in named["content"]] == ["get_time"]
    single = {"type": "any", "disable_parallel_tool_use": True}
    assert len((await whole(client, body | {"tool_choice": single}))["content"]) == 1
    none = await whole(client, body | {"tool_choice": {"type": "none"}})
    assert none["content"][0]["type"] == "text"


async def test_thinking_is_signed_and_the_signature_is_checked(client: httpx.AsyncClient) -> None:
    """Traps 52 and 53: blocks come back as they were, and only ours are taken."""
    body = asking("use the tool", tools=[CLOCK], thinking={"type": "adaptive"})
    answer = await whole(client, body)
    thinking, use = answer["content"]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "12:30"}
    after = {"role": "user", "content": [result]}
    question = body["messages"][0]

    def replaying(*blocks: Json) -> Json:
        return body | {"messages": [question, {"role": "assistant", "content": blocks}, after]}

    assert (await whole(client, replaying(thinking, use)))["stop_reason"] == "end_turn"
    for changed in ({"thinking": "other"}, {"signature": "EqQB"}, {"signature": "not base64!"}):
        status, kind, message = await refused(client, replaying(thinking | changed, use))
        assert (status, kind) == (400, "invalid_request_error")
        assert message == "messages.1.content.0: Invalid `signature` in `thinking` block"


async def test_a_tool_loop_without_its_thinking_is_refused_with_a_budget_only(
    client: httpx.AsyncClient,
) -> None:
    """Trap 54: adaptive thinking bears that a client could not carry the blocks."""
    budget = {"type": "enabled", "budget_tokens": 1024}
    body = asking("use the tool", tools=[CLOCK])
    (use,) = (await whole(client, body))["content"]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "12:30"}
    messages = [
        body["messages"][0],
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    lost = body | {"messages": messages}
    _, _, message = await refused(client, lost | {"thinking": budget})
    assert message.startswith("messages: Expected `thinking`")
    thought = await whole(client, lost | {"thinking": {"type": "adaptive"}})
    assert [block["type"] for block in thought["content"]] == ["thinking", "text"]


async def test_adaptive_thinking_bears_forced_tools(client: httpx.AsyncClient) -> None:
    body = asking("hi", tools=[CLOCK], tool_choice={"type": "any"}, thinking={"type": "adaptive"})
    answer = await whole(client, body)
    assert [block["type"] for block in answer["content"]] == ["thinking", "tool_use"]


async def test_thinking_can_be_omitted_and_still_comes_back(client: httpx.AsyncClient) -> None:
    body = asking("hi", thinking={"type": "adaptive", "display": "omitted"})
    answer = await whole(client, body)
    thinking, text = answer["content"]
    assert thinking["thinking"] == ""
    assert assembled(await events(client, body)) == [thinking, text]
    again = talking(
        body["messages"][0],
        {"role": "assistant", "content": [thinking, text]},
        {"role": "user", "content": "go on"},
    )
    assert (await whole(client, again))["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("change", "thinks"),
    [
        ({}, False),
        ({"output_config": {"effort": "low"}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"model": "sandbox-thinking"}, True),
        ({"model": "sandbox-thinking", "thinking": {"type": "disabled"}}, False),
    ],
)
async def test_who_asks_for_thinking_gets_it(
    client: httpx.AsyncClient, change: Json, thinks: bool
) -> None:
    answer = await whole(client, asking("hi") | change)
    assert (answer["content"][0]["type"] == "thinking") == thinks


async def test_a_schema_gives_json_that_fits(client: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    answer = await whole(client, asking("hi", output_config=wanted))
    assert json.loads(answer["content"][0]["text"])["n"] <= 3


def image(media_type: str, data: bytes = PNG) -> Json:
    encoded = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": media_type, "data": encoded}
    return {"type": "image", "source": source}


async def test_images_are_told_and_must_be_what_they_say(client: httpx.AsyncClient) -> None:
    """Trap 41: a media type that does not fit the bytes is refused."""
    text = {"type": "text", "text": "look"}
    right = {"role": "user", "content": [image("image/png"), text]}
    answer = await whole(client, talking(right))
    assert answer["content"][0]["text"].startswith("You sent 1 image: image/png (68 bytes). You")
    wrong = {"role": "user", "content": [image("image/jpeg"), text]}
    _, _, message = await refused(client, talking(wrong))
    assert message.endswith("appears to be a image/png image")


async def test_limits_and_stop_sequences_end_the_text(client: httpx.AsyncClient) -> None:
    cut = await whole(client, asking("hello there", max_tokens=4))
    assert (cut["content"][0]["text"], cut["stop_reason"]) == ("You said: hello ", "max_tokens")
    stopped = await whole(client, asking("one two", stop_sequences=["zzz", "two"]))
    assert stopped["content"][0]["text"] == "You said: one "
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "two")
    warm = await whole(client, asking("hi", max_tokens=0))
    assert (warm["content"], warm["usage"]["output_tokens"]) == ([], 0)


async def test_refusals_and_briefness(client: httpx.AsyncClient) -> None:
    refusal = await whole(client, asking("please refuse"))
    assert refusal["stop_reason"] == "refusal"
    assert refusal["stop_details"]["type"] == "refusal"
    system = [{"type": "text", "text": "Be brief!"}]
    brief = await whole(client, asking("hi", system=system))
    assert brief["content"][0]["text"][:-1].isalpha()


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
async def test_what_is_no_json_object_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    status, kind, _ = await refused(client, body)
    assert (status, kind) == (400, "invalid_request_error")


USE = {"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:30"}
QUESTION = {"role": "user", "content": "hi"}


def turns(*contents: object) -> Json:
    """A talk that begins with a question and alternates."""
    roles = ("assistant", "user")
    messages = [{"role": roles[at % 2], "content": one} for at, one in enumerate(contents)]
    return {"messages": [QUESTION, *messages]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [5]}, "messages.0: Input should be a valid dictionary"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 10**6}, "max_tokens: 1000000 > 64000"),
        ({"temperature": 2}, "temperature: range: 0..1"),
        ({"stop_sequences": [" "]}, "stop_sequences: each"),
        ({"system": 5}, "system: Input should be a valid list"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema: Field required"),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "tools.0.input_schema.type: Input"),
        ({"tools": [CLOCK | {"name": "get.time"}]}, "tools.0.name: String should match pattern"),
        ({"tools": [CLOCK | {"name": "x" * 129}]}, "tools.0.name: String should match pattern"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified"),
        (
            {"tools": [CLOCK], "tool_choice": {"type": "tool", "name": "nope"}},
            "tool_choice.name: Tool 'nope' not found",
        ),
        (
            {
                "tools": [CLOCK],
                "tool_choice": {"type": "any"},
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens: Input"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages.0: first message must"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content.0: text content"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "messages.0.content.0: text content"),
        (turns([USE]), "messages: `tool_use` ids were found without `tool_result`"),
        (turns([USE], "no result"), "messages: `tool_use` ids were found without"),
        (
            turns([USE], [{"type": "text", "text": "first"}, RESULT]),
            "messages: `tool_use` ids were found without",
        ),
        (turns("hi", [RESULT]), "messages.2.content.0: unexpected `tool_use_id`"),
        (turns([USE], [RESULT, RESULT]), "messages.2.content.1: each tool_use must have a single"),
        (turns([USE | {"id": "functions.x:0"}]), "messages.1.content.0.id: String should match"),
        (turns([USE | {"input": "{}"}]), "messages.1.content.0.input: Input should be a valid d"),
    ],
)
async def test_a_broken_rule_is_a_400_that_says_where(
    client: httpx.AsyncClient, change: Json, message: str
) -> None:
    status, kind, told = await refused(client, asking("hi") | change)
    assert (status, kind) == (400, "invalid_request_error")
    assert told.startswith(message)


async def test_all_text_of_the_last_turn_is_echoed(client: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": text} for text in ("one", "two")]
    again = {"role": "user", "content": "three"}
    answer = await whole(client, talking(QUESTION, {"role": "user", "content": parts}, again))
    assert answer["content"][0]["text"].startswith("You said: hi\none\ntwo\nthree\n")


async def test_a_result_split_over_two_messages_of_one_turn_is_fine(
    client: httpx.AsyncClient,
) -> None:
    body = turns([USE, USE | {"id": "toolu_2"}], [RESULT])
    second = {"type": "tool_result", "tool_use_id": "toolu_2"}
    body["messages"].append({"role": "user", "content": [second, {"type": "text", "text": "ok"}]})
    answer = await whole(client, asking("hi") | body)
    assert answer["content"][0]["text"] == "The tool said: 12:30\nThe tool said: "


async def test_the_version_is_asked_for_and_trap_7_rules_out_sampling(
    client: httpx.AsyncClient,
) -> None:
    _, _, message = await refused(client, asking("hi"), {})
    assert message == "anthropic-version: header is required"
    _, _, message = await refused(client, asking("hi", temperature=1), NEW)
    assert message.startswith("temperature: not supported")
    assert (await whole(client, asking("hi", temperature=1)))["stop_reason"] == "end_turn"


async def test_models_lack_what_they_lack(client: httpx.AsyncClient) -> None:
    small = asking("hi") | {"model": "sandbox-small"}
    for change in (
        {"tools": [CLOCK]},
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"effort": "low"}},
        {"messages": [{"role": "user", "content": [image("image/png")]}]},
    ):
        status, _, message = await refused(client, small | change)
        assert status == 400
        assert message.startswith("sandbox-small does not support")
    _, _, message = await refused(client, small | {"messages": asking("x" * 40_000)["messages"]})
    assert message == "prompt is too long: 10000 tokens > 8192 maximum"


async def test_errors_have_the_dialects_shape_everywhere(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(api_key="k-1")))
    status, kind, _ = await refused(client, asking("hi"))
    assert (status, kind) == (401, "authentication_error")
    key = OLD | {"x-api-key": "k-1"}
    status, kind, message = await refused(client, asking("hi") | {"model": "none"}, key)
    assert (status, kind, message) == (404, "not_found_error", "model: none")
    for method, path, status, kind in (
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/models/none", 404, "not_found_error"),
    ):
        response = await client.request(method, path, headers=key)
        assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


async def test_trap_1_the_version_header_decides_the_shape_of_models(
    client: httpx.AsyncClient,
) -> None:
    listed = (await client.get("/v1/models", headers=OLD)).json()
    assert [model["type"] for model in listed["data"]] == ["model"] * 3
    assert (listed["has_more"], listed["first_id"]) == (False, "sandbox-chat")
    assert listed["last_id"] == "sandbox-small"
    one = (await client.get("/v1/models/sandbox-small", headers=OLD)).json()
    assert one == listed["data"][-1]
    assert one["capabilities"]["thinking"] == {"supported": False}


async def test_answers_carry_a_request_id(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json=asking("hi"), headers=OLD)
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["anthropic-organization-id"]
