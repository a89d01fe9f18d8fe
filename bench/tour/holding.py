"""Cases of holding: clients that wait, that leave, and that are many."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

import httpx

from tour.guests import Guest, all_guests
from tour.llama import LlamaServer
from tour.questions import Question, User
from tour.visits import Case, Seen, Visit

KEYS: Final = {"ana": "tour-key-ana", "ben": "tour-key-ben"}
"""The gateway's clients."""
_FREED_WITHIN: Final = 15.0
"""Seconds; the server notices a client that left only between two batches of a prompt."""
_BUSY_WITHIN: Final = 20.0
_CROWD: Final = ("ana",) * 8 + ("ben",) * 4
_BETWEEN_ARRIVALS: Final = 0.03


def _long_prompt(server: LlamaServer) -> str:
    """Fills much of a slot and so takes the server a while to read; starts differently every
    time, so that nothing read before helps."""
    return f"{uuid.uuid4()} Sum this up. " + "The water waits behind the dam. " * (
        server.context // 20
    )


def _story(server: LlamaServer) -> Question:
    turns = (User("Write a very long story about a river, with many chapters."),)
    return Question(turns=turns, max_tokens=server.context // 2)


def leaves_mid_stream(visit: Visit) -> Seen:
    with visit.guest.streaming(visit.model, _story(visit.server)) as texts:
        heard = "".join(next(texts) for _ in range(4))
        busy = visit.server.busy_slots()
    return _freed(visit, busy, f"left after {heard!r}")


def leaves_before_first_token(visit: Visit) -> Seen:
    question = Question(
        turns=(User(_long_prompt(visit.server)),), max_tokens=visit.server.context // 3
    )
    return _abandoned(visit, {**visit.guest.body(visit.model, question), "stream": True})


def leaves_whole_answer(visit: Visit) -> Seen:
    body = {**visit.guest.body(visit.model, _story(visit.server)), "stream": False}
    return _abandoned(visit, body)


def _abandoned(visit: Visit, body: dict[str, Any]) -> Seen:
    """Send a request, and close the connection as soon as the server works on it."""
    request = httpx.Request("POST", visit.gateway + visit.guest.path, json=body)
    head = [f"POST {visit.guest.path} HTTP/1.1", *(f"{n}: {v}" for n, v in request.headers.items())]
    head += [f"{name}: {value}" for name, value in _as_client("ana").items()]
    assert request.url.port is not None
    with socket.create_connection((request.url.host, request.url.port)) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + request.content)
        visit.server.becomes_busy(timeout=_BUSY_WITHIN)
        busy = visit.server.busy_slots()
    return _freed(visit, busy, "left")


def _freed(visit: Visit, busy: int, what: str) -> Seen:
    seconds = visit.server.becomes_idle(timeout=_FREED_WITHIN)
    state = _status(visit.gateway)
    held = state["waiting"] + state["in_flight"]
    came = "slot not freed" if seconds is None else f"slot freed within {seconds:.1f} s"
    return Seen(f"{what}; {came}, {held} held", ok=busy == 1 and seconds is not None and not held)


def leaves_the_queue(visit: Visit) -> Seen:
    """All slots are taken; one more waits, and leaves."""
    with _all_slots_taken(visit):
        body = {**visit.guest.body(visit.model, _story(visit.server)), "stream": True}
        with (
            httpx.Client(trust_env=False, timeout=30.0) as client,
            client.stream(
                "POST", visit.gateway + visit.guest.path, json=body, headers=_as_client("ben")
            ) as answer,
        ):
            # The head comes when the gateway begins to keep the answer alive.
            waiting = _status(visit.gateway)["waiting"]
        time.sleep(0.2)
        after = _status(visit.gateway)["waiting"]
    came = f"{answer.status_code} while waiting; {waiting} waiting, then {after}"
    return Seen(came, ok=(answer.status_code, waiting, after) == (200, 1, 0))


@contextmanager
def _all_slots_taken(visit: Visit) -> Iterator[None]:
    """By streams that nobody reads to their end."""
    with httpx.Client(trust_env=False, timeout=30.0) as client:
        body = {**visit.guest.body(visit.model, _story(visit.server)), "stream": True}
        url = visit.gateway + visit.guest.path
        streams = [
            client.send(
                client.build_request("POST", url, json=body, headers=_as_client("ana")),
                stream=True,
            )
            for _ in range(visit.server.slots)
        ]
        try:
            yield
        finally:
            for stream in streams:
                stream.close()
    visit.server.becomes_idle(timeout=_FREED_WITHIN)


@dataclass(frozen=True, slots=True)
class _Frames:
    """A raw stream, taken apart."""

    keep_alives: int
    """Before anything else."""
    content: str
    is_complete: bool


def slow_prompt(visit: Visit) -> Seen:
    """The server reads for seconds; meanwhile the client's connection must be kept alive."""
    question = Question(turns=(User(_long_prompt(visit.server)),), max_tokens=16)
    body = {**visit.guest.body(visit.model, question), "stream": True}
    began = time.monotonic()
    with (
        httpx.Client(trust_env=False, timeout=60.0) as client,
        client.stream(
            "POST", visit.gateway + visit.guest.path, json=body, headers=_as_client("ana")
        ) as answer,
    ):
        committed = time.monotonic() - began
        frames = _taken_apart(visit.guest.dialect, list(answer.iter_lines()))
    again = replace(question, turns=(User(_long_prompt(visit.server)),))
    heard = visit.guest.stream(visit.model, again)
    came = (
        f"200 after {committed:.1f} s, {frames.keep_alives} keep-alives, then "
        f"{frames.content[:20]!r}; the SDK heard {heard.pieces} pieces"
    )
    ok = committed < 1 and frames.keep_alives > 1 and frames.is_complete and heard.pieces > 1
    return Seen(came, ok=ok and bool(frames.content))


def _taken_apart(dialect: str, lines: list[str]) -> _Frames:
    if dialect == "ollama":
        values = [json.loads(line) for line in lines]
        texts = [value["message"]["content"] for value in values]
        ends = [index for index, value in enumerate(values) if value["done"]]
        is_complete = ends == [len(values) - 1]
    else:
        values = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        is_complete = lines[-2:] == ["data: [DONE]", ""]
        texts = [value["choices"][0]["delta"].get("content") for value in values if "id" in value]
        if dialect == "anthropic":
            is_complete = bool(values) and values[-1]["type"] == "message_stop"
            deltas = [value for value in values if value["type"] == "content_block_delta"]
            texts = [value["delta"].get("text") for value in deltas]
    return _Frames(_leading_keep_alives(dialect, lines), "".join(filter(None, texts)), is_complete)


def _leading_keep_alives(dialect: str, lines: list[str]) -> int:
    count = 0
    for line in lines:
        if dialect == "ollama":
            value = json.loads(line)
            is_keep_alive = not value["done"] and not value["message"]["content"]
        else:
            is_keep_alive = line.startswith((":", "event: ping"))
            if line in ("", 'data: {"type":"ping"}', 'data: {"type": "ping"}'):
                continue
        if not is_keep_alive:
            break
        count += 1
    return count


def crowd(gateway: str, route: str, server: LlamaServer, concurrency: int) -> Seen:
    """Eight requests of one client, then four of another; all dialects, whole and streamed."""
    guests = {name: all_guests(gateway, key) for name, key in KEYS.items()}
    finished: list[tuple[str, int]] = []
    peak = 0
    over = Event()

    def one(index: int) -> None:
        client = _CROWD[index]
        guest: Guest = guests[client][index % 3]
        time.sleep(index * _BETWEEN_ARRIVALS)
        ask = guest.stream if index % 2 else guest.ask
        turns = (User(f"Tell me a long story about the number {index}."),)
        ask(f"{route}/{server.model}", Question(turns=turns, max_tokens=24))
        finished.append((client, index))

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, server.busy_slots())

    with ThreadPoolExecutor(len(_CROWD) + 1) as pool:
        watching = pool.submit(watch)
        failures: list[Exception] = []
        for done in [pool.submit(one, index) for index in range(len(_CROWD))]:
            try:
                done.result()
            except Exception as fault:  # told below, with all others
                failures.append(fault)
        over.set()
        watching.result()
    if failures:
        return Seen(f"{len(failures)} of {len(_CROWD)} failed: {failures[0]}", ok=False)
    order = "".join(client[0] for client, _ in finished)
    ok = peak == concurrency and _is_fair(finished, concurrency)
    return Seen(f"all answered, {order}, at most {peak} slots busy", ok=ok)


def _is_fair(finished: list[tuple[str, int]], concurrency: int) -> bool:
    """Equals in the order of their arrival, clients by turns; give or take what ran at once."""
    for name in KEYS:
        own = [index for client, index in finished if client == name]
        for place, index in enumerate(sorted(own)):
            if abs(own.index(index) - place) >= concurrency:
                return False
    latest = [place for place, (client, _) in enumerate(finished) if client == "ben"]
    return all(place <= 2 * turn + 1 + 2 * concurrency for turn, place in enumerate(latest))


def _as_client(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[name]}"}


def _status(gateway: str) -> dict[str, Any]:
    answer = httpx.get(
        f"{gateway}/forebay/status", headers=_as_client("ana"), trust_env=False, timeout=10.0
    )
    status: dict[str, Any] = answer.raise_for_status().json()
    return status


CASES: Final[tuple[tuple[str, Case], ...]] = (
    ("leaves mid-stream", leaves_mid_stream),
    ("leaves before token", leaves_before_first_token),
    ("leaves whole answer", leaves_whole_answer),
    ("leaves the queue", leaves_the_queue),
    ("slow prompt", slow_prompt),
)
