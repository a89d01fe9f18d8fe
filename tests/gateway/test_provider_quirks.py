"""What single kinds of providers and models need otherwise, end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from memory_network import Serve
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxModel, SandboxOptions
from forebay.protocol.jsontext import JsonObject, loads_object

HELLO = [{"role": "user", "content": "hello"}]


def one_model(kind: str, model: str, **provider: object) -> dict[str, object]:
    """A configuration with the model ``fast``, served as ``model`` by a provider at ``up.test``."""
    settings: dict[str, object] = {"kind": kind, "api_key": "k", **provider}
    settings.setdefault("base_url", "http://up.test/v1")
    return {
        "wait": {"max_wait_ms": 3_600_000},
        "providers": {"up": settings},
        "models": {"fast": {"targets": [f"up/{model}"]}},
    }


def box(*models: str, **options: object) -> dict[str, SandboxOptions]:
    made = tuple(map(SandboxModel, models))
    return {"up": SandboxOptions(models=made, keep_requests=20, **options)}  # type: ignore[arg-type]


def chat_sent(world: World) -> JsonObject:
    """The latest chat request that reached the sandbox."""
    return loads_object(
        next(one.body for one in reversed(world.sandbox.requests) if one.method == "POST")
    )


def dropped(headers: Mapping[str, str]) -> set[str]:
    return set(filter(None, headers.get("x-forebay-dropped", "").replace(" ", "").split(",")))


async def test_trap_8_an_openai_clients_temperature_breaks_no_newer_claude(
    autojump_clock: MockClock,
) -> None:
    config = one_model("anthropic", "claude-opus-4-7", base_url="http://up.test")
    async with open_world(config, sandboxes=box("claude-opus-4-7")) as world:
        answer = await world.ask(temperature=0.2)
        assert answer.status_code == 200
        assert "temperature" not in chat_sent(world)
        assert dropped(answer.headers) == {"temperature"}
        await world.ask(reasoning_effort="high")
        assert chat_sent(world)["thinking"] == {"type": "adaptive"}


async def test_trap_50_a_limit_and_a_temperature_break_no_reasoning_model_of_openai(
    autojump_clock: MockClock,
) -> None:
    config = one_model("openai", "gpt-5-mini")
    async with open_world(config, sandboxes=box("gpt-5-mini")) as world:
        answer = await world.ask(max_tokens=20, temperature=0.2, user="u")
        assert answer.status_code == 200
        assert chat_sent(world) == {
            "model": "gpt-5-mini",
            "messages": HELLO,
            "max_completion_tokens": 20,
            "user": "u",
        }
        assert dropped(answer.headers) == {"temperature"}


@pytest.mark.parametrize(("kind", "arrives"), [("openai", False), ("openai_compatible", True)])
async def test_trap_51_unknown_fields_are_relayed_where_they_may_be_known(
    kind: str, arrives: bool, autojump_clock: MockClock
) -> None:
    fields: dict[str, Any] = {"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    async with open_world(one_model(kind, "gpt-4o"), sandboxes=box("gpt-4o")) as world:
        answer = await world.ask(**fields)
        assert answer.status_code == 200
        assert (fields.items() <= chat_sent(world).items()) is arrives
        assert dropped(answer.headers) == (set() if arrives else set(fields))


async def test_trap_39_five_stop_strings_are_refused_before_openai_does(
    autojump_clock: MockClock,
) -> None:
    async with open_world(one_model("openai", "gpt-4o"), sandboxes=box("gpt-4o")) as world:
        refused = await world.ask(stop=[*"vwxyz"])
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "stop"
        assert all(one.method != "POST" for one in world.sandbox.requests)
        assert (await world.ask(stop=[*"wxyz"])).status_code == 200


async def test_trap_49_a_temperature_of_zero_reaches_zai_otherwise(
    autojump_clock: MockClock,
) -> None:
    async with open_world(one_model("zai", "glm-5"), sandboxes=box("glm-5")) as world:
        assert (await world.ask(temperature=0)).status_code == 200
        sent = chat_sent(world)
        assert "temperature" not in sent
        assert sent["do_sample"] is False


async def test_trap_45_a_model_that_does_not_think_says_so(autojump_clock: MockClock) -> None:
    config = one_model("ollama", "sandbox-small", hosts=["http://up.test"])
    del config["providers"]["up"]["base_url"]  # type: ignore[index]  # known to be a dict
    async with open_world(config) as world:
        body = {"model": "fast", "messages": HELLO, "think": True}
        answer = await world.client.post(f"{GATEWAY}/api/chat", json=body)
        assert answer.status_code == 400
        assert "does not support thinking" in answer.json()["error"]


async def test_trap_113_and_114_a_refusal_for_concurrency_waits_for_an_own_call_to_end(
    autojump_clock: MockClock,
) -> None:
    """Neither says when to come back; each call that ends lets the next one start at once."""
    ended: list[tuple[int, float]] = []
    async with open_world(sandboxes=box("sandbox-chat", latency_ms=10_000, concurrency=1)) as world:

        async def ask() -> None:
            answer = await world.ask()
            ended.append((answer.status_code, round(trio.current_time(), 2)))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
                await trio.sleep(1)
        assert ended == [(200, 10.0), (200, 20.0), (200, 30.0), (200, 40.0)]


@pytest.mark.parametrize("status", ["529", "503"])
async def test_traps_111_and_112_what_a_provider_has_no_room_for_goes_to_another_at_once(
    status: str, autojump_clock: MockClock
) -> None:
    """And takes nothing from the limits of the first, which goes on afterwards as before."""
    config: dict[str, object] = {
        "providers": {
            name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1"}
            for name in ("full", "free")
        },
        "models": {"fast": {"targets": ["full/sandbox-chat", "free/sandbox-chat"]}},
    }
    boxes = {"full": SandboxOptions(fault_every={status: 2}), "free": SandboxOptions()}
    async with open_world(config, sandboxes=boxes) as world:
        served = []
        for _ in range(3):
            answer = await world.ask()
            assert answer.status_code == 200
            served.append((answer.headers["x-forebay-target"], round(trio.current_time(), 1)))
            await trio.sleep(30)
        assert served == [
            ("full/sandbox-chat", 0.0),
            ("free/sandbox-chat", 30.0),
            ("full/sandbox-chat", 60.0),
        ]


async def test_trap_116_openais_limit_holds_the_most_output_until_the_answer_is_there(
    autojump_clock: MockClock,
) -> None:
    """And gets back what was not used: else the second would wait for the bucket to fill."""
    starts = {}
    for kind in ("openai", "openai_compatible"):
        config = one_model(kind, "gpt-4o", limits={"tpm": 20_000})
        async with open_world(config, sandboxes=box("gpt-4o", latency_ms=10_000)) as world:
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(lambda: world.ask(max_completion_tokens=16_000))
            starts[kind] = [round(at - began, 1) for at in world.sandbox.statistics().starts]
    assert starts == {"openai": [0.0, 10.0], "openai_compatible": [0.0, 0.0]}


def message_with(**usage: int) -> bytes:
    """A whole answer of the Messages API."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 10, **usage},
    }
    return json.dumps(message).encode()


def answering(body: bytes, content_type: str = "application/json") -> Serve:
    """A server that answers every request alike."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"

    async def serve(stream: trio.abc.Stream) -> None:
        received = b""
        while more := await stream.receive_some():
            received += more
            before, found, after = received.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in before.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            if found and len(after) >= length:
                received = b""
                await stream.send_all(head.encode() + body)

    return serve


@pytest.mark.parametrize(
    ("field", "wait"),
    [("cache_read_input_tokens", 0), ("cache_creation_input_tokens", 600)],
)
async def test_trap_115_what_anthropic_read_from_its_cache_is_not_charged(
    field: str, wait: float, autojump_clock: MockClock
) -> None:
    config = one_model(
        "anthropic", "claude-opus-4-6", base_url="http://claude.test", limits={"tpm": 6000}
    )
    async with open_world(config) as world:
        world.network.plug("claude.test", answering(message_with(**{field: 60_000})))
        began = trio.current_time()
        assert (await world.ask()).json()["usage"]["prompt_tokens"] == 60_010
        assert trio.current_time() == began
        assert (await world.ask()).status_code == 200
        assert trio.current_time() - began == pytest.approx(wait, abs=15)


def chunk(content: str | None = None, finish: str | None = None) -> str:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    body = {"object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_trap_92_no_client_sees_the_stop_string_that_openvino_leaves_in(
    path: str, autojump_clock: MockClock
) -> None:
    stream = "".join(
        [chunk("one, "), chunk("two E"), chunk("ND"), chunk(finish="stop"), "data: [DONE]\n\n"]
    )
    config = one_model("openvino", "m", base_url="http://vino.test/v3")
    stop: dict[str, dict[str, object]] = {
        "/v1/chat/completions": {"stop": "END"},
        "/v1/messages": {"stop_sequences": ["END"], "max_tokens": 50},
        "/api/chat": {"options": {"stop": ["END"]}},
    }
    async with open_world(config) as world:
        world.network.plug("vino.test", answering(stream.encode(), "text/event-stream"))
        body = {"model": "fast", "messages": HELLO, "stream": True}
        answer = await world.client.post(GATEWAY + path, json={**body, **stop[path]})
        assert answer.status_code == 200
        assert '"two "' in answer.text
        shown = re.sub(r'"stop_(sequence|reason)":"END"|\[DONE\]', "", answer.text)
        assert "END" not in shown
        assert "ND" not in shown
        untouched = await world.client.post(GATEWAY + path, json={**body, "max_tokens": 50})
        assert '"two E"' in untouched.text
        assert '"ND"' in untouched.text
