"""Upstream HTTP: the connection stack, and one call over it with its typed failures."""

from forebay.actors.upstream.calls import (
    AnswerBroken,
    BodyTooLong,
    CallTimeouts,
    ConnectFailed,
    NoAnswer,
    UpstreamAnswer,
    UpstreamClient,
    UpstreamFailure,
    open_call,
)
from forebay.actors.upstream.connections import ConnectionStack, OriginStatistics

__all__ = [
    "AnswerBroken",
    "BodyTooLong",
    "CallTimeouts",
    "ConnectFailed",
    "ConnectionStack",
    "NoAnswer",
    "OriginStatistics",
    "UpstreamAnswer",
    "UpstreamClient",
    "UpstreamFailure",
    "open_call",
]
