"""The official Node SDKs: installing them, asking with them, and reading what they heard.

The scripts in ``tests/node`` read an :class:`Ask` a line and print a :class:`Heard` a line, so that
one process of each SDK asks everything.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fault_questions import Wanted
from sdk_questions import Question

from forebay.protocol.jsontext import JsonObject, JsonValue

_FOLDER = Path(__file__).parents[1] / "node"
_INSTALL = ("install", "--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline")
_NO_NETWORK = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH)\b")
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class NodeClient:
    """An SDK, or one way to use it."""

    script: str
    dialect: str
    """Of its requests."""
    tries_again: bool = False
    """By itself, where it is not told not to."""
    hears_thinking: bool = True
    hears_ids: bool = True
    """False: ids and names in its answers are its own."""


CLIENTS: Mapping[str, NodeClient] = {
    "openai": NodeClient("openai_client.mjs", "openai", tries_again=True),
    "openai-responses": NodeClient("openai_client.mjs", "responses", tries_again=True),
    "anthropic": NodeClient("anthropic_client.mjs", "anthropic", tries_again=True),
    "ollama": NodeClient("ollama_client.mjs", "ollama"),
    # Its provider for OpenAI knows only what OpenAI itself says of chats.
    "ai-openai": NodeClient("ai_client.mjs", "openai", hears_thinking=False),
    "ai-responses": NodeClient("ai_client.mjs", "responses"),
    "ai-compatible": NodeClient("ai_client.mjs", "openai"),
    "ai-anthropic": NodeClient("ai_client.mjs", "anthropic"),
    "ai-ollama": NodeClient("ai_client.mjs", "ollama", hears_ids=False),
}
"""All that chat, by name. The scripts know them by the same names."""

EMBEDDERS: Mapping[str, NodeClient] = {
    "openai-embeddings": NodeClient("openai_client.mjs", "openai"),
    "ollama-embeddings": NodeClient("ollama_client.mjs", "ollama"),
    "ai-openai-embeddings": NodeClient("ai_client.mjs", "openai"),
    "ai-compatible-embeddings": NodeClient("ai_client.mjs", "openai"),
}


class NoNode(Exception):
    """This machine can't run or install them; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to one server by one client."""

    id: str
    client: str
    url: str
    question: Question
    stream: bool = False
    results: tuple[str, ...] = ()
    """Of the calls of the answer, asked again with them."""
    inputs: tuple[str, ...] = ()
    """To embed, instead of a question."""

    def as_json(self) -> JsonObject:
        question = self.question
        image = question.image
        return {
            "id": self.id,
            "client": self.client,
            "url": self.url,
            "stream": self.stream,
            "results": list(self.results),
            "inputs": list(self.inputs),
            "text": question.text,
            "model": question.model,
            "system": question.system,
            "tools": [{"name": tool.name, "schema": tool.schema} for tool in question.tools],
            "must_call": question.must_call,
            "wants_city": question.wants_city,
            "image": None if image is None else base64.b64encode(image).decode(),
            "thinks": question.thinks,
            "stop": list(question.stop),
            "max_tokens": question.max_tokens,
            "headers": dict(question.headers),
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """What an SDK raised."""

    kind: str
    """Name of its class."""
    status: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Head:
    """Of one answer."""

    status: int | None
    """None: there was no answer."""
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of an :class:`Ask`."""

    said: tuple[JsonObject, ...]
    """Whole answers, with fields as :class:`sdk_questions.Said` has them."""
    error: Failure | None
    heads: tuple[Head, ...] = field(repr=False)
    """Of every request that the SDK made."""


@contextmanager
def _only_one() -> Iterator[None]:
    """Two test runs at once must not install into the same folder."""
    with open(Path(tempfile.gettempdir()) / "forebay-node-sdks.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_node_sdks() -> None:
    """Have the packages of ``tests/node/package.json`` beside it.

    Raises:
        NoNode: there is no Node here, or no network to install from.
        RuntimeError: installing failed.
    """
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise NoNode(f"the Node SDKs need {' and '.join(missing)}, which this machine has not")
    wanted = (_FOLDER / "package.json").read_text()
    stamp = _FOLDER / "node_modules" / ".installed-from"
    with _only_one():
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", *_INSTALL, "--fetch-retries=1", "--fetch-retry-mintimeout=1000"],
            cwd=_FOLDER,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            if _NO_NETWORK.search(done.stderr):
                raise NoNode("the Node SDKs are not installed, and there is no network")
            raise RuntimeError(f"npm install failed in tests/node:\n{done.stderr}")
        stamp.write_text(wanted)


def ask_wanted(
    wanted: Sequence[Wanted], url: str, questions: Mapping[str, Question]
) -> dict[str, Heard]:
    """Ask everything at one server.

    Args:
        questions: by the ids of ``wanted``.
    """
    return ask_all(
        [
            Ask(
                id=one.id,
                client=one.client,
                url=url,
                stream=one.stream,
                question=questions[one.id],
            )
            for one in wanted
        ]
    )


def ask_all(asks: Sequence[Ask]) -> dict[str, Heard]:
    """Ask everything, with one process for each script.

    Returns: what became of each, by its id.

    Raises:
        RuntimeError: a script failed, or left a question without an answer.
    """
    scripts: dict[str, list[Ask]] = {}
    for ask in asks:
        client = CLIENTS.get(ask.client) or EMBEDDERS[ask.client]
        scripts.setdefault(client.script, []).append(ask)
    with ThreadPoolExecutor(max(1, len(scripts))) as pool:
        heard: dict[str, Heard] = {}
        for part in pool.map(_run, scripts, scripts.values()):
            heard |= part
    return heard


def _run(script: str, asks: Sequence[Ask]) -> dict[str, Heard]:
    lines = "".join(f"{json.dumps(ask.as_json())}\n" for ask in asks)
    done = subprocess.run(
        ["node", script],
        cwd=_FOLDER,
        # Neither keys nor addresses of the machine's own reach the clients.
        env={"PATH": os.environ["PATH"]},
        input=lines,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    heard = dict(_read(json.loads(line)) for line in done.stdout.split("\n") if line)
    left = {ask.id for ask in asks} - set(heard)
    if done.returncode != 0 or left:
        raise RuntimeError(f"{script} left {len(left)} questions unanswered:\n{done.stderr}")
    return heard


def _read(answer: Mapping[str, JsonValue]) -> tuple[str, Heard]:
    said, error, exchanges = answer["said"], answer["error"], answer["exchanges"]
    assert isinstance(said, list)
    assert isinstance(exchanges, list)
    failure = None
    if error is not None:
        assert isinstance(error, dict)
        status = error["status"]
        assert status is None or isinstance(status, int)
        failure = Failure(str(error["kind"]), status, str(error["message"]))
    return str(answer["id"]), Heard(
        tuple(one for one in said if isinstance(one, dict)),
        failure,
        tuple(_head(one) for one in exchanges),
    )


def _head(exchange: JsonValue) -> Head:
    assert isinstance(exchange, dict)
    status, headers = exchange["status"], exchange["headers"]
    assert status is None or isinstance(status, int)
    assert isinstance(headers, dict)
    return Head(status, {name: str(value) for name, value in headers.items()})
