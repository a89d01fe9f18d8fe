"""Each fault of the sandbox, in the dialects in which it differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpcore
import httpx
import pytest
import trio

from forebay.endpoints.sandbox import LimitHeaders, Sandbox, SandboxOptions
from forebay.endpoints.sandbox._faults import FAULT_NAMES

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, Any]

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
MIDSTREAM = ["reset", "end", "cut", "hang", "garbage", "error"]


async def ask(
    client: httpx.AsyncClient,
    text: str,
    *,
    dialect: str = "openai",
    stream: bool = False,
    header: str | None = None,
) -> httpx.Response:
    body = {
        "model": "sandbox-chat",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 1000,
        "stream": stream,
    }
    headers = {} if dialect != "anthropic" else {"anthropic-version": "2023-06-01"}
    if header is not None:
        headers["x-sandbox-fault"] = header
    return await client.post(PATHS[dialect], json=body, headers=headers)


async def received(client: httpx.AsyncClient, text: str, dialect: str) -> tuple[str, str]:
    """What came of a stream, and how it ended: "end", or the name of the error."""
    got = b""
    body = {
        "model": "sandbox-chat",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 1000,
        "stream": True,
    }
    headers = {"anthropic-version": "2023-06-01"}
    try:
        async with client.stream("POST", PATHS[dialect], json=body, headers=headers) as response:
            assert response.status_code == 200
            async for part in response.aiter_raw():
                got += part
    except httpcore.RemoteProtocolError as fault:
        return got.decode(), type(fault).__name__
    return got.decode(), "end"


def pieces(text: str, dialect: str) -> int:
    """How many pieces of content are in a stream."""
    match dialect:
        case "openai":
            return text.count('"delta":{"content":"')
        case "anthropic":
            return text.count("event: content_block_delta")
        case _:
            return text.count('"done":false')


@pytest.mark.parametrize(
    ("fault", "openai", "anthropic", "ollama"),
    [
        ("429", (429, "rate_limit_error"), (429, "rate_limit_error"), 429),
        ("503", (503, "server_error"), (503, "overloaded_error"), 503),
        ("529", (529, "server_error"), (529, "overloaded_error"), 529),
        ("500", (500, "server_error"), (500, "api_error"), 500),
        ("402", (402, "insufficient_quota"), (402, "billing_error"), 402),
        ("quota", (429, "insufficient_quota"), (402, "billing_error"), 429),
        ("401", (401, "invalid_request_error"), (401, "authentication_error"), 401),
        ("400", (400, "invalid_request_error"), (400, "invalid_request_error"), 400),
        ("context", (400, "invalid_request_error"), (400, "invalid_request_error"), 400),
    ],
)
async def test_refusals_speak_each_dialect(
    connect: Connect,
    fault: str,
    openai: tuple[int, str],
    anthropic: tuple[int, str],
    ollama: int,
) -> None:
    sandbox = Sandbox()
    client = connect(sandbox)
    text = f"hello [[fault: {fault}]]"
    for stream in (False, True):
        response = await ask(client, text, stream=stream)
        assert (response.status_code, response.json()["error"]["type"]) == openai
        response = await ask(client, text, dialect="anthropic", stream=stream)
        assert (response.status_code, response.json()["error"]["type"]) == anthropic
        response = await ask(client, text, dialect="ollama", stream=stream)
        assert response.status_code == ollama
        assert isinstance(response.json()["error"], str)
        assert "retry-after" not in response.headers
    counted = sandbox.statistics()
    assert (counted.started, counted.received) == (0, 6)
    assert counted.faults == {fault: 6}


async def test_quota_and_context_carry_their_codes(connect: Connect) -> None:
    client = connect(Sandbox())
    quota = (await ask(client, "[[fault: quota]]")).json()["error"]
    assert quota["code"] == "insufficient_quota"
    context = (await ask(client, "[[fault:context]]")).json()["error"]
    assert context["code"] == "context_length_exceeded"
    told = (await ask(client, "[[fault:context]]", dialect="anthropic")).json()["error"]["message"]
    assert told.startswith("prompt is too long: ")


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        (LimitHeaders.NONE, {"retry-after": "2"}),
        (LimitHeaders.OPENAI, {"retry-after": "2", "retry-after-ms": "1500"}),
    ],
)
async def test_a_429_may_name_its_wait(
    connect: Connect, kind: LimitHeaders, headers: dict[str, str]
) -> None:
    client = connect(Sandbox(SandboxOptions(limit_headers=kind)))
    response = await ask(client, "[[fault: 429=1.5]]")
    told = {name: value for name, value in response.headers.items() if name.startswith("retry")}
    assert (response.status_code, told) == (429, headers)


async def test_times_counts_by_text_so_that_a_retry_succeeds(connect: Connect) -> None:
    client = connect(Sandbox())
    for text in ("a [[fault: 429=1, times=2]]", "b [[fault: 429=1, times=2]]"):
        statuses = [(await ask(client, text)).status_code for _ in range(4)]
        assert statuses == [429, 429, 200, 200]


async def test_the_header_asks_for_faults_too(connect: Connect) -> None:
    client = connect(Sandbox())
    statuses = [
        (await ask(client, "hi", header=header)).status_code
        for header in ("503", "503,times=1", "503,times=1", "")
    ]
    assert statuses == [503, 503, 200, 200]


async def test_standing_faults_hit_every_nth_call(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(fault_every={"429=3": 3, "500": 4})))
    responses = [await ask(client, "hi") for _ in range(12)]
    statuses = [response.status_code for response in responses]
    assert statuses == [200, 200, 429, 500, 200, 429, 200, 500, 429, 200, 200, 429]
    assert responses[2].headers["retry-after"] == "3"


async def test_a_tool_result_keeps_the_faults_of_its_question(connect: Connect) -> None:
    client = connect(Sandbox())
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "hi [[fault: 500]]"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ]
    body = {"model": "sandbox-chat", "messages": messages}
    assert (await client.post(PATHS["openai"], json=body)).status_code == 500
    body["messages"] = [*messages, {"role": "user", "content": "and now?"}]
    assert (await client.post(PATHS["openai"], json=body)).status_code == 200


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("nonsense", "no such fault: 'nonsense'"),
        ("429=soon", "needs a number, such as '429=2'"),
        ("503=2", "takes no value"),
        ("hang=2", "takes no value"),
        ("slow-head", "needs a number"),
        ("reset-midstream=-1", "needs a number"),
    ],
)
async def test_a_bad_directive_says_what_is_wrong(
    connect: Connect, directive: str, words: str
) -> None:
    response = await ask(connect(Sandbox()), f"[[fault: {directive}]]")
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_every_fault_can_be_asked_for_by_its_name() -> None:
    for name in FAULT_NAMES:
        value = "=1" if name == "slow-head" else ""
        if name != "times":
            SandboxOptions(fault_every={f"{name}{value}": 1})


@pytest.mark.parametrize("stream", [False, True])
async def test_reset_ends_the_connection_before_the_head(connect: Connect, stream: bool) -> None:
    sandbox = Sandbox()
    with pytest.raises(httpcore.RemoteProtocolError, match="without sending a response"):
        await ask(connect(sandbox), "[[fault: reset]]", stream=stream)
    assert (sandbox.statistics().broken, sandbox.statistics().in_flight) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_hang_never_answers_until_the_client_leaves(
    connect: Connect, autojump_clock: trio.abc.Clock, stream: bool
) -> None:
    sandbox = Sandbox()
    with trio.move_on_after(10_000) as waited:
        await ask(connect(sandbox), "[[fault: hang]]", stream=stream)
    assert waited.cancelled_caught
    await trio.testing.wait_all_tasks_blocked()
    assert (sandbox.statistics().cancelled, sandbox.statistics().in_flight) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_is_a_200_that_is_no_json(connect: Connect, stream: bool) -> None:
    response = await ask(connect(Sandbox()), "[[fault: garbage]]", stream=stream)
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


@pytest.mark.parametrize("stream", [False, True])
async def test_slow_head_waits_before_the_head(
    connect: Connect, autojump_clock: trio.abc.Clock, stream: bool
) -> None:
    client = connect(Sandbox(SandboxOptions(latency_ms=100)))
    begun = trio.current_time()
    await ask(client, "[[fault: slow-head=2500]]", stream=stream)
    assert trio.current_time() - begun == pytest.approx(2.6)
    begun = trio.current_time()
    assert (await ask(client, "[[fault: slow-head=2500, 503]]")).status_code == 503
    assert trio.current_time() - begun == pytest.approx(2.5)


async def test_error_first_is_an_error_inside_a_200(connect: Connect) -> None:
    """Trap 76, and errors before any content of a stream."""
    client = connect(Sandbox())
    text = "[[fault: error-first]]"
    response = await ask(client, text)
    assert (response.status_code, response.json()["error"]["code"]) == (200, "overloaded")
    streamed, ended = await received(client, text, "openai")
    assert streamed.startswith('data: {"error":{"message":"The engine is currently overloaded')
    assert (streamed.count("data: "), ended) == (1, "end")
    streamed, _ = await received(client, text, "anthropic")
    assert streamed.startswith('event: error\ndata: {"type":"error","error":{"type":"overloaded')
    streamed, _ = await received(client, text, "ollama")
    assert streamed == '{"error":"server overloaded, please try again"}\n'


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("fault", MIDSTREAM)
async def test_midstream_faults_come_after_so_many_pieces(
    connect: Connect, autojump_clock: trio.abc.Clock, fault: str, after: int, dialect: str
) -> None:
    sandbox = Sandbox()
    client = connect(sandbox)
    with trio.move_on_after(1000) as hung:
        text, ended = await received(client, f"[[fault: {fault}-midstream={after}]]", dialect)
    if fault == "hang":
        assert hung.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert sandbox.statistics().cancelled == 1
        assert sandbox.statistics().output_tokens == after
        return
    assert sandbox.statistics().broken == 1
    finished = {"openai": "[DONE]", "anthropic": "message_stop", "ollama": '"done":true'}[dialect]
    assert ended == ("RemoteProtocolError" if fault in ("reset", "cut") else "end")
    assert (finished in text) == (fault == "garbage")
    assert ("<<garbage>>" in text) == (fault == "garbage")
    if fault == "error":
        last = text.strip().split("\n")[-1]
        assert "error" in json.loads(last.removeprefix("data: "))
    if fault != "garbage":
        assert pieces(text, dialect) == after


@pytest.mark.parametrize("dialect", PATHS)
async def test_garbage_replaces_a_piece(connect: Connect, dialect: str) -> None:
    client = connect(Sandbox(SandboxOptions(echo=False)))
    good, _ = await received(client, "hi", dialect)
    bad, _ = await received(client, "hi [[fault: garbage-midstream=3]]", dialect)
    # Anthropic's garbage has a good event line before it.
    garbage_frames = 1 if dialect == "anthropic" else 0
    assert pieces(good, dialect) == 32
    assert pieces(bad, dialect) == 31 + garbage_frames


async def test_a_fault_after_more_pieces_than_there_are_comes_at_the_end(
    connect: Connect,
) -> None:
    text, ended = await received(connect(Sandbox()), "[[fault: cut-midstream=999]]", "openai")
    assert ended == "RemoteProtocolError"
    assert pieces(text, "openai") == 32
    assert 'finish_reason":"' not in text


@pytest.mark.parametrize("fault", MIDSTREAM)
async def test_midstream_faults_break_whole_answers_in_the_middle(
    connect: Connect, autojump_clock: trio.abc.Clock, fault: str
) -> None:
    client = connect(Sandbox())
    text = f"[[fault: {fault}-midstream=1]]"
    match fault:
        case "hang":
            with trio.move_on_after(1000) as hung:
                await ask(client, text)
            assert hung.cancelled_caught
        case "reset" | "cut":
            with pytest.raises(httpcore.RemoteProtocolError, match="incomplete chunked"):
                await ask(client, text)
        case "error":
            assert (await ask(client, text)).json()["error"]["code"] == "overloaded"
        case _:
            response = await ask(client, text)
            assert response.status_code == 200
            with pytest.raises(json.JSONDecodeError):
                response.json()
