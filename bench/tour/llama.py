"""What a llama.cpp server says of itself, asked past the gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

_BUSY_POLL_SECONDS = 0.05
_FIRST_IDLE_POLL_SECONDS = 0.3
_IDLE_POLL_SECONDS = 1.3
"""The server looks for clients that left when nothing has happened in it for a second, and
answering this question is something that happens."""


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
        return sum(slot["is_processing"] for slot in _get(self.url, "/slots").json())

    def becomes_busy(self, *, timeout: float) -> bool:
        """Wait until a slot is busy, at most ``timeout`` seconds."""
        began = time.monotonic()
        while not self.busy_slots():
            if time.monotonic() - began > timeout:
                return False
            time.sleep(_BUSY_POLL_SECONDS)
        return True

    def becomes_idle(self, *, timeout: float) -> float | None:
        """Wait until no slot is busy; after how many seconds that was seen. None: not in time."""
        began = time.monotonic()
        pause = _FIRST_IDLE_POLL_SECONDS
        while time.monotonic() - began < timeout:
            time.sleep(pause)
            if not self.busy_slots():
                return time.monotonic() - began
            pause = _IDLE_POLL_SECONDS
        return None


def _page(root: str, path: str) -> dict[str, Any]:
    page: dict[str, Any] = _get(root, path).json()
    return page


def _get(root: str, path: str) -> httpx.Response:
    return httpx.get(root + path, timeout=30.0, trust_env=False).raise_for_status()
