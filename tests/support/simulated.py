"""Simulations for tests: small configurations and loads, and what came of them."""

from __future__ import annotations

from forebay.actors.config import Settings, parse_settings
from forebay.actors.simulation.reading import parse_load
from forebay.actors.simulation.run import simulate
from forebay.actors.simulation.summary import Summary, summary_of


def settings_of(
    limits: dict[str, object] | None = None, *, max_wait_ms: int = 600_000, **more: object
) -> Settings:
    """One provider ``up`` with these limits, and a model ``fast`` that it serves."""
    up = {"kind": "openai_compatible", "base_url": "http://up.test/v1", "limits": limits or {}}
    return parse_settings(
        {
            "wait": {"max_wait_ms": max_wait_ms},
            "providers": {"up": up},
            "models": {"fast": {"targets": ["up/m"]}},
            **more,
        }
    )


def traffic_of(**fields: object) -> dict[str, object]:
    """Of one user, who asks for ``fast``: 100 tokens in and 100 out."""
    return {"users": 1, "models": "fast", "input_tokens": 100, "output_tokens": 100, **fields}


def run_of(
    settings: Settings, traffic: dict[str, object] | dict[str, dict[str, object]], **load: object
) -> Summary:
    """What comes of one traffic, or of several by name."""
    named = {"load": traffic} if "models" in traffic else traffic
    described = parse_load({"traffic": named, **load}, settings, source="test")
    run = simulate(settings, described)
    return summary_of(run.record, run.upstreams)
