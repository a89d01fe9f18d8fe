"""What gates know, as JSON and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from forebay.actors.scheduling.gates import Gate
from forebay.protocol.jsontext import JsonObject, JsonValue

_log = logging.getLogger("forebay.state")


def gate_memories(gates: Iterable[Gate], now: float) -> JsonObject:
    """By name, of those that have anything to remember."""
    memories = {gate.name: gate.memory(now) for gate in gates}
    return {name: dict(memory) for name, memory in memories.items() if memory}


def recall_gates(gates: Iterable[Gate], memory: JsonValue, remembered_at: float) -> None:
    """Go on from what :func:`gate_memories` gave at that time; the rest of it is left out."""
    known = json_object(memory)
    for gate in gates:
        if gate.name in known:
            recall_gate(gate, json_object(known[gate.name]), remembered_at)


def recall_gate(gate: Gate, memory: JsonObject, remembered_at: float) -> None:
    """Of one gate; one that can't read it begins anew."""
    try:
        gate.recall(numbers(memory), remembered_at)
    except (KeyError, ValueError, ArithmeticError) as fault:
        _log.warning("%s: what was kept of it can't be read: %r", gate.name, fault)


def json_object(value: JsonValue) -> JsonObject:
    """``value``, or an empty object where it is none."""
    return value if isinstance(value, dict) else {}


def numbers(value: JsonValue) -> Mapping[str, float]:
    """What is a number in the object ``value``."""
    return {
        name: float(number)
        for name, number in json_object(value).items()
        if isinstance(number, int | float)
    }
