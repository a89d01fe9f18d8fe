"""Images, sound, moderations and ranks: whole requests and answers pass through as bytes."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from imitation import Answers, Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

JSON_PATHS = {
    "/v1/images/generations": "/images/generations",
    "/v1/moderations": "/moderations",
    "/v1/rerank": "/rerank",
    "/v2/rerank": "/rerank",
    "/rerank": "/rerank",
}
FORM_PATHS = {
    "/v1/images/edits": "/images/edits",
    "/v1/images/variations": "/images/variations",
    "/v1/audio/transcriptions": "/audio/transcriptions",
    "/v1/audio/translations": "/audio/translations",
}
BOUNDARY = "----odd'()+_,-./:=? boundary"
FORM_TYPE = f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"'
# All bytes, what looks like a boundary, and what looks like the field that is to be replaced.
SOUND = (
    bytes(range(256))
    + f"\r\n--{BOUNDARY[:-1]}\r\n".encode()
    + b'Content-Disposition: form-data; name="model"\r\n\r\nfast\r\n'
)


def _form(model: bytes | None = b"fast", stream: bytes = b"false") -> bytes:
    parts = [
        b'content-disposition: form-data; filename="m\xc3\xb6del.wav"; name="file"\r\n'
        b"Content-Type: audio/wav\r\n\r\n" + SOUND,
        b'Content-Disposition: form-data; name="stream"\r\n\r\n' + stream,
    ]
    if model is not None:
        parts.append(b'Content-Disposition:form-data;name="model"\r\n\r\n' + model)
    line = b"--" + BOUNDARY.encode()
    return b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n epilogue"


@asynccontextmanager
async def _world(
    answers: Answers | None = None,
    *,
    kind: str = "openai_compatible",
    models: Mapping[str, object] | None = None,
    **config: object,
) -> AsyncIterator[tuple[World, Imitation]]:
    imitation = Imitation(answers or {})
    provider = config.pop("provider", {})
    assert isinstance(provider, dict)
    settings = {
        "wait": {"max_wait_ms": 300_000},
        "providers": {
            "up": {
                "kind": kind,
                "base_url": "http://other.test/v1",
                "api_key": "upstream-key",
                **provider,
            }
        },
        "models": {"fast": {"targets": ["up/real-model"]}} if models is None else models,
        **config,
    }
    hosts = {"other.test": imitation.serve}
    async with open_world(settings, hosts=hosts) as world:
        yield world, imitation


async def _read_cut(world: World, path: str, request: dict[str, object]) -> bytes:
    """What comes of an answer that must break off without its proper end."""
    received = b""
    async with world.client.stream("POST", GATEWAY + path, json=request) as got:
        try:
            async for piece in got.aiter_raw():
                received += piece
        except httpx.RemoteProtocolError:
            return received
    raise AssertionError(f"it came to its proper end: {received!r}")


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_json_passes_both_ways_but_for_the_models_name(
    path: str, autojump_clock: MockClock
) -> None:
    sent = (
        b'{ "model" : "fast",\t"input":[1.0,1e3,"\\u00e9\\/"], "x_unknown":null ,"model":"fast"}\n'
    )
    answer = b'{ "data" : [1.50],"usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10} }\n'
    upstream = f"/v1{JSON_PATHS[path]}"
    async with _world({f"POST {upstream}": Imitated(answer)}) as (world, imitation):
        got = await world.client.post(
            GATEWAY + path, content=sent, headers={"content-type": "application/json; odd"}
        )
        assert (got.status_code, got.content) == (200, answer)
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-forebay-target"] == "up/real-model"
        (received,) = imitation.to(upstream)
        assert received.body == sent.replace(b'"fast"', b'"real-model"')
        assert received.headers["content-type"] == "application/json; odd"
        assert received.headers["authorization"] == "Bearer upstream-key"
        assert await world.is_at_rest()


@pytest.mark.parametrize("path", FORM_PATHS)
async def test_a_form_passes_but_for_the_models_name(path: str, autojump_clock: MockClock) -> None:
    upstream = f"/v1{FORM_PATHS[path]}"
    async with _world({f"POST {upstream}": Imitated(b'{"text":"hi"}')}) as (world, imitation):
        got = await world.client.post(
            GATEWAY + path, content=_form(), headers={"content-type": FORM_TYPE}
        )
        assert (got.status_code, got.content) == (200, b'{"text":"hi"}')
        (received,) = imitation.to(upstream)
        assert received.body == _form(b"real-model")
        assert received.headers["content-type"] == FORM_TYPE


async def test_sound_is_relayed_as_it_comes(autojump_clock: MockClock) -> None:
    """The first bytes reach the client while the upstream still speaks."""
    pieces = (b"\xff\xf3\x00\n", bytes(range(256)), b"\n\n")
    speech = Imitated(pieces, "audio/mpeg", pause=20)
    async with _world({"POST /v1/audio/speech": speech}) as (world, _):
        began = trio.current_time()
        async with world.client.stream(
            "POST", f"{GATEWAY}/v1/audio/speech", json={"model": "fast", "input": "hi"}
        ) as got:
            assert got.headers["content-type"] == "audio/mpeg"
            times, received = [], b""
            async for piece in got.aiter_raw():
                times.append(round(trio.current_time() - began))
                received += piece
        assert received == b"".join(pieces)
        assert times == [20, 40, 60]
        assert await world.is_at_rest()


async def test_a_stream_of_events_is_relayed_and_its_usage_is_charged(
    autojump_clock: MockClock,
) -> None:
    events = (
        b'event: image_generation.partial_image\ndata: {"b64_json":"AAAA"}\n\n',
        b"event: image_generation.completed\n",
        b'data: {"usage":{"input_tokens":50,"output_tokens":3950,"total_tokens":4000}}\n\n',
    )
    drawn = Imitated(events, "text/event-stream; charset=utf-8")
    limits = {"limits": {"tpm": 6000}}
    async with _world(
        {"POST /v1/images/generations": drawn}, provider=limits, wait={"max_wait_ms": 0}
    ) as (world, _):
        request = {"model": "fast", "prompt": "a cat", "stream": True}
        got = await world.client.post(f"{GATEWAY}/v1/images/generations", json=request)
        assert got.content == b"".join(events)
        assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
        again = await world.client.post(f"{GATEWAY}/v1/images/generations", json=request)
        assert again.status_code == 429, (
            "4000 of 6000 tokens a minute leave a debt of half a minute"
        )
        assert 25 <= int(again.headers["retry-after"]) <= 35


async def test_a_compressed_answer_passes_compressed_and_is_read_all_the_same(
    autojump_clock: MockClock,
) -> None:
    whole = b'{"results":[],"usage":{"total_tokens":4000}}'
    packed = Imitated(gzip.compress(whole), headers={"content-encoding": "gzip"})
    async with _world(
        {"POST /v1/rerank": packed}, provider={"limits": {"tpm": 6000}}, wait={"max_wait_ms": 0}
    ) as (world, imitation):
        request = httpx.Request(
            "POST",
            f"{GATEWAY}/v1/rerank",
            json={"model": "fast", "query": "q", "documents": ["d"]},
            headers={"accept-encoding": "br, gzip;q=0.5"},
        )
        got = await world.client.send(request, stream=True)
        raw = b"".join([piece async for piece in got.aiter_raw()])
        assert imitation.last.headers["accept-encoding"] == "gzip"
        assert got.headers["content-encoding"] == "gzip"
        assert raw == packed.body
        again = await world.client.send(request)
        assert again.status_code == 429, "the tokens of the first were counted"


@pytest.mark.parametrize("accepts", ["identity", "gzip;q=0", "br"])
async def test_nothing_is_compressed_for_clients_that_do_not_take_it(
    accepts: str, autojump_clock: MockClock
) -> None:
    async with _world({"POST /v1/rerank": Imitated(b"{}")}) as (world, imitation):
        body = {"model": "fast", "query": "q", "documents": []}
        headers = {"accept-encoding": accepts}
        await world.client.post(f"{GATEWAY}/v1/rerank", json=body, headers=headers)
        assert imitation.last.headers["accept-encoding"] == "identity"


async def test_requests_wait_for_a_place_as_all_others_do(autojump_clock: MockClock) -> None:
    slow = Imitated((b"sound",), "audio/wav", pause=10)
    async with _world({"POST /v1/audio/speech": slow}, provider={"limits": {"concurrency": 1}}) as (
        world,
        _,
    ):
        waited: list[int] = []

        async def speak() -> None:
            got = await world.client.post(
                f"{GATEWAY}/v1/audio/speech", json={"model": "fast", "input": "x"}
            )
            assert got.status_code == 200
            waited.append(int(got.headers["x-forebay-waited-ms"]))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(speak)
        assert waited == [0, 10_000, 20_000]


async def test_a_client_that_leaves_ends_the_call(autojump_clock: MockClock) -> None:
    endless = Imitated((b"la",) * 1000, "audio/wav", pause=1)
    async with _world({"POST /v1/audio/speech": endless}) as (world, imitation):
        with trio.move_on_after(5):
            await world.client.post(
                f"{GATEWAY}/v1/audio/speech", json={"model": "fast", "input": "x"}
            )
        await trio.sleep(2)
        assert imitation.cut_off == 1
        assert await world.is_at_rest()


async def test_a_refused_call_waits_and_is_made_again(autojump_clock: MockClock) -> None:
    answers = iter(
        [
            Imitated(
                b'{"error":{"message":"slow down"}}', status=429, headers={"retry-after": "7"}
            ),
            Imitated(b'{"results":[]}'),
        ]
    )
    async with _world({"POST /v1/moderations": lambda _: next(answers)}) as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/moderations", json={"model": "fast", "input": "x"}
        )
        assert (got.status_code, got.content) == (200, b'{"results":[]}')
        assert got.headers["x-forebay-attempts"] == "2"
        assert int(got.headers["x-forebay-waited-ms"]) >= 7000


async def test_an_answer_that_breaks_off_never_ends_properly(autojump_clock: MockClock) -> None:
    cut = Imitated((b"first", b"second"), "audio/wav", is_cut=True)
    async with _world({"POST /v1/audio/speech": cut}) as (world, _):
        received = await _read_cut(world, "/v1/audio/speech", {"model": "fast", "input": "x"})
        assert received == b"firstsecond"
        assert await world.is_at_rest()


async def test_a_held_stream_of_events_is_kept_alive(autojump_clock: MockClock) -> None:
    late = Imitated((b"data: {}\n\n",), "text/event-stream", pause=40)
    async with _world({"POST /v1/images/generations": late}) as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/images/generations",
            json={"model": "fast", "prompt": "x", "stream": True},
            headers={"accept-encoding": "gzip"},
        )
        assert got.content == b": keep-alive\n\n" * 3 + b"data: {}\n\n"
        assert got.headers["content-type"] == "text/event-stream"


async def test_a_held_stream_that_fails_says_so_in_an_event(autojump_clock: MockClock) -> None:
    late = Imitated((b"{}",), "application/json", pause=40)
    async with _world({"POST /v1/images/generations": late}) as (world, _):
        request = {"model": "fast", "prompt": "x", "stream": True}
        received = await _read_cut(world, "/v1/images/generations", request)
        assert b'data: {"error":{"message":"the upstream answered whole' in received


async def test_a_held_whole_answer_is_kept_alive_where_that_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    late = Imitated((b'{"data":[]}',), pause=265)
    async with _world({"POST /v1/images/generations": late}) as (world, imitation):
        got = await world.client.post(
            f"{GATEWAY}/v1/images/generations",
            json={"model": "fast", "prompt": "x"},
            headers={"x-forebay-hold": "keepalive", "accept-encoding": "gzip"},
        )
        assert got.content == b"\n\n\n" + b'{"data":[]}'
        assert got.json() == {"data": []}
        # It began before anybody could know how the answer would be packed.
        assert imitation.last.headers["accept-encoding"] == "identity"


async def test_an_error_with_status_200_is_an_error(autojump_clock: MockClock) -> None:
    """Trap 76."""
    told = Imitated(b'{"error":{"message":"no such voice","code":400}}')
    async with _world({"POST /v1/moderations": told}) as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/moderations", json={"model": "fast", "input": "x"}
        )
        assert got.status_code == 400
        assert got.json()["error"]["message"] == "no such voice"


async def test_an_answer_that_is_no_json_is_a_fault_of_its_server(
    autojump_clock: MockClock,
) -> None:
    for broken in (
        Imitated(b"{nonsense"),
        Imitated(b"not packed", headers={"content-encoding": "gzip"}),
        Imitated(b"", status=302, headers={"location": "/elsewhere"}),
    ):
        async with _world({"POST /v1/moderations": broken}) as (world, imitation):
            got = await world.client.post(
                f"{GATEWAY}/v1/moderations",
                json={"model": "fast", "input": "x"},
                headers={"accept-encoding": "gzip"},
            )
            assert got.status_code == 502
            assert len(imitation.to("/v1/moderations")) == 3


async def test_nothing_is_put_into_silent_sound(autojump_clock: MockClock) -> None:
    """Not even where the client asks to be kept alive: there is nothing that says nothing."""
    late = Imitated((b"sound",), "audio/wav", pause=290)
    async with _world({"POST /v1/audio/speech": late}) as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/audio/speech",
            json={"model": "fast", "input": "x"},
            headers={"x-forebay-hold": "keepalive"},
        )
        assert (got.status_code, got.content) == (200, b"sound")


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/moderations", "up/omni-moderation-latest"),
        ("/v1/images/generations", "up/dall-e-2"),
    ],
)
async def test_openai_chooses_where_no_model_is_named(
    path: str, model: str, autojump_clock: MockClock
) -> None:
    async with _world({f"POST {path}": Imitated()}, kind="openai") as (world, imitation):
        sent = b'{"input": "x", "prompt": "x"}'
        got = await world.client.post(GATEWAY + path, content=sent)
        assert got.status_code == 200
        assert got.headers["x-forebay-target"] == model
        assert imitation.last.body == sent


async def test_the_first_model_that_can_stands_in_at_other_servers(
    autojump_clock: MockClock,
) -> None:
    async with _world(
        {"POST /v1/moderations": Imitated(), "POST /v1/images/edits": Imitated()}
    ) as (world, imitation):
        got = await world.client.post(f"{GATEWAY}/v1/moderations", content=b' {"input":"x"}')
        assert got.status_code == 200
        assert imitation.last.body == b' {"model":"real-model","input":"x"}'
        got = await world.client.post(
            f"{GATEWAY}/v1/images/edits", content=_form(None), headers={"content-type": FORM_TYPE}
        )
        assert got.status_code == 200
        named = b'Content-Disposition: form-data; name="model"\r\n\r\nreal-model\r\n'
        line = b"--" + BOUNDARY.encode() + b"\r\n"
        assert imitation.last.body == line + named + _form(None)


@pytest.mark.parametrize(
    ("path", "models"),
    [("/v1/moderations", {}), ("/v1/audio/speech", None), ("/v1/rerank", None)],
)
async def test_a_model_that_nobody_can_guess_is_asked_for(
    path: str, models: dict[str, object] | None, autojump_clock: MockClock
) -> None:
    async with _world(models=models) as (world, _):
        got = await world.client.post(GATEWAY + path, json={"input": "x"})
        assert got.status_code == 400
        assert got.json()["error"]["param"] == "model"


async def test_a_target_without_the_api_is_refused_clearly(autojump_clock: MockClock) -> None:
    async with open_world(
        {
            "providers": {"up": {"kind": "ollama", "hosts": ["http://up.test"]}},
            "models": {"fast": {"targets": ["up/sandbox-chat"]}},
        }
    ) as world:
        for path, verb in (("/v1/images/generations", "makes images"), ("/v2/rerank", "ranks")):
            got = await world.client.post(GATEWAY + path, json={"model": "fast"})
            assert got.status_code == 400
            error = got.json()["error"]
            assert error["message"].startswith(f"model 'fast' has no target that {verb}")
            assert error["param"] == "model"


async def test_a_server_that_lacks_the_api_is_told_in_openais_words(
    autojump_clock: MockClock,
) -> None:
    async with _world() as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/audio/speech", json={"model": "fast", "input": "x"}
        )
        assert got.status_code == 404
        assert set(got.json()["error"]) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{nonsense"),
        ("application/json", b"[1]"),
        ("application/json", b'{"model": 5}'),
        ("multipart/form-data", b"--B\r\n"),
        ("multipart/form-data; boundary=B", b""),
        ("multipart/form-data; boundary=B", b"no boundary anywhere"),
        ("multipart/form-data; boundary=B", b"--B\r\nno: header\r\n\r\nx\r\n--B--"),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nbreaks off',
        ),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: \xff\r\n\r\nx\r\n--B--"),
    ],
)
async def test_bodies_that_are_none_get_a_400(
    content_type: str, body: bytes, autojump_clock: MockClock
) -> None:
    async with _world() as (world, imitation):
        got = await world.client.post(
            f"{GATEWAY}/v1/images/edits", content=body, headers={"content-type": content_type}
        )
        assert got.status_code == 400, got.text
        assert got.json()["error"]["type"] == "invalid_request_error"
        assert not imitation.to("/v1/images/edits")


async def test_a_file_full_of_commas_is_no_json(autojump_clock: MockClock) -> None:
    async with _world({"POST /v1/audio/transcriptions": Imitated()}) as (world, _):
        got = await world.client.post(
            f"{GATEWAY}/v1/audio/transcriptions",
            data={"model": "fast"},
            files={"file": ("commas.wav", b"," * 600_000)},
        )
        assert got.status_code == 200


async def test_keys_and_models_of_clients_count_here_too(autojump_clock: MockClock) -> None:
    clients = {"ana": {"key": "ana-key-of-hers", "models": ["other"]}}
    models = {"fast": {"targets": ["up/real"]}, "other": {"targets": ["up/other"]}}
    async with _world({"POST /v1/moderations": Imitated()}, clients=clients, models=models) as (
        world,
        imitation,
    ):
        url = f"{GATEWAY}/v1/moderations"
        body = {"model": "fast", "input": "x"}
        assert (await world.client.post(url, json=body)).status_code == 401
        headers = {"api-key": "ana-key-of-hers"}
        assert (await world.client.post(url, json=body, headers=headers)).status_code == 403
        allowed = await world.client.post(url, json={"input": "x"}, headers=headers)
        assert allowed.headers["x-forebay-target"] == "up/other"
        assert len(imitation.to("/v1/moderations")) == 1
