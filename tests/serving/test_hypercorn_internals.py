"""Pins what ``_hypercorn.py`` uses of Hypercorn's internals, so that an upgrade fails here first,
with a name, and not in a connection."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol import events, http_stream, ws_stream
from hypercorn.protocol import h11 as h11_protocol
from hypercorn.trio.worker_context import WorkerContext
from trio.testing import memory_stream_pair

from forebay.endpoints.serving import ServingOptions, ServingState
from forebay.endpoints.serving._app_tasks import AppTasks
from forebay.endpoints.serving._guarded_stream import GuardedStream
from forebay.endpoints.serving._hypercorn import GuardedProtocol, ServingConfig


def _parameters(function: object) -> list[str]:
    assert callable(function)
    return [name for name in inspect.signature(function).parameters if name != "self"]


def _attributes_used(function: object) -> set[str]:
    assert inspect.isfunction(function)
    return set(function.__code__.co_names)


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("hypercorn").startswith("0.18.")
    assert version("h11").startswith("0.16.")


def test_h11_protocol_has_the_seams_that_are_overridden() -> None:
    protocol = h11_protocol.H11Protocol
    assert _parameters(protocol.__init__) == [
        "app",
        "config",
        "context",
        "task_group",
        "connection_state",
        "ssl",
        "client",
        "server",
        "send",
    ]
    for name, parameters in {
        "handle": ["event"],
        "stream_send": ["event"],
        "_check_protocol": ["event"],
        "_create_stream": ["request"],
        "_send_h11_event": ["event"],
        "_send_error_response": ["status_code"],
        "_maybe_recycle": [],
        "_close_stream": [],
        "_handle_events": [],
    }.items():
        assert _parameters(getattr(protocol, name)) == parameters


def test_the_seams_are_called_from_where_they_are_expected() -> None:
    protocol = h11_protocol.H11Protocol
    reading = _attributes_used(protocol._handle_events)
    assert {"_check_protocol", "_create_stream", "can_read", "PAUSED", "clear", "wait"} <= reading
    assert "_maybe_recycle" in _attributes_used(protocol.stream_send)
    # HTTP/2 is only ever asked for by exceptions that _check_protocol raises.
    for function in vars(protocol).values():
        if inspect.isfunction(function) and function.__name__ != "_check_protocol":
            assert not {"H2ProtocolAssumedError", "H2CProtocolRequiredError"} & set(
                function.__code__.co_names
            )
    # What is not overridden must not close or recycle on its own.
    assert "terminated" in _attributes_used(protocol._maybe_recycle)
    for function in (protocol._handle_events, protocol.stream_send, protocol._close_stream):
        assert "terminated" not in _attributes_used(function)


def test_the_streams_have_the_parts_that_are_looked_into() -> None:
    spawn = ["task_group", "spawn_app", "app_send"]
    assert set(spawn) <= _attributes_used(http_stream.HTTPStream.handle)
    assert set(spawn) <= _attributes_used(ws_stream.WSStream.handle)
    assert ws_stream.Handshake([], "1.1").accepted is False
    buffer = ws_stream.WebsocketBuffer(7)
    assert (buffer.length, buffer.max_length) == (0, 7)
    upgraded = h11_protocol.H11WSConnection(h11.Connection(h11.SERVER))
    assert upgraded.buffer == b""
    assert upgraded.their_state is None
    assert upgraded.h11_connection.our_role is h11.SERVER


def test_the_events_have_the_fields_that_are_read() -> None:
    assert RawData(b"x").data == b"x"
    assert Updated(idle=True).idle
    assert Closed() == Closed()
    response = events.Response(stream_id=1, headers=[], status_code=200)
    assert (response.headers, response.status_code) == ([], 200)
    assert events.StreamClosed(stream_id=1).stream_id == 1


def test_the_settings_exist_under_their_names() -> None:
    config = ServingConfig(ServingOptions(server_header="forebay"))
    for name in (
        "accesslog",
        "errorlog",
        "alpn_protocols",
        "include_server_header",
        "keep_alive_max_requests",
        "websocket_ping_interval",
        "websocket_max_message_size",
        "h11_max_incomplete_size",
    ):
        assert hasattr(Config, name), name
    assert "h2" not in config.alpn_protocols
    assert config.response_headers("h11")[1:] == [(b"server", b"forebay")]
    assert WorkerContext(None).max_requests is None


async def test_the_protocol_is_built_without_http2() -> None:
    class Idle:
        draining = False

        async def transmit(self, data: bytes) -> None: ...

        def head_began(self) -> None: ...

        def request_began(self) -> None: ...

        def request_ended(self) -> None: ...

        def finish(self) -> None: ...

    async def app(*_: object) -> None: ...

    _, far = memory_stream_pair()
    stream = GuardedStream(far, write_timeout=1.0)
    async with trio.open_nursery() as nursery:
        protocol = GuardedProtocol(
            app,
            ServingConfig(ServingOptions()),
            Idle(),
            AppTasks(app, stream, ServingState(), nursery),
            nursery,
            stream.new_gate(),
            client=None,
            server=None,
        )
    assert isinstance(protocol.connection, h11.Connection)
    assert protocol.stream is None
