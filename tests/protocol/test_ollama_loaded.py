"""What Ollama tells of the models it has in memory, and how long they stay."""

from __future__ import annotations

from math import inf

import pytest

from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.dialects.ollama import decode_running, stay_after

NOW = 1_790_000_000.0


def test_the_times_of_running_models_are_read() -> None:
    body = (
        b'{"models":[{"name":"a:latest","model":"a:latest",'
        b'"expires_at":"2026-09-21T15:23:20.123456789+01:00"},'
        b'{"name":"b","expires_at":"2318-01-01T00:00:00Z"},{"model":"c"},{"model":"d",'
        b'"expires_at":"soon"},{"model":"gone","expires_at":"2020-01-01T00:00:00Z"},7,{}]}'
    )
    running = decode_running(body, NOW)
    assert running["a:latest"] == pytest.approx(600.0)
    assert running["b"] > 1e9
    assert running["c"] == running["d"] == 300.0
    assert running["gone"] == 1.0, "its clock is another"
    assert len(running) == 5


@pytest.mark.parametrize("body", [b'{"models":null}', b'{"models":[]}'])
def test_nothing_may_be_loaded(body: bytes) -> None:
    assert decode_running(body, NOW) == {}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":"x"}', b'{"models":{"a":1}}', b"<html>"])
def test_what_is_no_such_answer_is_told(body: bytes) -> None:
    with pytest.raises(ApiFailure, match="which models are loaded"):
        decode_running(body, NOW)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"", 300.0),
        (b'{"model":"a"}', 300.0),
        (b'{"keep_alive":"10m"}', 600.0),
        (b'{"keep_alive":0}', 0.0),
        (b'{"keep_alive":-1}', inf),
        (b'{"keep_alive":null}', 300.0),
        (b'{"keep_alive":"soon"}', 300.0),
        (b'{"messages":[{"content":"\\"keep_alive\\" 0"}]}', 300.0),
        (b'{"keep_alive":', 300.0),
    ],
)
def test_a_request_says_how_long_its_model_stays(body: bytes, seconds: float) -> None:
    assert stay_after(body) == seconds
