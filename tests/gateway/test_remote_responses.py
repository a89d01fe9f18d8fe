"""Asking a provider about an answer that it keeps: its refusals, its failures, its streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from imitation import Answers, Imitated, Imitation, Received
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

ID = "resp_abc"
PATH = f"/v1/responses/{ID}"
UPSTREAM = f"/v1/responses/{ID}"
QUEUED = {
    "id": ID,
    "object": "response",
    "created_at": 1,
    "status": "queued",
    "background": True,
    "model": "real-model",
    "output": [],
    "error": None,
}
FAILED = {**QUEUED, "status": "failed", "error": {"code": "server_error", "message": "oh"}}
NOT_FOUND = b'{"error":{"message":"gone","type":"invalid_request_error","param":null,"code":null}}'


def said(answer: Mapping[str, Any], **more: Any) -> Imitated:  # noqa: ANN401 - as Imitated has it
    return Imitated(json.dumps(answer).encode(), **more)


def in_turn(*answers: Imitated) -> Callable[[Received], Imitated]:
    """One after the other, then the last for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@asynccontextmanager
async def held(answers: Answers, **config: object) -> AsyncIterator[tuple[World, Imitation]]:
    """A world in which ``resp_abc`` is kept by the provider ``up``."""
    models = said({"object": "list", "data": []})
    imitation = Imitation({"GET /v1/models": models, "POST /v1/responses": said(QUEUED), **answers})
    settings = {
        "wait": {"max_wait_ms": 60_000},
        "providers": {
            "up": {"kind": "openai", "base_url": "http://other.test/v1", "api_key": "upstream-key"}
        },
        "models": {"fast": {"targets": ["up/real-model"]}},
        **config,
    }
    async with open_world(settings, hosts={"other.test": imitation.serve}) as world:
        asked = {"model": "fast", "input": "hi", "background": True}
        got = await world.client.post(f"{GATEWAY}/v1/responses", json=asked)
        assert (got.status_code, got.json()) == (200, QUEUED)
        yield world, imitation
        assert await world.is_at_rest()


async def ask(world: World, method: str = "GET", below: str = "", **more: Any) -> httpx.Response:  # noqa: ANN401
    return await world.client.request(method, f"{GATEWAY}{PATH}{below}", **more)


def error_of(got: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = got.json()["error"]
    return error


async def test_the_request_goes_as_it_came_but_for_the_models_name(
    autojump_clock: MockClock,
) -> None:
    sent = b'{ "model" : "fast", "background":true, "input":"\\u00e9","background_options":{}}'
    async with held({}) as (world, imitation):
        got = await world.client.post(f"{GATEWAY}/v1/responses", content=sent)
        assert got.json() == QUEUED
        assert imitation.last.body == sent.replace(b'"fast"', b'"real-model"')


@pytest.mark.parametrize(
    ("method", "below"),
    [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")],
)
async def test_a_question_goes_to_the_provider_and_its_answer_comes_back_as_it_is(
    method: str, below: str, autojump_clock: MockClock
) -> None:
    answer = b'{ "id":"resp_abc", "odd" : 1.50 , "error":{"code":"x","message":"y"}}\n'
    async with held({f"{method} {UPSTREAM}{below}": Imitated(answer)}) as (world, imitation):
        got = await ask(world, method, below)
        assert (got.status_code, got.content) == (200, answer)
        assert got.headers["x-forebay-target"] == "up/real-model"
        assert got.headers["x-forebay-attempts"] == "1"
        assert imitation.last.headers["authorization"] == "Bearer upstream-key"


async def test_what_is_deleted_there_is_forgotten_here(autojump_clock: MockClock) -> None:
    for status, body in ((200, b"{}"), (404, NOT_FOUND)):
        gone = Imitated(body, status=status)
        async with held({f"DELETE {UPSTREAM}": gone}) as (world, imitation):
            assert (await ask(world, "DELETE")).status_code == status
            asked = len(imitation.requests)
            again = await ask(world)
            assert again.status_code == 404
            assert error_of(again)["message"] == f"Response with id '{ID}' not found."
            assert len(imitation.requests) == asked


async def test_an_answer_that_is_not_there_yet_is_asked_for_again(
    autojump_clock: MockClock,
) -> None:
    answers = in_turn(Imitated(NOT_FOUND, status=404), said(QUEUED))
    async with held({f"GET {UPSTREAM}": answers}) as (world, _):
        first = await ask(world)
        assert (first.status_code, first.content) == (404, NOT_FOUND)
        assert (await ask(world)).json() == QUEUED


async def test_one_that_failed_is_an_answer_like_any_other(autojump_clock: MockClock) -> None:
    async with held({f"GET {UPSTREAM}": said(FAILED)}) as (world, _):
        got = await ask(world)
        assert (got.status_code, got.json()) == (200, FAILED)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"id":', b'"resp_abc"'])
async def test_what_is_no_answer_is_a_502(body: bytes, autojump_clock: MockClock) -> None:
    async with held({f"GET {UPSTREAM}": Imitated(body)}) as (world, _):
        got = await ask(world)
        assert got.status_code == 502
        assert error_of(got)["type"] == "server_error"


async def test_the_query_goes_along_with_every_value(autojump_clock: MockClock) -> None:
    query = "include%5B%5D=a&include%5B%5D=b&starting_after=7&odd=%C3%A9%20%26"
    where = f"{UPSTREAM}?{query}"
    async with held({f"GET {where}": said(QUEUED)}) as (world, imitation):
        got = await ask(world, below=f"?max_wait_ms=1000&{query}")
        assert got.status_code == 200, got.text
        assert imitation.last.path == where


async def test_a_refusal_is_waited_out(autojump_clock: MockClock) -> None:
    refusals = (
        Imitated(status=429, headers={"retry-after": "7"}),
        Imitated(status=503),
        Imitated(status=429),
    )
    async with held({f"GET {UPSTREAM}": in_turn(*refusals, said(QUEUED))}) as (world, _):
        began = trio.current_time()
        got = await ask(world)
        assert (got.status_code, got.json()) == (200, QUEUED)
        assert trio.current_time() - began == pytest.approx(7 + 0.5 + 1)
        assert got.headers["x-forebay-attempts"] == "4"


async def test_a_refusal_that_outlasts_the_client_is_a_429_that_says_when(
    autojump_clock: MockClock,
) -> None:
    refusal = Imitated(status=429, headers={"retry-after": "30"})
    async with held({f"GET {UPSTREAM}": refusal}) as (world, _):
        got = await ask(world, headers={"x-forebay-max-wait-ms": "20000"})
        assert (got.status_code, got.headers["retry-after"]) == (429, "30")
        assert got.headers["x-should-retry"] == "false"
        assert error_of(got)["code"] == "rate_limit_exceeded"


async def test_a_pause_of_the_same_model_is_respected(autojump_clock: MockClock) -> None:
    answers = in_turn(Imitated(status=429, headers={"retry-after": "40"}), said(QUEUED))
    async with held({f"GET {UPSTREAM}": said(QUEUED)}) as (world, imitation):
        imitation.answers["POST /v1/responses"] = answers
        async with trio.open_nursery() as nursery:
            asked = {"model": "fast", "input": "hi", "background": True}
            nursery.start_soon(lambda: world.client.post(f"{GATEWAY}/v1/responses", json=asked))
            await trio.sleep(1)
            began = trio.current_time()
            late = await ask(world, headers={"x-forebay-max-wait-ms": "5000"})
            assert (late.status_code, late.headers["retry-after"]) == (429, "39")
            assert (await ask(world)).status_code == 200
            assert trio.current_time() - began == pytest.approx(39)


async def test_a_question_waits_for_no_place_and_takes_none(autojump_clock: MockClock) -> None:
    """The only slot is held by an answer of half an hour."""
    slow = Imitated((json.dumps({**QUEUED, "id": "resp_slow"}).encode(),), pause=1800)
    provider = {
        "kind": "openai",
        "base_url": "http://other.test/v1",
        "api_key": "upstream-key",
        "limits": {"concurrency": 1},
        "timeouts": {"between_bytes_ms": 3_600_000},
    }
    async with held({f"GET {UPSTREAM}": said(QUEUED)}, providers={"up": provider}) as (
        world,
        imitation,
    ):
        imitation.answers["POST /v1/responses"] = slow
        async with trio.open_nursery() as nursery:
            asked = {"model": "fast", "input": "hi"}
            nursery.start_soon(lambda: world.client.post(f"{GATEWAY}/v1/responses", json=asked))
            await trio.sleep(1)
            began = trio.current_time()
            assert (await ask(world)).status_code == 200
            assert trio.current_time() == began
            assert world.gateway.in_flight == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_broken_call_is_only_repeated_where_that_does_no_harm(
    method: str, autojump_clock: MockClock
) -> None:
    broken = Imitated(b"<html>", status=500)
    async with held({f"{method} {UPSTREAM}": in_turn(broken, said(QUEUED))}) as (world, _):
        got = await ask(world, method)
        assert got.status_code == (200 if method == "GET" else 502)


async def test_what_keeps_breaking_is_told_after_three_calls(autojump_clock: MockClock) -> None:
    async with held({f"GET {UPSTREAM}": Imitated(b"<html>", status=500)}) as (world, imitation):
        got = await ask(world)
        assert (got.status_code, got.headers["x-forebay-attempts"]) == (502, "3")
        assert len(imitation.to(UPSTREAM)) == 3


async def test_a_provider_that_is_away_is_looked_for_three_times(
    autojump_clock: MockClock,
) -> None:
    async with held({}) as (world, _):
        world.network.unplug("other.test")
        await trio.sleep(300)
        got = await ask(world, "DELETE")
        assert (got.status_code, got.headers["x-forebay-attempts"]) == (502, "3")
        assert "other.test" not in got.text


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_troubles_of_the_gateways_own_key_are_not_the_clients(
    status: int, autojump_clock: MockClock
) -> None:
    body = b'{"error":{"message":"bad key upstream-key","type":"x","param":null,"code":null}}'
    async with held({f"GET {UPSTREAM}": Imitated(body, status=status)}) as (world, _):
        got = await ask(world)
        assert got.status_code == 503
        assert "key" not in got.text


async def test_a_question_that_is_rejected_is_answered_in_the_providers_words(
    autojump_clock: MockClock,
) -> None:
    body = b'{"error":{"message":"no, upstream-key","type":"x","param":"stream","code":null}}'
    async with held({f"GET {UPSTREAM}": Imitated(body, status=400)}) as (world, _):
        got = await ask(world)
        assert (got.status_code, error_of(got)["message"]) == (400, "no, [secret]")


async def test_only_the_methods_that_there_are_are_served(autojump_clock: MockClock) -> None:
    async with held({f"GET {UPSTREAM}": said(QUEUED)}) as (world, imitation):
        asked = len(imitation.requests)
        for method, below in (("PUT", ""), ("POST", "/input_items"), ("GET", "/cancel")):
            wrong = await ask(world, method, below)
            assert (wrong.status_code, bool(wrong.headers["allow"])) == (405, True)
        for below in ("/other", "/input_items/msg_1", "/"):
            assert (await ask(world, below=below)).status_code == 404
        assert len(imitation.requests) == asked
        head = await ask(world, "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert imitation.last.method == "GET"


# Streams


def frame(number: int, kind: str, **fields: object) -> bytes:
    event = {"type": kind, "sequence_number": number, **fields}
    return f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()


CREATED = frame(0, "response.created", response=QUEUED)
WAITING = frame(1, "response.queued", response=QUEUED)
DELTA = frame(
    2,
    "response.output_text.delta",
    item_id="msg_1",
    output_index=0,
    content_index=0,
    delta="hello",
    logprobs=[],
)
DONE = frame(
    3,
    "response.completed",
    response={
        **QUEUED,
        "status": "completed",
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
)


def streamed(*frames: bytes, **more: Any) -> Imitated:  # noqa: ANN401 - as Imitated has it
    return Imitated(frames, content_type="text/event-stream; charset=utf-8", **more)


async def heard(
    world: World,
    method: str,
    url: str,
    **more: Any,  # noqa: ANN401 - as httpx has it
) -> tuple[list[bytes], list[float], bool]:
    """Its pieces, seconds at which they came, and whether it came to its end."""
    began = trio.current_time()
    pieces: list[bytes] = []
    times: list[float] = []
    whole = True
    async with world.client.stream(method, url, **more) as got:
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        try:
            async for piece in got.aiter_raw():
                pieces.append(piece)
                times.append(trio.current_time() - began)
        except httpx.RemoteProtocolError:
            whole = False
    return pieces, times, whole


BACKGROUND = {"model": "fast", "input": "hi", "background": True, "stream": True}


async def test_a_stream_in_the_background_tells_its_id_before_it_has_anything_to_say(
    autojump_clock: MockClock,
) -> None:
    slow = streamed(CREATED + WAITING, DELTA, DONE, pause=100)
    async with held({}) as (world, imitation):
        imitation.answers["POST /v1/responses"] = slow
        pieces, times, whole = await heard(
            world, "POST", f"{GATEWAY}/v1/responses", json=BACKGROUND
        )
        assert whole
        comment = b": waiting\n\n"
        assert b"".join(pieces).replace(comment, b"") == CREATED + WAITING + DELTA + DONE
        said_at = [at for at, piece in zip(times, pieces, strict=True) if piece != comment]
        assert said_at == pytest.approx([100, 200, 300])
        # Alive in between, with what has no number.
        assert b"".join(pieces).count(comment) > 15


async def test_a_stream_that_breaks_off_can_be_taken_up(autojump_clock: MockClock) -> None:
    resumed = streamed(DELTA, DONE)
    answers = {f"GET {UPSTREAM}?stream=true&starting_after=1": resumed}
    async with held({f"DELETE {UPSTREAM}": said({}), **answers}) as (world, imitation):
        assert (await ask(world, "DELETE")).status_code == 200
        imitation.answers["POST /v1/responses"] = streamed(CREATED + WAITING, is_cut=True)
        pieces, _, whole = await heard(world, "POST", f"{GATEWAY}/v1/responses", json=BACKGROUND)
        assert b"".join(pieces).startswith(CREATED + WAITING)
        rest, _, whole = await heard(world, "GET", f"{GATEWAY}{PATH}?stream=true&starting_after=1")
        assert (b"".join(rest), whole) == (DELTA + DONE, True)


async def test_a_stream_that_waits_keeps_the_numbers_of_its_provider(
    autojump_clock: MockClock,
) -> None:
    """Held behind another one for a minute: what keeps it alive says nothing that counts."""
    provider = {
        "kind": "openai",
        "base_url": "http://other.test/v1",
        "api_key": "upstream-key",
        "limits": {"concurrency": 1},
    }
    async with held({}, providers={"up": provider}) as (world, imitation):
        first = Imitated((json.dumps({**QUEUED, "id": "resp_slow"}).encode(),), pause=60)
        imitation.answers["POST /v1/responses"] = in_turn(
            first, streamed(CREATED + WAITING, DELTA, DONE)
        )
        async with trio.open_nursery() as nursery:
            asked = {"model": "fast", "input": "hi"}
            nursery.start_soon(lambda: world.client.post(f"{GATEWAY}/v1/responses", json=asked))
            await trio.sleep(1)
            pieces, times, whole = await heard(
                world, "POST", f"{GATEWAY}/v1/responses", json=BACKGROUND
            )
        assert whole
        assert times[0] == pytest.approx(15)
        assert b"".join(pieces).replace(b": waiting\n\n", b"") == CREATED + WAITING + DELTA + DONE
        assert (await ask(world)).status_code == 404  # by the provider: it was asked
        assert imitation.last.path == UPSTREAM


async def test_a_stream_that_is_followed_is_kept_alive(autojump_clock: MockClock) -> None:
    slow = streamed(WAITING, DELTA, DONE, pause=30)
    async with held({f"GET {UPSTREAM}?stream=true": slow}) as (world, _):
        pieces, times, whole = await heard(world, "GET", f"{GATEWAY}{PATH}?stream=true")
        assert whole
        assert b"".join(pieces).replace(b": keep-alive\n\n", b"") == WAITING + DELTA + DONE
        assert b"".join(pieces).count(b": keep-alive\n\n") >= 5
        assert times[0] == pytest.approx(15)


async def test_a_followed_stream_that_breaks_off_never_ends_properly(
    autojump_clock: MockClock,
) -> None:
    cut = streamed(WAITING, DELTA, is_cut=True)
    async with held({f"GET {UPSTREAM}?stream=true": cut}) as (world, _):
        pieces, _, whole = await heard(world, "GET", f"{GATEWAY}{PATH}?stream=true")
        assert (b"".join(pieces), whole) == (WAITING + DELTA, False)


async def test_a_client_that_stops_following_frees_its_call(autojump_clock: MockClock) -> None:
    slow = streamed(*[WAITING] * 50, pause=10)
    async with held({f"GET {UPSTREAM}?stream=true": slow}) as (world, imitation):
        with trio.move_on_after(25):
            await heard(world, "GET", f"{GATEWAY}{PATH}?stream=true")
        assert await world.is_at_rest()
        await trio.sleep(30)
        assert imitation.cut_off == 1


async def test_whole_where_a_stream_was_asked_for_in_the_background_is_no_answer(
    autojump_clock: MockClock,
) -> None:
    async with held({}) as (world, _):
        got = await world.client.post(f"{GATEWAY}/v1/responses", json=BACKGROUND)
        assert got.status_code == 502


async def test_nobody_is_asked_while_the_gateway_ends(autojump_clock: MockClock) -> None:
    async with held({f"GET {UPSTREAM}": said(QUEUED)}) as (world, imitation):
        asked = len(imitation.requests)
        world.gateway.begin_drain()
        assert (await ask(world)).status_code == 503
        assert len(imitation.requests) == asked


async def test_an_answer_whose_provider_is_no_longer_configured_is_not_found(
    autojump_clock: MockClock,
) -> None:
    async with held({}) as (world, _):
        del world.gateway.providers["up"]
        assert (await ask(world)).status_code == 404
