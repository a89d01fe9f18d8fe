"""``forebay models``, ``providers`` and ``warmup``, over real HTTP on loopback."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from imitation import Imitated, Imitation, Received, live_imitation
from imitations.kinds import HOST, KEY, ImitatedKind, StrictProvider
from imitations.tables import TABLES
from running_program import running

from forebay.endpoints.cli import main

WRONG_KEY = "sk-a-wrong-key-0123456789"
KEYED = [
    name
    for name, kind in TABLES.items()
    if kind.credential is not None and name not in ("huggingface_router", "ollama_cloud")
]
"""The others list and tell everything to everybody."""


class Place:
    """A folder with a configuration, and the servers that it names."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.folder = folder
        self._servers = servers
        self.config: dict[str, Any] = {"providers": {}, "models": {}}
        # No gateway serves there.
        self.config["server"] = {"port": unused_port()}

    def serve(self, imitation: Imitation) -> str:
        return self._servers.enter_context(live_imitation(imitation))

    def add(self, name: str, table: str, *, key: str = KEY) -> StrictProvider:
        server = StrictProvider(TABLES[table])
        self.config["providers"][name] = settings_at(TABLES[table], self.serve(server), key)
        return server

    def run(self, *arguments: str) -> Result:
        written = json.dumps(self.config)
        (self.folder / "forebay.yaml").write_text(written, encoding="utf-8")
        return CliRunner().invoke(main, arguments)

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert isinstance(told, list)
        return told


def settings_at(kind: ImitatedKind, url: str, key: str) -> dict[str, object]:
    text = json.dumps(kind.settings(key)).replace(HOST, url)
    settings = json.loads(text)
    assert isinstance(settings, dict)
    return settings


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert isinstance(port, int)
        return port


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as servers:
        yield Place(tmp_path, servers)


def test_all_that_is_known_of_each_model(place: Place) -> None:
    place.add("router", "openrouter")
    place.config["providers"]["router"]["local"] = False
    place.add("local", "ollama")
    place.config["providers"]["local"]["targets"] = {
        "llama3.2:latest": {"capabilities": ["vision"], "max_output_tokens": 512}
    }
    sonnet = "anthropic/claude-sonnet-4.5"
    place.config["models"]["good"] = {"targets": [f"router/{sonnet}", "local/llama3.2:latest"]}
    models = {model["name"]: model for model in place.json("models")}
    listed = models[f"router/{sonnet}"]
    assert (listed["price_input"], listed["price_output"]) == (3.0, 15.0)
    assert (listed["context_tokens"], listed["max_output_tokens"]) == (1_000_000, 64_000)
    assert {"tools", "vision"} <= {*listed["capabilities"]}
    assert not listed["local"]
    llama = models["local/llama3.2:latest"]
    assert llama["local"]
    assert "vision" in llama["capabilities"]
    good = models["good"]
    assert good["configured"]
    assert good["targets"] == [f"router/{sonnet}", "local/llama3.2:latest"]
    assert good["max_output_tokens"] == 512
    table = place.run("models").stdout.splitlines()
    assert table[0].split()[:3] == ["name", "served", "by"]
    (row,) = [line for line in table if line.startswith(f"router/{sonnet} ")]
    assert row.split()[-4:] == ["1000000", "64000", "3", "15"]


def test_only_the_models_that_are_asked_for(place: Place) -> None:
    place.add("router", "openrouter")
    place.config["providers"]["router"]["local"] = False
    place.add("local", "ollama")
    place.config["models"]["own"] = {"targets": ["local/llama3.2:latest"]}

    def names(*arguments: str) -> set[str]:
        return {model["name"].partition("/")[0] for model in place.json("models", *arguments)}

    assert names() == {"router", "local", "own"}
    assert names("--provider", "local") == {"local", "own"}
    assert names("--local") == {"local", "own"}
    assert "router" in names("--capability", "vision")
    assert names("--capability", "vision", "--capability", "embedding") == set()
    assert place.run("models", "--capability", "vision", "--local").stdout == "no models\n"
    wrong = place.run("models", "--provider", "rooter")
    assert wrong.exit_code == 1
    assert wrong.output == "Error: no provider 'rooter'; there are: router, local\n"
    assert place.run("models", "--capability", "sight").exit_code == 2


def test_a_model_that_goes_is_shown_with_its_date(place: Place) -> None:
    place.add("up", "anthropic")
    (going,) = [model for model in place.json("models") if model["deprecated"]]
    assert going["retires"] == "2027-02-01"
    assert "yes, 2027-02-01" in place.run("models").stdout


@pytest.mark.parametrize("name", KEYED)
def test_a_wrong_key_is_named_in_a_line_and_never_shown(name: str, place: Place) -> None:
    place.add("good", "vllm")
    place.add("bad", name, key=WRONG_KEY)
    good, bad = place.json("providers")
    assert (good["ok"], good["fault"]) == (True, None)
    assert bad["fault"].startswith("key rejected: GET http")
    assert "\n" not in bad["fault"]
    table = place.run("providers")
    assert table.exit_code == 0
    assert f"\nbad: {bad['fault']}\n" in table.stdout
    assert WRONG_KEY not in table.output
    assert place.run("providers", "--check").exit_code == 1


def answers(answer: Imitated) -> Imitation:
    """A server that answers this to everything."""

    class Same(Imitation):
        def answer_to(self, request: Received) -> Imitated:
            return answer

    return Same({})


PAGE = b"<html><head><title>Welcome to nginx!</title></head></html>"
FAULTY = {
    "a page": (
        Imitated(PAGE, content_type="text/html"),
        'answered with a web page "Welcome to nginx!" (HTML, status 200); for kind',
    ),
    "not found": (Imitated(b'{"detail":"Not Found"}', status=404), "status 404: Not Found; for"),
    "no JSON": (Imitated(b"{"), "is no list of models: it is not JSON"),
    "other JSON": (Imitated(b'{"data": 5}'), "it holds no array of models"),
    "deep": (Imitated(b"[" * 100_000), "is no list of models"),
    "broken off": (Imitated((b'{"data"',), is_cut=True), "closed the connection early"),
    "huge": (
        Imitated((b" " * 4_000_000,) * 9),
        "answered with more than 33554432 bytes",
    ),
    "too many": (
        Imitated(json.dumps([f"m{number}" for number in range(100_001)]).encode()),
        "answered with 100001 models, more than 100000",
    ),
    "in trouble": (Imitated(b'{"error":{"message":"on fire"}}', status=503), "503: on fire"),
}


@pytest.mark.parametrize("what", FAULTY)
def test_what_is_wrong_with_a_listing_is_named_in_a_line(what: str, place: Place) -> None:
    answer, fault = FAULTY[what]
    url = place.serve(answers(answer))
    place.config["providers"]["bad"] = {"kind": "openai_compatible", "base_url": url}
    place.add("good", "vllm")
    bad, good = place.json("providers")
    assert fault in bad["fault"]
    assert "\n" not in bad["fault"]
    assert len(bad["fault"]) < 400
    assert (good["ok"], good["models"] > 0) == (True, True)


def test_what_servers_write_does_nothing_to_a_terminal(place: Place) -> None:
    evil = "m\x1b[2J\nfast  free"
    listing = json.dumps({"data": [{"id": evil}]}).encode()
    page = json.dumps({"error": {"message": "no\x1b]0;title\x07\u202e"}}).encode()
    for name, answer in (("odd", Imitated(listing)), ("bad", Imitated(page, status=500))):
        url = place.serve(answers(answer))
        place.config["providers"][name] = {"kind": "openai_compatible", "base_url": f"{url}/v1"}
    for command in ("models", "providers"):
        output = place.run(command).output
        assert all(letter.isprintable() for letter in output.replace("\n", ""))
    table = place.run("models").stdout.splitlines()
    assert len(table) == 2
    assert place.json("models")[0]["name"] == f"odd/{evil}"


def test_a_server_that_is_down_is_named_in_a_line(place: Place) -> None:
    port = unused_port()
    at = f"http://127.0.0.1:{port}/v1"
    place.config["providers"]["down"] = {"kind": "openai_compatible", "base_url": at}
    (down,) = place.json("providers")
    assert down["fault"] == f"could not connect to 127.0.0.1:{port}: Connection refused"
    shown = place.run("models")
    assert (shown.exit_code, shown.stdout) == (0, "no models\n")
    assert shown.stderr == f"down: {down['fault']}\n"


def test_one_host_of_several_that_is_down_is_named(place: Place) -> None:
    with_ollama(place, Ollama(), Ollama())
    hosts = place.config["providers"]["local"]["hosts"]
    hosts.append(f"http://127.0.0.1:{unused_port()}")
    (local,) = place.json("providers")
    assert local["models"] == 2
    assert local["fault"].startswith("1 of 3 hosts: could not connect to 127.0.0.1:")


def test_limits_are_shown_in_words(place: Place) -> None:
    place.add("up", "vllm")
    limits = {"rps": 2.5, "rpm": 60, "tpd": 100_000, "concurrency": 3, "minute_shape": "fixed"}
    place.config["providers"]["up"]["limits"] = limits
    (up,) = place.json("providers")
    assert up["limits"] == [
        "2.5 requests per second",
        "60 requests per minute",
        "100000 tokens per day",
        "3 calls at once",
    ]


def test_what_is_synced_is_kept_and_syncing_again_changes_nothing(place: Place) -> None:
    server = place.add("up", "openrouter")
    for _ in range(2):
        synced = place.run("models", "sync")
        assert (synced.exit_code, synced.output) == (0, "up: 2 models\n")
    assert (place.folder / "forebay.sqlite").is_file()
    asked = len(server.requests)
    kept = place.json("models", "--kept")
    assert len(server.requests) == asked
    assert kept == place.json("models")
    assert len(kept) == 2


def test_to_look_writes_nothing(place: Place) -> None:
    place.add("up", "openrouter")
    for command in ("models", "providers"):
        place.json(command)
    assert [path.name for path in place.folder.iterdir()] == ["forebay.yaml"]


def test_a_file_that_can_not_be_written_is_one_line(place: Place) -> None:
    place.add("up", "vllm")
    place.config["state"] = {"path": "no/such/folder.sqlite"}
    synced = place.run("models", "sync")
    assert synced.exit_code == 1
    assert "Error: nothing was kept: " in synced.output
    assert "Traceback" not in synced.output
    place.config["state"] = {"path": ":memory:"}
    assert "nothing is kept: there is no state.path" in place.run("models", "sync").output


def test_a_file_that_others_hold_is_waited_for_and_then_given_up_in_one_line(place: Place) -> None:
    place.add("up", "openrouter")
    assert place.run("models", "sync").exit_code == 0
    other = sqlite3.connect(place.folder / "forebay.sqlite", isolation_level=None)
    with closing(other):
        other.execute("BEGIN EXCLUSIVE")
        synced = place.run("models", "sync")
        assert synced.exit_code == 1
        assert "Error: nothing was kept: " in synced.output
        assert "locked" in synced.output
        other.execute("ROLLBACK")
    assert place.run("models", "sync").exit_code == 0


def test_many_may_sync_at_once(place: Place) -> None:
    place.add("up", "openrouter")
    place.run("models")  # writes the configuration
    command = [sys.executable, "-m", "forebay.endpoints.cli", "models", "sync"]
    running = [
        subprocess.Popen(command, cwd=place.folder, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert set(told) == {"up: 2 models\n"}
    assert len(place.json("models", "--kept")) == 2


def loads(server: Imitation) -> list[object]:
    return [
        (request.path, json.loads(request.body))
        for request in server.requests
        if request.method == "POST" and request.path != "/api/show"
    ]


class Ollama(Imitation):
    """A server with these models, that loads them."""

    def __init__(self) -> None:
        listed = {
            "models": [
                {"model": "llama:latest", "capabilities": ["completion", "tools"]},
                {"model": "vectors:latest", "capabilities": ["embedding"]},
            ]
        }
        super().__init__(
            {
                "GET /api/tags": Imitated(json.dumps(listed).encode()),
                "GET /api/version": Imitated(b'{"version":"0.13.5"}'),
                "GET /api/ps": Imitated(b'{"models":[]}'),
                "POST /api/generate": Imitated(b'{"done":true,"done_reason":"load"}'),
                "POST /api/embed": Imitated(b'{"embeddings":[]}'),
            }
        )


def with_ollama(place: Place, *servers: Ollama) -> None:
    hosts = [place.serve(server) for server in servers]
    place.config["providers"]["local"] = {"kind": "ollama", "hosts": hosts}
    place.config["models"]["chat"] = {"targets": ["local/llama"]}
    place.config["models"]["vectors"] = {"targets": ["local/vectors:latest"]}


def test_a_warmup_loads_the_configured_models_of_local_servers_and_calls_nothing_else(
    place: Place,
) -> None:
    ollama, other = Ollama(), Ollama()
    with_ollama(place, ollama, other)
    paid = place.add("paid", "openai")
    place.config["models"]["paid"] = {"targets": [f"paid/{paid.kind.model}"]}
    for _ in range(2):
        warmed = place.json("warmup", "--keep-alive", "30m")
        assert all(each["ok"] for each in warmed)
        told = {(each["provider"], each["model"]) for each in warmed}
        assert told == {
            *(("local", model) for model in (None, "llama", "vectors:latest")),
            ("paid", None),
        }
    generate = ("/api/generate", {"model": "llama", "stream": False, "keep_alive": "30m"})
    embed = ("/api/embed", {"model": "vectors:latest", "input": [], "keep_alive": "30m"})
    assert loads(ollama) == loads(other) == [generate, embed] * 2
    assert paid.calls == []
    assert place.run("warmup", "--no-load").exit_code == 0
    assert len(loads(ollama)) == 4


def test_a_warmup_says_what_is_wrong(place: Place) -> None:
    ollama = Ollama()
    refusal = Imitated(b'{"error":"model requires more system memory"}', status=500)
    ollama.answers["POST /api/generate"] = refusal
    with_ollama(place, ollama)
    at = f"http://127.0.0.1:{unused_port()}/v1"
    place.config["providers"]["down"] = {"kind": "openai_compatible", "base_url": at}
    told = place.run("warmup")
    assert told.exit_code == 0
    assert "status 500: model requires more system memory" in told.stdout
    assert f"down: fault: {at}: could not connect" in told.stdout
    assert place.run("warmup", "--check").exit_code == 1


def test_a_gateway_that_serves_is_asked_what_it_met_and_warms_up_itself(place: Place) -> None:
    ollama = Ollama()
    with_ollama(place, ollama)
    bad = place.add("bad", "vllm", key=WRONG_KEY)
    place.config["models"]["broken"] = {"targets": [f"bad/{bad.kind.model}"]}
    place.config["state"] = {"path": ":memory:"}
    with running(place.folder, json.dumps(place.config)) as program:
        place.config["server"] = {"port": program.port}
        connection = program.ask("hello", model="broken")
        answer = connection.getresponse()
        answer.read()
        assert answer.status >= 500
        local, failing = place.json("providers")
        assert (local["gateway"], local["ok"]) == ("running", True)
        assert failing["gateway"].startswith("out: ")
        assert place.run("providers", "--check").exit_code == 1
        warmed = place.run("warmup")
        assert f"by the gateway at http://127.0.0.1:{program.port}" in warmed.stdout
        assert "local: llama at " in warmed.stdout
        assert len(loads(ollama)) == 2
        asked = len(ollama.to("/api/tags"))
        synced = place.run("models", "sync")
        assert f"the gateway at http://127.0.0.1:{program.port} asks anew, too" in synced.stdout
        assert len(ollama.to("/api/tags")) > asked
