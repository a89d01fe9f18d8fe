"""Settings that can't work are refused, by name."""

from __future__ import annotations

from dataclasses import fields
from math import nan

import pytest

from forebay.endpoints.serving import ServingOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("backlog", 0),
        ("max_connections", 0),
        ("write_timeout", 0.0),
        ("write_timeout", nan),
        ("keep_alive_timeout", 0.0),
        ("head_timeout", -1.0),
        ("drain_timeout", -0.1),
        ("disconnect_grace", -1.0),
        ("websocket_ping_interval", 0.0),
        ("websocket_max_message_bytes", 0),
        ("server_header", "two\r\nlines: here"),
        ("server_header", ""),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: float | str) -> None:
    assert name in {field.name for field in fields(ServingOptions)}
    with pytest.raises(ValueError, match=name):
        ServingOptions(**{name: value})  # type: ignore[arg-type]


def test_the_defaults_are_valid_and_offer_no_version() -> None:
    options = ServingOptions()
    assert options.keep_alive_timeout == 75
    assert options.backlog == 4096
    assert not any(character.isdigit() for character in options.server_header or "")
