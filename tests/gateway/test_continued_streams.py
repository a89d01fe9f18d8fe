"""Streams that break after they have begun, at models whose settings want them gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.gateway.chat import ChatStream
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.requests import ChatRequest, user_turn

Json = dict[str, object]

TIMEOUTS = {"first_byte_ms": 4000, "between_bytes_ms": 3000}
BREAKS = ("reset", "end", "cut", "hang", "error", "garbage")


def one_target(**provider: object) -> dict[str, object]:
    """One provider that speaks all dialects, and a model whose streams are gone on with."""
    return {
        "wait": {"max_wait_ms": 60_000},
        "providers": {
            "up": {
                "kind": "sandbox",
                "base_url": "http://up.test",
                "timeouts": TIMEOUTS,
                **provider,
            }
        },
        "models": {"fast": {"targets": ["up/sandbox-chat"], "continue_broken": True}},
    }


def two_targets(
    first: Mapping[str, object] = {}, second: Mapping[str, object] = {}
) -> dict[str, object]:
    return {
        "wait": {"max_wait_ms": 60_000},
        "providers": {
            name: {"kind": "sandbox", "base_url": f"http://{name}.test", **settings}
            for name, settings in (("first", first), ("second", second))
        },
        "models": {
            "fast": {
                "targets": ["first/sandbox-chat", "second/sandbox-chat"],
                "continue_broken": True,
            }
        },
    }


@dataclass(frozen=True)
class Speech:
    """How a dialect asks for a stream, and how its stream is read."""

    path: str
    ask: Callable[[str], Json]
    text: Callable[[list[Json]], str]
    id: Callable[[list[Json]], set[object]]
    is_whole: Callable[[list[Json]], bool]


def frames(body: str) -> list[Json]:
    """The JSON of every event or line; the end mark of OpenAI's chats is left out."""
    if not body.lstrip().startswith("{"):
        lines = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    else:
        lines = body.splitlines()
    return [json.loads(line) for line in lines if line.strip() and line != "[DONE]"]


def _choices(stream: list[Json]) -> list[Json]:
    choices: list[Json] = []
    for frame in stream:
        found = frame["choices"]
        assert isinstance(found, list)
        choices += found
    return choices


def _deltas(stream: list[Json], kind: str) -> str:
    return "".join(str(frame["delta"]) for frame in stream if frame.get("type") == kind)


def _blocks(stream: list[Json]) -> str:
    deltas = [frame["delta"] for frame in stream if frame.get("type") == "content_block_delta"]
    return "".join(str(delta["text"]) for delta in deltas if isinstance(delta, dict))


def _inside(stream: list[Json], name: str, field: str) -> list[object]:
    inside = [frame[name] for frame in stream if name in frame]
    return [each[field] for each in inside if isinstance(each, dict) and field in each]


def _said(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


SPEECHES = {
    "chat": Speech(
        "/v1/chat/completions",
        lambda text: {
            "model": "fast",
            "messages": _said(text),
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        lambda stream: "".join(
            str(part) for part in _inside(_choices(stream), "delta", "content") if part
        ),
        lambda stream: {frame["id"] for frame in stream},
        lambda stream: (
            [c["finish_reason"] for c in _choices(stream) if c["finish_reason"]] == ["stop"]
        ),
    ),
    "messages": Speech(
        "/v1/messages",
        lambda text: {"model": "fast", "max_tokens": 4000, "messages": _said(text), "stream": True},
        _blocks,
        lambda stream: set(_inside(stream, "message", "id")),
        lambda stream: [frame["type"] for frame in stream][-1] == "message_stop",
    ),
    "ollama chat": Speech(
        "/api/chat",
        lambda text: {"model": "fast", "messages": _said(text)},
        lambda stream: "".join(map(str, _inside(stream, "message", "content"))),
        lambda stream: {frame["model"] for frame in stream},
        lambda stream: [frame.get("done_reason") for frame in stream if frame["done"]] == ["stop"],
    ),
    "ollama generate": Speech(
        "/api/generate",
        lambda text: {"model": "fast", "prompt": text},
        lambda stream: "".join(str(frame.get("response", "")) for frame in stream),
        lambda stream: {frame["model"] for frame in stream},
        lambda stream: [frame.get("done_reason") for frame in stream if frame["done"]] == ["stop"],
    ),
    "responses": Speech(
        "/v1/responses",
        lambda text: {"model": "fast", "input": text, "stream": True},
        lambda stream: _deltas(stream, "response.output_text.delta"),
        lambda stream: set(_inside(stream, "response", "id")),
        lambda stream: (
            [frame["type"] for frame in stream][-1] == "response.completed"
            and [frame["sequence_number"] for frame in stream] == list(range(len(stream)))
        ),
    ),
}


async def stream(world: World, speech: Speech, text: str, **fields: object) -> str:
    """The body of a streamed answer that comes to its proper end."""
    answer = await world.client.post(f"{GATEWAY}{speech.path}", json={**speech.ask(text), **fields})
    assert answer.status_code == 200, answer.text
    return answer.text


async def read_cut(world: World, body: Json, path: str = "/v1/chat/completions") -> str:
    """The body of a streamed answer that must break off without its proper end."""
    received = bytearray()
    async with world.client.stream("POST", f"{GATEWAY}{path}", json=body) as answer:
        try:
            async for piece in answer.aiter_raw():
                received += piece
        except httpx.RemoteProtocolError:
            return received.decode()
    raise AssertionError(f"the stream came to its proper end: {bytes(received)!r}")


def check_told_once(speech: Speech, broken: str, whole: str) -> None:
    """One answer, with the same text as one that did not break, under one id."""
    told, unbroken = frames(broken), frames(whole)
    assert not [frame for frame in told if frame.get("error") or frame.get("type") == "error"]
    assert speech.text(told) == speech.text(unbroken)
    assert len(speech.id(told)) == 1
    assert speech.is_whole(told)


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize("name", SPEECHES)
async def test_a_stream_that_breaks_is_told_whole_and_once(
    name: str, breaks: str, autojump_clock: MockClock
) -> None:
    speech = SPEECHES[name]
    async with open_world(one_target()) as world:
        text = f"[[fault: {breaks}-midstream=3, times=1]] hello there"
        broken = await stream(world, speech, text)
        assert world.sandbox.statistics().faults == {f"{breaks}-midstream": 1}
        check_told_once(speech, broken, await stream(world, speech, text))
        assert await world.is_at_rest()


@pytest.mark.parametrize("pieces", [0, 1, 2, 7, 30])
@pytest.mark.parametrize("name", SPEECHES)
async def test_it_does_not_matter_where_it_breaks(
    name: str, pieces: int, autojump_clock: MockClock
) -> None:
    speech = SPEECHES[name]
    async with open_world(one_target()) as world:
        text = f"[[fault: cut-midstream={pieces}, times=1]] Grüße und Küsse"
        broken = await stream(world, speech, text)
        check_told_once(speech, broken, await stream(world, speech, text))


@pytest.mark.parametrize("name", SPEECHES)
async def test_another_target_goes_on_where_the_first_broke(
    name: str, autojump_clock: MockClock
) -> None:
    speech = SPEECHES[name]
    boxes = {
        "first": SandboxOptions(fault_every={"reset-midstream=5": 1}),
        "second": SandboxOptions(),
    }
    async with open_world(two_targets(), sandboxes=boxes) as world:
        broken = await stream(world, speech, "hello there")
        assert world.sandboxes["second"].statistics().received == 1
        world.sandboxes["first"].change_options(SandboxOptions())
        await trio.sleep(60)
        check_told_once(speech, broken, await stream(world, speech, "hello there"))


@pytest.mark.parametrize(
    ("kind", "base_url", "settings"),
    [
        ("anthropic", "http://second.test", {"api_key": "any"}),
        ("ollama", "http://second.test", {}),
        ("openai_compatible", "http://second.test/v1", {"prefill": "continue_final_message"}),
        ("openai_compatible", "http://second.test/v1", {"prefill": "prefix"}),
    ],
)
@pytest.mark.parametrize("name", SPEECHES)
async def test_a_target_of_another_dialect_goes_on(
    name: str, kind: str, base_url: str, settings: Json, autojump_clock: MockClock
) -> None:
    speech = SPEECHES[name]
    config = two_targets()
    providers = config["providers"]
    assert isinstance(providers, dict)
    providers["second"] = {"kind": kind, "base_url": base_url, **settings}
    if kind == "anthropic":
        config["models"] = {
            "fast": {
                "targets": ["first/sandbox-chat", "second/claude-sonnet-4-5"],
                "continue_broken": True,
            }
        }
    boxes = {
        "first": SandboxOptions(fault_every={"reset-midstream=5": 1}),
        "second": SandboxOptions(models=SandboxOptions().models)
        if kind != "anthropic"
        else SandboxOptions().changed({"models": ["claude-sonnet-4-5"]}),
    }
    async with open_world(config, sandboxes=boxes) as world:
        broken = await stream(world, speech, "hello there")
        world.sandboxes["first"].change_options(SandboxOptions())
        await trio.sleep(60)
        check_told_once(speech, broken, await stream(world, speech, "hello there"))


async def test_it_may_break_twice_and_not_a_third_time(autojump_clock: MockClock) -> None:
    speech = SPEECHES["chat"]
    async with open_world(one_target()) as world:
        broken = await stream(world, speech, "[[fault: cut-midstream=3, times=2]] hi")
        assert speech.is_whole(frames(broken))
        assert world.sandbox.statistics().faults == {"cut-midstream": 2}
        told = await read_cut(world, speech.ask("[[fault: cut-midstream=3]] hi"))
        assert "broke off its answer" in told
        assert "[DONE]" not in told
        assert world.sandbox.statistics().faults == {"cut-midstream": 5}
        assert await world.is_at_rest()


async def test_without_the_setting_the_client_hears_of_the_break(
    autojump_clock: MockClock,
) -> None:
    config = one_target()
    config["models"] = {"fast": {"targets": ["up/sandbox-chat"]}}
    async with open_world(config) as world:
        told = await read_cut(world, SPEECHES["chat"].ask("[[fault: cut-midstream=3, times=1]] hi"))
        assert '"error"' in told
        assert world.sandbox.statistics().faults == {"cut-midstream": 1}


async def test_where_no_target_can_go_on_the_client_hears_of_the_break(
    autojump_clock: MockClock,
) -> None:
    config = one_target(prefill="none")
    async with open_world(config) as world:
        for name, speech in SPEECHES.items():
            body = speech.ask(f"[[fault: cut-midstream=3, times=1]] {name}")
            told = await read_cut(world, body, speech.path)
            assert "broke off its answer" in told
        assert world.sandbox.statistics().faults == {"cut-midstream": len(SPEECHES)}
        assert await world.is_at_rest()


_BREAKING = "[[fault: cut-midstream=3, times=1]] hi"


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"regex": "a*"}},
        {"n": 2},
        {"logprobs": True},
        {"messages": [*_said(_BREAKING), {"role": "assistant", "content": "You"}]},
    ],
    ids=["JSON", "a grammar", "two answers", "logprobs", "a beginning of the client's own"],
)
async def test_what_is_not_safe_to_go_on_with_breaks_as_ever(
    fields: Json, autojump_clock: MockClock
) -> None:
    async with open_world(one_target()) as world:
        told = await read_cut(world, {**SPEECHES["chat"].ask(_BREAKING), **fields})
        assert '"error"' in told
        assert world.sandbox.statistics().faults == {"cut-midstream": 1}


def _completed(body: str) -> str:
    return "".join(str(choice["text"]) for choice in _choices(frames(body)))


async def test_a_text_that_is_completed_is_gone_on_with_as_one_text(
    autojump_clock: MockClock,
) -> None:
    ask = {"model": "fast", "prompt": "Once upon a time", "stream": True, "max_tokens": 90}
    boxes = {
        "first": SandboxOptions(fault_every={"cut-midstream=3": 1}),
        "second": SandboxOptions(keep_requests=1),
    }
    async with open_world(two_targets(), sandboxes=boxes) as world:
        broken = await world.client.post(f"{GATEWAY}/v1/completions", json=ask)
        (request,) = world.sandboxes["second"].requests
        rest = json.loads(request.body)
        said = rest["prompt"].removeprefix("Once upon a time")
        assert said
        assert rest["prompt"] == "Once upon a time" + said
        assert 0 < rest["max_tokens"] < 90
        world.sandboxes["first"].change_options(SandboxOptions())
        await trio.sleep(60)
        # This server knows nothing of its own first words: it answers the longer prompt.
        alone = await world.client.post(f"{GATEWAY}/v1/completions", json={**rest, "model": "fast"})
        told = _completed(broken.text)
        assert told.startswith(said)
        assert told.removeprefix(said).strip() == _completed(alone.text).strip()
        assert frames(broken.text)[-1].get("error") is None
        assert len({frame["id"] for frame in frames(broken.text)}) == 1
        assert await world.is_at_rest()


@pytest.mark.parametrize("fields", [{"suffix": "The end."}, {"echo": True}, {"logprobs": 1}])
async def test_a_completion_of_more_than_one_text_breaks_as_ever(
    fields: Json, autojump_clock: MockClock
) -> None:
    async with open_world(one_target()) as world:
        ask = {"model": "fast", "prompt": _BREAKING, "stream": True, **fields}
        assert '"error"' in await read_cut(world, ask, "/v1/completions")


async def test_a_call_of_a_tool_is_not_gone_on_with(autojump_clock: MockClock) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    body = {
        **SPEECHES["chat"].ask("[[fault: cut-midstream=2, times=1]] use the tool"),
        "tools": [tool],
    }
    async with open_world(one_target()) as world:
        told = await read_cut(world, body)
        assert "tool_calls" in told
        assert '"error"' in told


async def test_signed_thoughts_are_not_gone_on_with_and_others_are_not_thought_again(
    autojump_clock: MockClock,
) -> None:
    config = one_target()
    config["models"] = {"fast": {"targets": ["up/sandbox-thinking"], "continue_broken": True}}
    async with open_world(config) as world:
        text = "[[fault: cut-midstream=40, times=1]] ponder"
        messages = SPEECHES["messages"]
        body = {**messages.ask(text), "thinking": {"type": "enabled", "budget_tokens": 1024}}
        told = await read_cut(world, body, messages.path)
        assert "signature_delta" in told
        assert "broke off its answer" in told
        chat = SPEECHES["ollama chat"]
        broken = await stream(world, chat, f"{text} more", think=False)
        assert '"thinking"' not in broken
        check_told_once(chat, broken, await stream(world, chat, f"{text} more", think=False))


async def test_the_rest_waits_in_the_queue_at_the_jobs_own_place(
    autojump_clock: MockClock,
) -> None:
    config = one_target(limits={"concurrency": 1})
    boxes = {"up": SandboxOptions(token_interval_ms=100)}
    async with open_world(config, sandboxes=boxes) as world:
        order: list[str] = []

        async def ask(text: str) -> None:
            await stream(world, SPEECHES["chat"], text)
            order.append(text)

        async with trio.open_nursery() as nursery:
            for text in ("[[fault: error-midstream=3, times=1]]", "b", "c"):
                nursery.start_soon(ask, text)
                await wait_all_tasks_blocked()
        assert order == ["[[fault: error-midstream=3, times=1]]", "b", "c"]


@pytest.mark.parametrize(
    ("name", "sign"), [("chat", ": "), ("messages", "event: ping"), ("responses", "in_progress")]
)
async def test_the_client_is_kept_alive_while_the_rest_waits(
    name: str, sign: str, autojump_clock: MockClock
) -> None:
    speech = SPEECHES[name]
    text = "[[fault: hang-midstream=3, times=1]] hello"
    async with open_world(one_target()) as world:
        bodies: list[str] = []

        async def ask() -> None:
            bodies.append(await stream(world, speech, text))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(2)
            world.sandbox.change_options(SandboxOptions(fault_every={"429=40": 1}))
            await trio.sleep(20)
            assert not bodies
            world.sandbox.change_options(SandboxOptions())
        (body,) = bodies
        check_told_once(speech, body, await stream(world, speech, text))
        assert sign in body[body.index("You ") :]


async def test_all_waiting_together_is_bounded_by_max_wait(autojump_clock: MockClock) -> None:
    async with open_world(one_target(timeouts={})) as world:
        body = SPEECHES["chat"].ask("[[fault: 429=20, times=1]] hello")
        box = world.sandbox
        told: list[str] = []

        async def ask() -> None:
            told.append(await read_cut(world, body))

        began = trio.current_time()
        box.change_options(SandboxOptions(fault_every={"cut-midstream=3": 1}, latency_ms=50_000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(60)
            box.change_options(SandboxOptions(fault_every={"429=7": 1}))
        # 20 s before it started, 50 s of the call that broke, and 40 s are left for the rest.
        assert 105 <= trio.current_time() - began <= 111
        assert "broke off its answer" in told[0]
        assert await world.is_at_rest()


async def test_who_does_not_wait_at_all_gets_the_rest_from_whoever_has_room(
    autojump_clock: MockClock,
) -> None:
    boxes = {
        "first": SandboxOptions(fault_every={"reset-midstream=5": 1}),
        "second": SandboxOptions(),
    }
    async with open_world(two_targets(), sandboxes=boxes) as world:
        answer = await world.client.post(
            f"{GATEWAY}/v1/chat/completions",
            json=SPEECHES["chat"].ask("hello there"),
            headers={"x-forebay-max-wait-ms": "0"},
        )
        assert SPEECHES["chat"].is_whole(frames(answer.text))


async def test_usage_tells_the_prompt_once_and_all_output(autojump_clock: MockClock) -> None:
    async with open_world(one_target()) as world:
        for name, fields in (
            ("chat", ("prompt_tokens", "completion_tokens")),
            ("messages", ("input_tokens", "output_tokens")),
        ):
            speech = SPEECHES[name]
            text = f"[[fault: cut-midstream=6, times=1]] {name} hello there"
            broken = frames(await stream(world, speech, text))
            whole = frames(await stream(world, speech, text))
            told, real = (
                [frame["usage"] for frame in told if frame.get("usage")][-1]
                for told in (broken, whole)
            )
            assert isinstance(told, dict)
            assert isinstance(real, dict)
            for field in fields:
                # What the broken call put out is counted by its length.
                assert abs(told[field] - real[field]) <= 2, (name, field, told, real)


async def test_a_limit_on_output_holds_for_all_calls_together(autojump_clock: MockClock) -> None:
    async with open_world(one_target()) as world:
        text = "[[fault: cut-midstream=6, times=1]] hello there"
        told = await stream(world, SPEECHES["chat"], text, max_tokens=10)
        unbroken = await stream(world, SPEECHES["chat"], text, max_tokens=10)
        heard, real = (SPEECHES["chat"].text(frames(each)) for each in (told, unbroken))
        assert abs(len(heard) - len(real)) <= 4
        assert '"finish_reason":"length"' in told


async def test_a_target_that_refuses_to_go_on_is_left_out_and_another_one_asked(
    autojump_clock: MockClock,
) -> None:
    # The second says that it can, and answers 400; the third can.
    config = two_targets()
    providers = config["providers"]
    assert isinstance(providers, dict)
    providers["third"] = {"kind": "sandbox", "base_url": "http://third.test"}
    config["models"] = {
        "fast": {
            "targets": [f"{name}/sandbox-chat" for name in ("first", "second", "third")],
            "continue_broken": True,
        }
    }
    boxes = {
        "first": SandboxOptions(fault_every={"error-midstream=5": 1}),
        "second": SandboxOptions(fault_every={"400": 1}),
        "third": SandboxOptions(),
    }
    async with open_world(config, sandboxes=boxes) as world:
        broken = await stream(world, SPEECHES["chat"], "hello")
        assert SPEECHES["chat"].is_whole(frames(broken))
        assert world.sandboxes["second"].statistics().refused == {400: 1}


async def test_where_all_that_could_go_on_were_left_out_before_the_client_hears_of_the_break(
    autojump_clock: MockClock,
) -> None:
    # The first can go on, but said nothing in time; the second began, broke, and can't.
    config = two_targets(first={"timeouts": TIMEOUTS}, second={"prefill": "none"})
    boxes = {
        "first": SandboxOptions(fault_every={"hang": 1}),
        "second": SandboxOptions(fault_every={"cut-midstream=5": 1}),
    }
    async with open_world(config, sandboxes=boxes) as world:
        told = await read_cut(world, SPEECHES["chat"].ask("hello"))
        assert "second/sandbox-chat broke off its answer" in told
        assert await world.is_at_rest()


async def test_limits_are_charged_for_every_call(autojump_clock: MockClock) -> None:
    async with open_world(one_target(limits={"rpm": 60, "burst": 10})) as world:
        await stream(world, SPEECHES["chat"], "[[fault: cut-midstream=3, times=1]] hello")
        assert world.gateway.providers["up"].pool.grants == 2
        assert await world.is_at_rest()


async def test_a_client_that_leaves_while_the_rest_waits_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    async with open_world(one_target()) as world:
        body = SPEECHES["chat"].ask("[[fault: cut-midstream=3, times=1]] hello")
        world.sandbox.change_options(SandboxOptions())
        with trio.move_on_after(2):
            async with world.client.stream(
                "POST", f"{GATEWAY}/v1/chat/completions", json=body
            ) as answer:
                world.sandbox.change_options(SandboxOptions(fault_every={"429=40": 1}))
                async for _ in answer.aiter_raw():
                    pass
        assert await world.is_at_rest()


async def test_programs_that_embed_the_gateway_hear_one_answer(autojump_clock: MockClock) -> None:
    async with open_world(one_target()) as world:

        def ask(text: str) -> ChatStream:
            return world.gateway.chat(ChatRequest(model="fast", turns=(user_turn(text),)))

        text = "[[fault: reset-midstream=4, times=1]] hello"
        broken, whole = await ask(text).response(), await ask(text).response()
        assert broken.parts == whole.parts
        with pytest.raises(ApiFailure, match="broke off its answer"):
            await ask("[[fault: reset-midstream=4]] hi").response()
        assert await world.is_at_rest()
