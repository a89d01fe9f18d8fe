"""What a llama.cpp server says of itself, asked past the gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """A running server, and what it can do."""

    url: str
    """Its root, without ``/v1``."""
    model: str
    build: str
    slots: int
    context: int
    """Tokens in a slot."""
    has_tools: bool
    """Its template knows tools; else it ignores them."""
    has_vision: bool

    @classmethod
    def at(cls, url: str, model: str | None = None) -> LlamaServer:
        """Ask the server at ``url``; ``model``: one that it lists, the first by default.

        Raises:
            httpx.HTTPError: nothing there answers as llama.cpp's server does.
        """
        root = url.rstrip("/").removesuffix("/v1")
        props = _page(root, "/props")
        listed = _page(root, "/v1/models")
        return cls(
            url=root,
            model=model or listed["data"][0]["id"],
            build=props["build_info"],
            slots=props["total_slots"],
            context=props["default_generation_settings"]["n_ctx"],
            has_tools=props["chat_template_caps"]["supports_tools"],
            has_vision=props["modalities"]["vision"],
        )

    def busy_slots(self) -> int:
        """Slots that read a prompt or write an answer now."""
        return sum(slot["is_processing"] for slot in _page(self.url, "/slots"))

    def seconds_until_busy(self, count: int, *, timeout: float) -> float | None:
        """Wait until ``count`` slots are busy; None: they were not in time."""
        began = time.monotonic()
        while self.busy_slots() != count:
            if time.monotonic() - began > timeout:
                return None
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began


def _page(root: str, path: str) -> Any:
    answer = httpx.get(root + path, timeout=30.0, trust_env=False)
    return answer.raise_for_status().json()
