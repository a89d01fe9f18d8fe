"""Questions about what goes wrong, each at an upstream model of its own.

Faults leave traces at their target (a pause, an open breaker), so no two questions share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from sdk_questions import Question

from forebay.endpoints.sandbox import SandboxModel, SandboxOptions

_KINDS = {"o": "openai_compatible", "a": "anthropic", "l": "ollama"}
_FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A question that is to be asked, but not yet where."""

    id: str
    client: str
    provider: str
    question: Question
    """Without a model."""
    stream: bool
    max_wait_ms: int | None = None
    """At most; None: as the gateway is configured."""


def more_providers(suffix: str, settings: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """One for each dialect, besides the usual ones: their names with ``suffix``."""
    key = {"a": {"api_key": "a-key"}}
    return {
        f"{name}{suffix}": {"kind": kind, **key.get(name, {}), **settings}
        for name, kind in _KINDS.items()
    }


@contextmanager
def gateway_for(
    wanted: Sequence[Wanted],
    *,
    wait: Mapping[str, object] | None = None,
    providers: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[tuple[LiveGateway, dict[str, Question]]]:
    """A gateway that has a model for each question, and the questions with it, by id.

    Args:
        wait: the gateway's section of that name.
    """
    models = {one.id: f"m{number}" for number, one in enumerate(wanted)}
    targets = {one.id: f"{one.provider}/{models[one.id]}" for one in wanted}
    impatient = {
        one.id: {"targets": [targets[one.id]], "max_wait_ms": one.max_wait_ms}
        for one in wanted
        if one.max_wait_ms is not None
    }
    names = {key: f"impatient-{models[key]}" for key in impatient}
    sandbox = SandboxOptions(
        models=tuple(map(SandboxModel, (_FIRST, *models.values()))),
        # What comes after a break is not there yet when the break is noticed.
        token_interval_ms=2,
    )
    own_names = {name: impatient[key] for key, name in names.items()}
    config = {"models": own_names, "wait": {"max_wait_ms": 30_000, **(wait or {})}}
    with live_gateway(config, sandbox=sandbox, providers=providers) as live:
        yield (
            live,
            {
                one.id: replace(one.question, model=names.get(one.id, targets[one.id]))
                for one in wanted
            },
        )


def take_the_only_places(live: LiveGateway, suffix: str) -> None:
    """One request to each provider with ``suffix``, which allows no more."""
    with httpx.Client(trust_env=False, timeout=20) as http:
        for name in UPSTREAMS:
            body = {
                "model": f"{name}{suffix}/{_FIRST}",
                "messages": [{"role": "user", "content": "hi"}],
            }
            assert http.post(f"{live.url}/v1/chat/completions", json=body).status_code == 200
