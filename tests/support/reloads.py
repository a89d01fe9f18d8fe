"""Configurations that change while a world turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forebay.endpoints.sandbox import SandboxOptions


def config(
    providers: Mapping[str, Mapping[str, object]],
    models: Mapping[str, Sequence[str] | Mapping[str, object]],
    **more: object,
) -> dict[str, object]:
    """A configuration over the sandboxes that are called like the providers, if they name no
    other ``base_url``; models as lists of providers or as sections."""
    return {
        "wait": {"max_wait_ms": 600_000},
        "providers": {
            name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1", **settings}
            for name, settings in providers.items()
        },
        "models": {
            name: (
                model
                if isinstance(model, Mapping)
                else {"targets": [f"{provider}/sandbox-chat" for provider in model]}
            )
            for name, model in models.items()
        },
        **more,
    }


def sandboxes(*names: str, latency_ms: float = 1000) -> dict[str, SandboxOptions]:
    """Without limits; each answer takes so long."""
    return {name: SandboxOptions(latency_ms=latency_ms, token_interval_ms=50) for name in names}
