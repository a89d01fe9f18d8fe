"""The sandbox's completions, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from forebay.endpoints.sandbox import Sandbox, SandboxOptions

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATH = "/v1/completions"


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


def asking(prompt: object = "hello", **fields: object) -> Json:
    return {"model": "sandbox-chat", "prompt": prompt, "max_tokens": 100, **fields}


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


def texts(answer: Json) -> list[str]:
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(answer["choices"])))
    return [choice["text"] for choice in answer["choices"]]


async def test_what_follows_is_what_a_chat_would_answer(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking())
    (text,) = texts(answer)
    assert text.startswith("You said: hello\n")
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["choices"][0]["logprobs"] is None
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 32, "total_tokens": 34}
    chat = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "hello"}]}
    said = (await client.post("/v1/chat/completions", json=chat)).json()
    assert said["choices"][0]["message"]["content"] == text
    assert texts(await whole(client, asking())) == [text]


async def test_sixteen_tokens_unless_more_are_asked_for(client: httpx.AsyncClient) -> None:
    answer = await whole(client, {"model": "sandbox-chat", "prompt": "hello"})
    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["finish_reason"] == "length"
    nothing = await whole(client, asking(max_tokens=0, echo=True))
    assert texts(nothing) == ["hello"]
    assert nothing["usage"]["completion_tokens"] == 0


async def test_several_prompts_and_answers_come_prompt_by_prompt(
    client: httpx.AsyncClient,
) -> None:
    answer = await whole(client, asking(["one", "two"], n=2))
    heard = texts(answer)
    assert [text.partition("\n")[0] for text in heard] == ["You said: one"] * 2 + [
        "You said: two"
    ] * 2
    assert len(set(heard)) == 4
    assert answer["usage"]["prompt_tokens"] == 2
    assert answer["usage"]["completion_tokens"] == 4 * 32


async def test_a_stream_says_the_same(client: httpx.AsyncClient) -> None:
    body = asking(["Grüße 🌍", "two"], n=2, echo=True, logprobs=1)
    answer = await whole(client, body)
    stream = await chunks(client, {**body, "stream_options": {"include_usage": True}})
    *parts, usage = stream
    assert {chunk["id"] for chunk in stream} == {stream[0]["id"]}
    assert usage["choices"] == []
    assert usage["usage"] == answer["usage"]
    assert all(chunk["usage"] is None for chunk in parts)
    for index, wanted in enumerate(answer["choices"]):
        own = [c for chunk in parts for c in chunk["choices"] if c["index"] == index]
        assert "".join(choice["text"] for choice in own) == wanted["text"]
        assert [choice["finish_reason"] for choice in own] == [None] * (len(own) - 1) + ["stop"]
        for name, told in wanted["logprobs"].items():
            assert [one for choice in own for one in choice["logprobs"][name]] == told, name


async def test_trap_77_no_usage_chunk_unless_asked(client: httpx.AsyncClient) -> None:
    for chunk in await chunks(client, asking()):
        assert "usage" not in chunk
        assert len(chunk["choices"]) == 1


async def test_logprobs_are_of_each_token(client: httpx.AsyncClient) -> None:
    answer = await whole(client, asking(logprobs=3, echo=True))
    (choice,) = answer["choices"]
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"]
    assert told["text_offset"] == [
        len("".join(told["tokens"][:at])) for at in range(len(told["tokens"]))
    ]
    assert (told["token_logprobs"][0], told["top_logprobs"][0]) == (None, None)
    for token, own, likely in zip(
        told["tokens"][1:], told["token_logprobs"][1:], told["top_logprobs"][1:], strict=True
    ):
        assert own <= 0
        assert likely[token] == own == max(likely.values())
        assert len(likely) <= 3
    bare = await whole(client, asking(logprobs=0))
    assert bare["choices"][0]["logprobs"]["top_logprobs"] is None


async def test_stops_limits_refusals_and_tokens(client: httpx.AsyncClient) -> None:
    stopped = await whole(client, asking("one STOP two", stop=["HALT", "STOP"]))
    assert texts(stopped) == ["You said: one "]
    short = await whole(client, asking(max_tokens=3))
    assert short["choices"][0]["finish_reason"] == "length"
    refused = await whole(client, asking("please refuse"))
    assert refused["choices"][0]["finish_reason"] == "content_filter"
    tokens = await whole(client, asking([[1, 2, 3], [4]], suffix="end"))
    assert tokens["usage"]["prompt_tokens"] == 4 + 2 * 1
    assert len(texts(tokens)) == 2


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ["a", 5]}, "prompt[1]", "invalid_type"),
        ({"prompt": {}}, "prompt", "invalid_type"),
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"max_tokens": -1}, "max_tokens", "invalid_value"),
        ({"max_tokens": 64_001}, "max_tokens", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": 3, "best_of": 2}, "best_of", "invalid_value"),
        ({"best_of": 21}, "best_of", "invalid_value"),
        ({"best_of": 2, "stream": True}, "best_of", "invalid_value"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"echo": 1}, "echo", "invalid_type"),
        ({"suffix": 1}, "suffix", "invalid_type"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"prompt": "x" * 800_000}, "prompt", "context_length_exceeded"),
    ],
)
async def test_what_is_wrong_is_refused_and_named(
    client: httpx.AsyncClient, fields: Json, param: str, code: str
) -> None:
    response = await client.post(PATH, json=asking(**fields))
    assert response.status_code == (404 if code == "model_not_found" else 400), response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code)


async def test_limits_and_faults_are_those_of_chats(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_minute=60, burst=3, token_interval_ms=100))
    client = connect(sandbox)
    began = trio.current_time()
    await chunks(client, asking(max_tokens=11))
    assert trio.current_time() - began == pytest.approx(1.0)
    assert (await client.post(PATH, json=asking("[[fault: 529]]"))).status_code == 529
    broken = await client.post(PATH, json=asking("[[fault: error-midstream=2]]", stream=True))
    frames = broken.text.split("\n\n")
    assert "error" in json.loads(frames[2].removeprefix("data: "))
    assert frames[3:] == [""]
    # One request left, and one that a second has brought back.
    asked = [await client.post(PATH, json=asking()) for _ in range(3)]
    assert [answer.status_code for answer in asked] == [200, 200, 429]
    assert sandbox.statistics().in_flight == 0
    assert (await client.get(PATH)).status_code == 405
