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
from forebay.actors.upstream.connect_faults import ConnectFault
from forebay.actors.upstream.connections import ConnectionStack, OriginStatistics
from forebay.actors.upstream.image_links import Allowance, ImageFetcher, LinkRefused

__all__ = [
    "Allowance",
    "AnswerBroken",
    "BodyTooLong",
    "CallTimeouts",
    "ConnectFailed",
    "ConnectFault",
    "ConnectionStack",
    "ImageFetcher",
    "LinkRefused",
    "NoAnswer",
    "OriginStatistics",
    "UpstreamAnswer",
    "UpstreamClient",
    "UpstreamFailure",
    "open_call",
]
