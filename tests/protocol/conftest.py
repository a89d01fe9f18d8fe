"""Captured answers of real servers, without their HTTP framing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h11
import pytest

_CAPTURES = Path(__file__).parents[1] / "captures"


@dataclass(frozen=True)
class CapturedAnswer:
    status: int
    body: bytes
    """De-chunked."""
    complete: bool
    """False: the connection was cut before the body's proper end."""


@pytest.fixture(scope="session")
def captured() -> Callable[[str], CapturedAnswer]:
    """The captured answer of that name: ``captured("vllm-0.32.0-cpu/chat")``."""

    def read(name: str) -> CapturedAnswer:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data((_CAPTURES / f"{name}.resp").read_bytes())
        connection.receive_data(b"")
        head = connection.next_event()
        assert isinstance(head, h11.Response)
        body = bytearray()
        complete = True
        try:
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            assert isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError:
            complete = False
        return CapturedAnswer(head.status_code, bytes(body), complete)

    return read


@pytest.fixture(scope="session")
def captured_request() -> Callable[[str], bytes]:
    """The body of the captured request of that name."""

    def read(name: str) -> bytes:
        return (_CAPTURES / f"{name}.req").read_bytes().partition(b"\r\n\r\n")[2]

    return read
