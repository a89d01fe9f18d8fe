"""Ollama's pull, push, create, copy, delete and blobs: passed to the server that is meant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from imitation import Imitated, Imitation, Received
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

DIGEST = "/api/blobs/sha256:" + "0" * 64
PROGRESS = (
    b'{"status":"pulling manifest"}\n{"status":"pulling 00","total":9,"comp',
    b'leted":4}\n',
    b'{"status":"success"}\n',
)


class OllamaServer(Imitation):
    """Knows which models it has."""

    def __init__(self, *models: str) -> None:
        self.models = list(models)
        super().__init__(
            {
                "GET /api/tags": lambda _: self._tags(),
                "POST /api/pull": self._pull,
                "POST /api/push": Imitated(b'{"status":"success"}'),
                "POST /api/create": Imitated(b'{"status":"success"}'),
                "POST /api/copy": self._copy,
                "DELETE /api/delete": self._delete,
                f"HEAD {DIGEST}": Imitated(b""),
                f"POST {DIGEST}": Imitated(b"", status=201),
            }
        )

    def _tags(self) -> Imitated:
        models = [{"name": name, "model": name} for name in self.models]
        return Imitated(json.dumps({"models": models}).encode())

    def _pull(self, request: Received) -> Imitated:
        fields = json.loads(request.body)
        self.models.append(fields["model"])
        if fields.get("stream") is False:
            return Imitated(b'{"status":"success"}')
        return Imitated(PROGRESS, "application/x-ndjson", pause=10)

    def _copy(self, request: Received) -> Imitated:
        self.models.append(json.loads(request.body)["destination"])
        return Imitated(b"", "text/plain")

    def _delete(self, request: Received) -> Imitated:
        name = json.loads(request.body)["model"]
        if name not in self.models:
            return Imitated(b'{"error":"model \'%b\' not found"}' % name.encode(), status=404)
        self.models.remove(name)
        return Imitated(b"", "text/plain")


@asynccontextmanager
async def _world(
    *servers: OllamaServer, hosts: Sequence[OllamaServer] = (), **config: object
) -> AsyncIterator[World]:
    """Providers ``l1``, ``l2``, ...: one for each of ``servers``; and ``l`` over all ``hosts``."""
    providers: dict[str, object] = {
        f"l{number}": {"kind": "ollama", "hosts": [f"http://l{number}.test"]}
        for number in range(1, len(servers) + 1)
    }
    reachable = {f"l{number}.test": server.serve for number, server in enumerate(servers, 1)}
    if hosts:
        names = [f"host{number}.test" for number in range(1, len(hosts) + 1)]
        providers["l"] = {"kind": "ollama", "hosts": [f"http://{name}" for name in names]}
        reachable.update((name, host.serve) for name, host in zip(names, hosts, strict=True))
    providers["up"] = {"kind": "openai_compatible", "base_url": "http://up.test/v1"}
    async with open_world({"providers": providers, **config}, hosts=reachable) as world:
        await trio.sleep(1)
        yield world


async def _call(
    world: World, path: str, body: dict[str, object], method: str = "POST", **headers: str
) -> httpx.Response:
    return await world.client.request(method, GATEWAY + path, json=body, headers=headers)


async def _listed(world: World) -> set[str]:
    got = await world.client.get(f"{GATEWAY}/api/tags")
    return {model["name"] for model in got.json()["models"]}


async def test_the_progress_of_a_pull_comes_as_it_is_made(autojump_clock: MockClock) -> None:
    server = OllamaServer()
    async with _world(server) as world:
        began = trio.current_time()
        sent = b'{ "model":"llama3.2", "insecure": false }'
        async with world.client.stream("POST", f"{GATEWAY}/api/pull", content=sent) as got:
            assert got.headers["content-type"] == "application/x-ndjson"
            pieces = [
                (round(trio.current_time() - began), piece) async for piece in got.aiter_raw()
            ]
        assert pieces == [(10, PROGRESS[0]), (20, PROGRESS[1]), (30, PROGRESS[2])]
        assert server.to("/api/pull")[0].body == sent
        assert "l1/llama3.2:latest" in await _listed(world), "known at once"
        assert await world.is_at_rest()


async def _pull_big(world: World) -> None:
    await _call(world, "/api/pull", {"model": "big"})


async def test_a_pull_takes_no_place_of_those_who_ask_for_answers(
    autojump_clock: MockClock,
) -> None:
    server = OllamaServer("m:latest")
    server.answers["POST /api/chat"] = Imitated(
        b'{"model":"m","created_at":"2026-01-01T00:00:00Z","done":true,"done_reason":"stop",'
        b'"message":{"role":"assistant","content":"hi"}}'
    )
    async with _world(server) as world, trio.open_nursery() as nursery:
        nursery.start_soon(_pull_big, world)
        await trio.sleep(1)
        chat: dict[str, object] = {
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "stream": False,
        }
        got = await _call(world, "/api/chat", chat)
        assert got.headers["x-forebay-waited-ms"] == "0"


async def test_the_provider_in_front_of_a_name_is_meant_and_left_out(
    autojump_clock: MockClock,
) -> None:
    first, second = OllamaServer(), OllamaServer("old:latest")
    async with _world(first, second) as world:
        assert (await _call(world, "/api/pull", {"model": "l2/hf.co/x/y", "stream": False})).json()
        assert json.loads(second.to("/api/pull")[0].body)["model"] == "hf.co/x/y"
        copy: dict[str, object] = {"source": "l2/old", "destination": "l2/new"}
        assert (await _call(world, "/api/copy", copy)).status_code == 200
        assert json.loads(second.to("/api/copy")[0].body) == {"source": "old", "destination": "new"}
        create: dict[str, object] = {"model": "mine", "from": "l2/old", "stream": False}
        assert (await _call(world, "/api/create", create)).status_code == 200
        assert json.loads(second.to("/api/create")[0].body)["from"] == "old"
        assert {"l2/hf.co/x/y:latest", "l2/new:latest"} <= await _listed(world)
        assert {each.path for each in first.requests} == {"/api/tags"}


async def test_who_alone_lists_a_model_is_meant(autojump_clock: MockClock) -> None:
    first, second = OllamaServer("a:latest", "both"), OllamaServer("b", "both")
    async with _world(first, second) as world:
        got = await _call(world, "/api/delete", {"model": "a:latest"}, "DELETE")
        assert (got.status_code, got.content) == (200, b"")
        assert first.models == ["both"]
        assert "l1/a:latest" not in await _listed(world)
        # The older name of the field; and what a new model is made of tells as well.
        push: dict[str, object] = {"name": "b:latest"}
        assert (await _call(world, "/api/push", push)).status_code == 200
        create: dict[str, object] = {"model": "new", "from": "b"}
        assert (await _call(world, "/api/create", create)).status_code == 200
        assert len(second.to("/api/push")) == len(second.to("/api/create")) == 1
        for name in ("both", "nobodys"):
            got = await _call(world, "/api/delete", {"model": name}, "DELETE")
            assert got.status_code == 400
            assert "'l1', 'l2'" in got.json()["error"]
            assert f"'l1/{name}'" in got.json()["error"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"model": "up/sandbox-chat"}, "'up' is no Ollama server"),
        ({"model": "l1/x", "from": "up/y"}, "several providers: 'l1', 'up'"),
        ({}, "missing required parameter: 'model'"),
        ({"model": ["x"]}, "'model' must be a string"),
    ],
)
async def test_what_can_not_be_meant_is_told_in_ollamas_words(
    names: dict[str, object], said: str, autojump_clock: MockClock
) -> None:
    async with _world(OllamaServer()) as world:
        got = await _call(world, "/api/create", names)
        assert got.status_code == 400
        assert said in got.json()["error"]
        got = await world.client.post(f"{GATEWAY}/api/create", content=b"{nonsense")
        assert got.status_code == 400
        assert isinstance(got.json()["error"], str)


async def test_without_an_ollama_server_nothing_can_be_managed(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        got = await _call(world, "/api/pull", {"model": "llama3.2"})
        assert got.status_code == 400
        assert got.json()["error"].startswith("no Ollama server is configured")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/pull"), ("POST", "/api/delete"), ("DELETE", "/api/copy"), ("GET", DIGEST)],
)
async def test_other_methods_are_refused(method: str, path: str, autojump_clock: MockClock) -> None:
    async with _world(OllamaServer()) as world:
        got = await world.client.request(method, GATEWAY + path)
        assert got.status_code == 405
        assert isinstance(got.json()["error"], str)


async def test_a_servers_own_error_is_passed_on(autojump_clock: MockClock) -> None:
    async with _world(OllamaServer()) as world:
        got = await _call(world, "/api/delete", {"model": "gone"}, "DELETE")
        assert (got.status_code, got.json()) == (404, {"error": "model 'gone' not found"})
        world.network.unplug("l1.test")
        # Kept connections are still there; a new one is not.
        await trio.sleep(120)
        got = await _call(world, "/api/delete", {"model": "gone"}, "DELETE")
        assert (got.status_code, got.json()) == (502, {"error": "could not connect to 'l1'"})


async def test_only_clients_who_may_manage_models_do(autojump_clock: MockClock) -> None:
    clients = {
        "ana": {"key": "key-of-ana", "manage_models": True},
        "bob": {"key": "key-of-bob"},
    }
    server = OllamaServer()
    async with _world(server, clients=clients) as world:
        body: dict[str, object] = {"model": "m", "stream": False}
        got = await _call(world, "/api/pull", body, authorization="Bearer key-of-bob")
        assert got.status_code == 403
        assert "manage_models" in got.json()["error"]
        assert not server.to("/api/pull")
        got = await world.client.head(
            GATEWAY + DIGEST, headers={"authorization": "Bearer key-of-bob"}
        )
        assert got.status_code == 403
        got = await _call(world, "/api/pull", body, authorization="Bearer key-of-ana")
        assert (got.status_code, got.json()) == (200, {"status": "success"})
        assert (await _call(world, "/api/pull", body)).status_code == 401


async def test_all_hosts_of_a_provider_get_the_model(autojump_clock: MockClock) -> None:
    hosts = [OllamaServer(), OllamaServer()]
    async with _world(hosts=hosts) as world:
        got = await _call(world, "/api/pull", {"model": "m"})
        assert got.content == b"".join(PROGRESS) * 2
        assert [host.models for host in hosts] == [["m"], ["m"]]
        hosts[1].models.clear()
        got = await _call(world, "/api/delete", {"model": "m"}, "DELETE")
        assert got.status_code == 404


async def test_a_host_that_fails_within_its_stream_ends_it(autojump_clock: MockClock) -> None:
    hosts = [OllamaServer(), OllamaServer()]
    failing = (b'{"status":"pulling manifest"}\n', b'{"error":"pull model manifest: no such"}\n')
    hosts[0].answers["POST /api/pull"] = Imitated(failing, "application/x-ndjson")
    async with _world(hosts=hosts) as world:
        got = await _call(world, "/api/pull", {"model": "m"})
        assert got.content == b"".join(failing)
        assert not hosts[1].to("/api/pull")
        hosts[0].answers["POST /api/pull"] = Imitated(PROGRESS, "application/x-ndjson")
        hosts[1].answers["POST /api/pull"] = Imitated(b'{"error":"disk full"}', status=500)
        received = b""
        async with world.client.stream("POST", f"{GATEWAY}/api/pull", json={"model": "m"}) as got:
            with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - what came is kept
                async for piece in got.aiter_raw():
                    received += piece
        assert received == b"".join(PROGRESS) + b'{"error":"disk full"}\n'
        assert await world.is_at_rest()


async def test_a_client_that_leaves_ends_the_pull(autojump_clock: MockClock) -> None:
    server = OllamaServer()
    async with _world(server) as world:
        with trio.move_on_after(15):
            await _call(world, "/api/pull", {"model": "m"})
        await trio.sleep(20)
        assert server.cut_off == 1
        assert await world.is_at_rest()


async def test_blobs_pass(autojump_clock: MockClock) -> None:
    server = OllamaServer()
    async with _world(server) as world:
        assert (await world.client.head(GATEWAY + DIGEST)).status_code == 200
        missing = DIGEST[:-1] + "1"
        assert (await world.client.head(GATEWAY + missing)).status_code == 404
        blob = bytes(range(256)) + b"," * 600_000
        got = await world.client.post(GATEWAY + DIGEST, content=blob)
        assert (got.status_code, got.content) == (201, b"")
        assert server.to(DIGEST)[-1].body == blob
        assert (await world.client.post(f"{GATEWAY}/api/blobs/../x")).status_code == 404
    async with _world(OllamaServer(), OllamaServer()) as world:
        got = await world.client.post(GATEWAY + DIGEST, content=b"x")
        assert (got.status_code, "'l1', 'l2'" in got.json()["error"]) == (400, True)
