"""What the tests of the Ollama dialect share: the context of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ReplyContext


class MakesContext(Protocol):
    def __call__(
        self, *, model: str = ..., elapsed_ns: Callable[[], int] = ..., estimate: int = ...
    ) -> ReplyContext: ...


@pytest.fixture(scope="session")
def reply_to() -> MakesContext:
    def make(
        *,
        model: str = "house/model",
        elapsed_ns: Callable[[], int] = lambda: 1_500_000_000,
        estimate: int = 7,
    ) -> ReplyContext:
        return ReplyContext(
            request=ChatRequest(model=model, turns=()),
            response_id="0123456789abcdef",
            created=1_795_343_400,
            input_tokens_estimate=estimate,
            elapsed_ns=elapsed_ns,
        )

    return make
