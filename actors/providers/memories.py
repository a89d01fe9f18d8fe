"""What is known of a provider, as JSON and back: its gates, what it told, and its estimates."""

from __future__ import annotations

from forebay.actors.providers.gate_memories import (
    gate_memories,
    json_object,
    numbers,
    recall_gates,
)
from forebay.actors.providers.provider import Provider, Target
from forebay.protocol.jsontext import JsonObject


def remember(provider: Provider, now: float) -> JsonObject:
    """All that must survive a restart. Times are seconds from ``now``."""
    hosts = [gate for gates in provider.routes.slots.values() for gate in gates]
    return {
        "gates": gate_memories((*provider.pool.gates, *hosts), now),
        "told": provider.told_limits.memory(provider.pool, now),
        "targets": {
            model_id: _of_target(target, now) for model_id, target in provider.targets.items()
        },
    }


def recall(provider: Provider, memory: JsonObject, remembered_at: float) -> None:
    """Go on from what :func:`remember` gave at that time, before the provider is used. What is
    not of this provider, as it is configured now, is left out."""
    recall_gates(provider.pool.gates, memory.get("gates"), remembered_at)
    provider.told_limits.recall(provider.pool, json_object(memory.get("told")), remembered_at)
    for model_id, known in json_object(memory.get("targets")).items():
        _recall_target(provider.target(model_id), json_object(known), remembered_at)


def _of_target(target: Target, now: float) -> JsonObject:
    routes = [gate for route in target.pooled.routes for gate in route.gates]
    return {
        "gates": gate_memories((*target.pooled.gates, *routes), now),
        "told": target.provider.told_limits.memory(target.pooled, now),
        "estimates": dict(target.estimator.memory()),
    }


def _recall_target(target: Target, memory: JsonObject, remembered_at: float) -> None:
    routes = [gate for route in target.pooled.routes for gate in route.gates]
    recall_gates((*target.pooled.gates, *routes), memory.get("gates"), remembered_at)
    told = json_object(memory.get("told"))
    target.provider.told_limits.recall(target.pooled, told, remembered_at)
    target.estimator.recall(numbers(memory.get("estimates")))
