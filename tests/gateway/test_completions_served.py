"""Completions of several texts, in virtual time: one call where a target has the API, else joined
of one answer each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

Json = dict[str, Any]

PROVIDERS: Mapping[str, Mapping[str, object]] = {
    "completions": {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
    "openai": {"kind": "openai", "base_url": "http://up.test/v1", "api_key": "k"},
    "anthropic": {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k"},
    "ollama": {"kind": "ollama", "hosts": ["http://up.test"]},
}
"""The first has the API for the sandbox's models, the others only chat."""
CHAT_ONLY = ("openai", "anthropic", "ollama")
over_chats = pytest.mark.parametrize("upstream", CHAT_ONLY)
over_all = pytest.mark.parametrize("upstream", PROVIDERS)


def over(upstream: str, **settings: object) -> dict[str, object]:
    config = one_provider()
    config["providers"] = {"up": {**PROVIDERS[upstream], **settings}}
    return config


def kept() -> dict[str, SandboxOptions]:
    return {"up": SandboxOptions(keep_requests=100)}


def asking(prompt: object, **fields: object) -> Json:
    return {"model": "fast", "prompt": prompt, "max_tokens": 100, **fields}


async def complete(
    world: World, prompt: object, headers: Mapping[str, str] | None = None, **fields: object
) -> httpx.Response:
    url = f"{GATEWAY}/v1/completions"
    return await world.client.post(url, json=asking(prompt, **fields), headers=headers)


async def direct(world: World, prompt: object, **fields: object) -> Json:
    """What the sandbox itself says."""
    body = {**asking(prompt, **fields), "model": "sandbox-chat"}
    answer: Json = (await world.client.post("http://up.test/v1/completions", json=body)).json()
    return answer


def texts(answer: Json) -> list[str]:
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(answer["choices"])))
    return [choice["text"] for choice in answer["choices"]]


class Streamed:
    """A stream, put together again."""

    def __init__(self, body: str) -> None:
        frames = [frame for frame in body.split("\n\n") if frame and not frame.startswith(":")]
        assert frames.pop() == "data: [DONE]"
        self.chunks: list[Json] = [json.loads(frame.removeprefix("data: ")) for frame in frames]
        self.texts: dict[int, str] = {}
        self.ends: dict[int, str] = {}
        for chunk in self.chunks:
            assert chunk["object"] == "text_completion"
            for choice in chunk["choices"]:
                index = choice["index"]
                assert index not in self.ends, "nothing follows the end of a choice"
                self.texts[index] = self.texts.get(index, "") + choice["text"]
                if choice["finish_reason"] is not None:
                    self.ends[index] = choice["finish_reason"]
        assert len({chunk["id"] for chunk in self.chunks}) == 1


def called(world: World) -> list[str]:
    """Where the gateway's calls came."""
    return [
        request.path
        for request in world.sandbox.requests
        if request.method == "POST"
        and request.headers["user-agent"] == "forebay"
        and request.path != "/api/show"
    ]


@over_all
async def test_several_prompts_are_answered_in_their_order(
    upstream: str, autojump_clock: MockClock
) -> None:
    prompts = ["one", "two two", "Grüße 🌍"]
    async with open_world(over(upstream), sandboxes=kept()) as world:
        answer = await complete(world, prompts)
        assert answer.status_code == 200, answer.text
        calls = called(world)
        body = answer.json()
        before = world.sandbox.statistics()
        assert body["usage"] == {
            **body["usage"],
            "prompt_tokens": before.input_tokens,
            "completion_tokens": before.output_tokens,
        }
        assert texts(body) == texts(await direct(world, prompts))
        assert body["object"] == "text_completion"
        assert body["id"].startswith("cmpl-")
        assert {choice["finish_reason"] for choice in body["choices"]} == {"stop"}
        if upstream == "completions":
            assert calls == ["/v1/completions"]
            assert answer.headers["x-forebay-attempts"] == "1"
        else:
            assert len(calls) == 3
            assert "/v1/completions" not in calls
            assert answer.headers["x-forebay-attempts"] == "3"
            assert body["model"] == "fast"
        assert answer.headers["x-forebay-target"].startswith("up/sandbox-chat")
        assert await world.is_at_rest()


@over_all
async def test_several_prompts_are_streamed_together(
    upstream: str, autojump_clock: MockClock
) -> None:
    prompts = ["one", "two two", "Grüße 🌍"]
    async with open_world(over(upstream)) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"token_interval_ms": 100}))
        answer = await complete(world, prompts, stream=True, stream_options={"include_usage": True})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        used = world.sandbox.statistics()
        streamed = Streamed(answer.text)
        whole = await direct(world, prompts)
        assert [streamed.texts[index] for index in range(3)] == texts(whole)
        assert streamed.ends == {0: "stop", 1: "stop", 2: "stop"}
        *chunks, last = streamed.chunks
        assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks)
        assert last["choices"] == []
        assert last["usage"]["prompt_tokens"] == used.input_tokens
        assert last["usage"]["completion_tokens"] == used.output_tokens
        # They run side by side: the first chunks are of all three.
        assert {chunk["choices"][0]["index"] for chunk in chunks[:6]} == {0, 1, 2}
        assert await world.is_at_rest()


async def test_trap_77_no_usage_chunk_unless_asked(autojump_clock: MockClock) -> None:
    async with open_world(over("anthropic")) as world:
        streamed = Streamed((await complete(world, ["one", "two"], stream=True)).text)
        assert all(chunk["choices"] and "usage" not in chunk for chunk in streamed.chunks)


async def test_choices_come_prompt_by_prompt(autojump_clock: MockClock) -> None:
    async with open_world(over("ollama"), sandboxes=kept()) as world:
        answer = await complete(world, ["one", "two"], n=2, seed=7)
        assert answer.status_code == 200, answer.text
        heard = [text.partition("\n")[0] for text in texts(answer.json())]
        assert heard == ["You said: one", "You said: one", "You said: two", "You said: two"]
        asked = [
            json.loads(request.body)
            for request in world.sandbox.requests
            if request.path == "/api/chat" or request.path == "/api/generate"
        ]
        assert sorted(one["options"]["seed"] for one in asked) == [7, 7, 8, 8]


async def test_bytes_of_one_api_pass_through(autojump_clock: MockClock) -> None:
    for stream in (b"false", b"true"):
        sent = (
            b'{ "model" : "fast",\t"x_unknown":[1.0,1e3,-0,"\\u00e9\\/"],\n "stream":%s,'
            b'"prompt":["say \\"model\\": {x}", "two"], "n":2,"model":"fast"}\r\n' % stream
        )
        async with open_world(over("completions"), sandboxes=kept()) as world:
            answer = await world.client.post(f"{GATEWAY}/v1/completions", content=sent)
            assert answer.status_code == 200, answer.text
            received = next(r for r in world.sandbox.requests if r.path == "/v1/completions")
            assert received.body == sent.replace(b'"fast"', b'"sandbox-chat"')
            straight = await world.client.post(
                "http://up.test/v1/completions", content=received.body
            )
            got, wanted = (
                body.replace(json.loads(_first(body))["id"].encode(), b"*")
                for body in (answer.content, straight.content)
            )
            assert got == wanted
            assert answer.headers["content-type"] == straight.headers["content-type"]


def _first(body: bytes) -> bytes:
    """The whole answer, or the first chunk of one."""
    return body.partition(b"\n\n")[0].removeprefix(b"data: ")


async def test_openais_own_models_are_told_apart_by_their_names(
    autojump_clock: MockClock,
) -> None:
    names = {
        "gpt-3.5-turbo-instruct": "/v1/completions",
        "davinci-002": "/v1/completions",
        "ft:babbage-002:us:x:1": "/v1/completions",
        "gpt-4o": "/v1/chat/completions",
    }
    config = over("openai")
    config["models"] = {"fast": {"targets": [f"up/{name}" for name in names]}}
    async with open_world(config) as world:
        world.sandbox.change_options(
            world.sandbox.options.changed({"models": [*names], "keep_requests": 20})
        )
        for name, path in names.items():
            answer = await complete(world, "one", model=f"up/{name}")
            assert answer.status_code == 200, answer.text
            assert called(world)[-1] == path, name
        # A conversation is never put to them as a text.
        refused = await world.ask(model="up/gpt-4o")
        assert refused.status_code == 200
        assert called(world)[-1] == "/v1/chat/completions"


@over_chats
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True}, "echo"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"logprobs": 2}, "logprobs"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"suffix": "end"}, "suffix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_a_chat_cannot_do_is_refused_and_named(
    upstream: str, fields: Json, param: str, stream: bool, autojump_clock: MockClock
) -> None:
    if upstream == "ollama" and param == "suffix":
        param, fields = "echo", {"echo": True, "suffix": "end"}  # a suffix alone it can take
    async with open_world(over(upstream)) as world:
        answer = await world.client.post(
            f"{GATEWAY}/v1/completions", json={**asking(["a", "b"]), "stream": stream, **fields}
        )
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}
        assert error["param"] == param
        assert world.sandbox.statistics().received == 0
        assert await world.is_at_rest()


async def test_more_answers_than_anybody_wants_are_refused_before_they_are_split(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over("anthropic")) as world:
        answer = await complete(world, ["x"] * 100, n=100)
        assert answer.status_code == 400
        assert "several requests" in answer.json()["error"]["message"]
        assert world.sandbox.statistics().received == 0


@over_chats
async def test_a_queued_stream_of_several_is_kept_alive(
    upstream: str, autojump_clock: MockClock
) -> None:
    config = over(upstream, limits={"rpm": 1.6, "burst": 1})
    async with open_world(config) as world:
        await complete(world, "first")
        pieces: list[tuple[float, bytes]] = []
        began = trio.current_time()
        async with world.client.stream(
            "POST", f"{GATEWAY}/v1/completions", json=asking(["one", "two"], stream=True)
        ) as answer:
            async for piece in answer.aiter_raw():
                pieces.append((round(trio.current_time() - began, 3), piece))  # noqa: PERF401
        assert pieces[0] == (15.0, b": queued\n\n")
        silent = [at for at, piece in pieces if piece.startswith(b": ")]
        assert silent == [15.0, 25.0, 35.0, 47.5, 57.5, 67.5]
        streamed = Streamed(b"".join(piece for _, piece in pieces).decode())
        assert sorted(streamed.ends) == [0, 1]
        assert pieces[-1][0] == 75.0
        assert await world.is_at_rest()


@over_chats
async def test_one_that_fails_in_the_stream_ends_all_with_its_error(
    upstream: str, autojump_clock: MockClock
) -> None:
    """Trap 87: an error frame, and no [DONE] after it; the transfer lacks its end."""
    async with open_world(over(upstream)) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"token_interval_ms": 100}))
        for fault in ("error-midstream=3", "reset-midstream=3"):
            received = bytearray()
            request = asking(["one", f"[[fault: {fault}]]", "three"], stream=True)
            with pytest.raises(httpx.RemoteProtocolError):
                await read(world, request, received)
            *frames, last, rest = received.decode().split("\n\n")
            assert rest == ""
            assert "error" in json.loads(last.removeprefix("data: "))
            assert len(frames) >= 3
            assert b"[DONE]" not in received
            assert await world.is_at_rest()
            assert world.sandbox.statistics().in_flight == 0


async def read(world: World, request: Json, received: bytearray) -> None:
    async with world.client.stream("POST", f"{GATEWAY}/v1/completions", json=request) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_raw():
            received += piece


@over_chats
async def test_one_that_fails_before_anything_was_said_is_a_true_error(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(upstream)) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 1000}))
        for stream in (False, True):
            answer = await complete(world, ["a", "[[fault: 400]]", "c"], stream=stream)
            assert answer.status_code == 400
            assert answer.json()["error"]["type"] == "invalid_request_error"
            assert await world.is_at_rest()
            broken = await complete(world, ["a", "[[fault: 500]]"], stream=stream)
            assert broken.status_code == 502 if not stream else broken.status_code in (200, 502)
            assert await world.is_at_rest()


async def test_a_deadline_after_the_commit_is_an_error_in_the_stream(
    autojump_clock: MockClock,
) -> None:
    config = over("anthropic", limits={"rpm": 1.6, "burst": 1})
    config["wait"] = {"max_wait_ms": 30_000}
    async with open_world(config) as world:
        await complete(world, "first")
        received = bytearray()
        began = trio.current_time()
        with pytest.raises(httpx.RemoteProtocolError):
            await read(world, asking(["one", "two"], stream=True), received)
        assert round(trio.current_time() - began, 3) == 30.0
        assert received.startswith(b": queued\n\n")
        last = received.decode().split("\n\n")[-2]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "rate_limit_exceeded"
        assert await world.is_at_rest()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("limits", "count"), [({}, 40), ({"concurrency": 1}, 4)])
async def test_to_be_answered_is_not_to_wait(
    limits: Json, count: int, stream: bool, autojump_clock: MockClock
) -> None:
    """More answers than are asked for at once, each longer than anybody may wait."""
    config = over("anthropic", limits=limits)
    config["wait"] = {"max_wait_ms": 30_000}
    pace = {"token_interval_ms": 1000} if stream else {"latency_ms": 40_000}
    async with open_world(config) as world:
        world.sandbox.change_options(world.sandbox.options.changed({**pace, "reply_tokens": 40}))
        answer = await complete(world, "x", n=count, stream=stream)
        assert answer.status_code == 200, answer.text
        if stream:
            assert len(Streamed(answer.text).ends) == count
        else:
            assert len(texts(answer.json())) == count
            assert int(answer.headers["x-forebay-waited-ms"]) <= 30_000
        assert world.sandbox.statistics().max_in_flight <= 16
        assert world.sandbox.statistics().completed == count
        assert await world.is_at_rest()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_time_is_up_for_several_when_none_of_them_is_under_way(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with open_world(over("anthropic", limits={"rpm": 1, "burst": 1})) as world:
        await complete(world, "first")
        began = trio.current_time()
        for wait in (0, 25_000):
            headers = {"x-forebay-max-wait-ms": str(wait), "x-forebay-hold": "silent"}
            answer = await complete(world, "x", headers, n=20, stream=stream)
            assert answer.status_code == 429
            assert answer.headers["x-forebay-waited-ms"] == str(wait)
            assert round(trio.current_time() - began, 3) == wait / 1000
        assert world.sandbox.statistics().received == 1
        assert await world.is_at_rest()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_takes_all_answers_with_it(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with open_world(over("ollama", limits={"concurrency": 2})) as world:
        world.sandbox.change_options(
            world.sandbox.options.changed({"token_interval_ms": 1000, "latency_ms": 5000})
        )
        with trio.move_on_after(7):
            await complete(world, ["a", "b", "c", "d"], stream=stream)
        assert await world.is_at_rest()
        statistics = world.sandbox.statistics()
        assert (statistics.in_flight, statistics.max_in_flight) == (0, 2)
