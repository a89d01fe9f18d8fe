"""A pretended model provider: a real HTTP server that speaks three dialects, without any model.

It chats, completes texts, embeds them and counts tokens.

It stands in for a provider where none is configured, and it is the upstream of tests and
benchmarks: it keeps exact limits, answers always the same, counts what it sees, and fails on
demand. It judges the gateway, so it shares none of its code beyond reading and writing JSON text.

    sandbox = Sandbox(SandboxOptions(requests_per_minute=60, limit_headers=LimitHeaders.OPENAI))
    port = await nursery.start(serve_sandbox, sandbox)
"""

from forebay.endpoints.sandbox._connection import serve_connection
from forebay.endpoints.sandbox._counters import ModelCounters, SandboxStatistics
from forebay.endpoints.sandbox._http import Request
from forebay.endpoints.sandbox._options import (
    DEFAULT_MODELS,
    LimitHeaders,
    SandboxModel,
    SandboxOptions,
    Thinking,
)
from forebay.endpoints.sandbox._sandbox import Sandbox
from forebay.endpoints.sandbox._server import banner, serve_sandbox

__all__ = [
    "DEFAULT_MODELS",
    "LimitHeaders",
    "ModelCounters",
    "Request",
    "Sandbox",
    "SandboxModel",
    "SandboxOptions",
    "SandboxStatistics",
    "Thinking",
    "banner",
    "serve_connection",
    "serve_sandbox",
]
