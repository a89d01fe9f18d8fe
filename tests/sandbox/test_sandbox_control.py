"""The sandbox's own pages: counters, reset, options; and what options may be."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trio

import forebay.endpoints.sandbox as package
from forebay.endpoints.sandbox import (
    LimitHeaders,
    Sandbox,
    SandboxModel,
    SandboxOptions,
    Thinking,
    banner,
)
from forebay.protocol.jsontext import JsonObject

Connect = Callable[[Sandbox], httpx.AsyncClient]

BODY = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


async def test_every_call_is_counted_once(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=100))
    client = connect(sandbox)
    begun = trio.current_time()
    await client.post(PATH, json=BODY)
    await client.post(PATH, json=BODY | {"model": "none"})
    await client.post(PATH, content=b"{")
    await client.post("/api/chat", json=BODY | {"model": "sandbox-small"})
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: client.post(PATH, json=BODY))
    await client.get("/v1/models")
    stats = (await client.get("/sandbox/stats")).json()
    assert stats["received"] == 7
    assert stats["started"] == stats["completed"] == 5
    assert stats["refused"] == {"404": 1, "400": 1}
    assert (stats["in_flight"], stats["max_in_flight"]) == (0, 3)
    assert stats["open_connections"] == 3
    assert (stats["cancelled"], stats["broken"], stats["faults"]) == (0, 0, {})
    assert (stats["input_tokens"], stats["output_tokens"]) == (5, 5 * 32)
    assert stats["models"]["sandbox-small"] == {
        "started": 1,
        "completed": 1,
        "cancelled": 0,
        "broken": 0,
        "input_tokens": 1,
        "output_tokens": 32,
    }
    assert stats["models"]["sandbox-chat"]["started"] == 4
    starts = [start - begun for start in stats["starts"]]
    assert starts == pytest.approx([0, 0.1, 0.2, 0.2, 0.2])
    assert stats["now"] - begun == pytest.approx(0.3)


async def test_reset_forgets_counts_and_fills_buckets_but_not_running_calls(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_minute=2, latency_ms=1000))
    client = connect(sandbox)
    text = [{"role": "user", "content": "[[fault: 503, times=1]]"}]
    assert (await client.post(PATH, json=BODY | {"messages": text})).status_code == 503
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: client.post(PATH, json=BODY))
        await trio.sleep(0.5)
        assert (await client.post(PATH, json=BODY)).status_code == 429
        assert (await client.post("/sandbox/reset")).json() == {"reset": True}
        counted = sandbox.statistics()
        assert (counted.received, counted.in_flight, counted.max_in_flight) == (0, 2, 2)
        assert (counted.starts, counted.refused, counted.models) == ((), {}, {})
        assert (await client.post(PATH, json=BODY)).status_code == 200
    counted = sandbox.statistics()
    assert (counted.started, counted.completed, counted.in_flight) == (1, 1, 0)
    assert (await client.post(PATH, json=BODY | {"messages": text})).status_code == 503


async def test_options_are_shown_and_changed_without_the_key(connect: Connect) -> None:
    sandbox = Sandbox(SandboxOptions(api_key="k-1"))
    client = connect(sandbox)
    shown = (await client.get("/sandbox/options")).json()
    assert "api_key" not in shown
    assert shown["models"][2]["thinking"] == "never"
    changes = {
        "latency_ms": 5,
        "limit_headers": "together",
        "models": ["a", {"name": "b", "thinking": "by_default", "vision": False}],
        "fault_every": {"429": 10},
        "concurrency": 4,
        "requests_per_second": 0.5,
        "echo": False,
    }
    answer = await client.post("/sandbox/options", json=changes)
    assert answer.status_code == 200
    assert sandbox.options == SandboxOptions(
        api_key="k-1",
        latency_ms=5,
        limit_headers=LimitHeaders.TOGETHER,
        models=(
            SandboxModel("a"),
            SandboxModel("b", thinking=Thinking.BY_DEFAULT, vision=False),
        ),
        fault_every={"429": 10},
        concurrency=4,
        requests_per_second=0.5,
        echo=False,
    )
    listed = await client.get("/v1/models", headers={"x-api-key": "k-1"})
    assert [model["id"] for model in listed.json()["data"]] == ["a", "b"]
    again = (await client.post("/sandbox/options", json=answer.json())).json()
    assert again == answer.json()
    cleared = await client.post("/sandbox/options", json={"concurrency": None})
    assert cleared.json()["concurrency"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"speed": 1}, "no such option: 'speed'"),
        ({"api_key": "x"}, "no such option: 'api_key'"),
        ({"latency_ms": "5"}, "latency_ms must be a number, got a string"),
        ({"latency_ms": -1}, "latency_ms must not be negative"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"concurrency": True}, "concurrency must be a whole number, got a boolean"),
        ({"requests_per_minute": 0}, "requests_per_minute must be above 0"),
        ({"reply_tokens": 0}, "reply_tokens must be at least 1"),
        ({"refusal_status": 418}, "refusal_status must be 429 or 503"),
        ({"limit_headers": "azure"}, "limit_headers must be one of: none, openai"),
        ({"echo": 1}, "echo must be true or false"),
        ({"models": []}, "models must name at least one model"),
        ({"models": ["a", "a"]}, "models must have names that are not empty and all different"),
        ({"models": "a"}, "models must be a list"),
        ({"models": [5]}, "models[0] must be a name or an object"),
        ({"models": [{"name": "a", "size": 1}]}, "no such field: 'models[0].size'"),
        ({"models": [{"name": "a", "thinking": "yes"}]}, "models[0].thinking must be one of"),
        ({"fault_every": {"oops": 2}}, "no such fault: 'oops'"),
        ({"fault_every": {"429": 0}}, "fault_every: '429' must have a whole number"),
        ({"fault_every": {"429, 503": 2}}, "must be a single fault"),
        ({"fault_every": []}, "fault_every must be an object, got an array"),
    ],
)
async def test_a_wrong_option_is_named_and_changes_nothing(
    connect: Connect, changes: JsonObject, words: str
) -> None:
    sandbox = Sandbox()
    answer = await connect(sandbox).post("/sandbox/options", json={"seed": 5, **changes})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert sandbox.options == SandboxOptions()


async def test_other_pages_of_its_own_are_a_404_that_says_what_there_is(connect: Connect) -> None:
    client = connect(Sandbox())
    for method, path in (("GET", "/sandbox/reset"), ("GET", "/sandbox/none")):
        answer = await client.request(method, path)
        assert answer.status_code == 404
        assert "/sandbox/stats" in answer.json()["error"]
    assert (await client.post("/sandbox/options", content=b"[]")).status_code == 400


def test_the_key_is_not_in_the_options_text() -> None:
    assert "k-secret" not in repr(SandboxOptions(api_key="k-secret"))


def test_the_banner_says_that_nothing_is_real() -> None:
    text = banner("http://127.0.0.1:8000")
    assert "http://127.0.0.1:8000" in text
    assert "no real model" in text


def test_the_judge_shares_no_code_with_the_gateway() -> None:
    """Only reading and writing JSON text is shared."""
    assert package.__file__ is not None
    sources = list(Path(package.__file__).parent.glob("*.py"))
    assert len(sources) > 20
    imported: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
    ours = {name for name in imported if name.startswith("forebay")}
    own = {name for name in ours if name.startswith("forebay.endpoints.sandbox")}
    assert ours - own == {"forebay.protocol.jsontext"}
    assert not imported & {"asyncio", "threading", "random"}
