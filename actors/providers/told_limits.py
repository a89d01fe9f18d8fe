"""What a provider's answers tell of its limits, brought to the gates that stand for them.

A limit gets its gate when an answer first tells of it. The gates of configured limits stand beside
it: whatever the provider says, no more than was configured is taken, and less where it says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from forebay.actors.providers.gate_memories import recall_gate
from forebay.actors.scheduling.gates import RefusedBy, Unit
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import PoolTarget
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import Shape
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import (
    LimitReading,
    Quantity,
    Refill,
    Scope,
    inferred_window,
)

_UNITS: Final = {
    Quantity.REQUESTS: Unit.REQUESTS,
    Quantity.TOKENS: Unit.TOKENS,
    Quantity.INPUT_TOKENS: Unit.INPUT_TOKENS,
    Quantity.OUTPUT_TOKENS: Unit.OUTPUT_TOKENS,
}
_SHAPES: Final = {Refill.SMOOTH: Shape.SMOOTH, Refill.AT_RESET: Shape.FIXED}
_MOST_LIMITS: Final = 32
"""Of an account or a target: names come from the provider."""


class ToldLimits:
    """Of one provider."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._gates: dict[Pool | PoolTarget, dict[str, ToldLimit]] = {}
        self._windows: dict[ToldLimit, _SeenWindow] = {}

    def hear(self, readings: Iterable[LimitReading], grant: Grant, now: float) -> None:
        """The answer to the granted call began, and tells this."""
        heard = False
        for reading in readings:
            if not reading.binds:
                continue
            holder = self._pool if reading.scope is Scope.ACCOUNT else grant.target
            gate = self._gate(reading.name, _UNITS[reading.quantity], holder)
            if gate is not None:
                gate.hear(self._told(reading, gate), grant.call, now)
                heard = True
        if heard:
            self._pool.look_again()

    def memory(self, holder: Pool | PoolTarget, now: float) -> JsonObject:
        """What must survive a restart of what was told of the account or target."""
        return {
            name: {"unit": gate.unit.value, "known": dict(gate.memory(now))}
            for name, gate in self._gates.get(holder, {}).items()
        }

    def recall(self, holder: Pool | PoolTarget, memory: JsonObject, remembered_at: float) -> None:
        """Go on from there, before the holder is used. What can't be read is left out."""
        for name, kept in memory.items():
            match kept:
                case {"unit": str(unit), "known": dict(known)} if unit in set(Unit):
                    gate = self._gate(name, Unit(unit), holder)
                    if gate is not None:
                        recall_gate(gate, known, remembered_at)

    def forget_target(self, target: PoolTarget) -> None:
        for gate in self._gates.pop(target, {}).values():
            self._windows.pop(gate, None)

    def _gate(self, name: str, unit: Unit, holder: Pool | PoolTarget) -> ToldLimit | None:
        gates = self._gates.setdefault(holder, {})
        gate = gates.get(name)
        if gate is None and len(gates) < _MOST_LIMITS:
            whose = holder.name if holder is self._pool else f"{self._pool.name}/{holder.name}"
            gate = gates[name] = ToldLimit(f"{whose}: {name} (told)", unit)
            holder.add_gate(gate)
        return gate

    def _told(self, reading: LimitReading, gate: ToldLimit) -> Told:
        return Told(
            limit=reading.limit,
            remaining=reading.remaining,
            resets_in=reading.resets_in,
            window=reading.window or self._window(reading, gate),
            shape=_SHAPES[reading.refill],
        )

    def _window(self, reading: LimitReading, gate: ToldLimit) -> float | None:
        """The window that a reading lets infer, if another one with another number left did, too:
        a single one may be misread."""
        window = inferred_window(reading)
        if window is None or reading.remaining is None:
            return None
        seen = self._windows.get(gate)
        self._windows[gate] = _SeenWindow(window, reading.remaining)
        if seen is None or seen.window != window or seen.remaining == reading.remaining:
            return None
        return window


def refused_by(hint: LimitHint | None) -> RefusedBy | None:
    """What a refusal told of the limit that it was by, for whoever learns limits; None: nothing
    that bounds calls from now on."""
    if hint is None:
        return None
    if hint.kind is HintKind.CONCURRENCY:
        return RefusedBy(limit=hint.limit)
    if hint.kind is not HintKind.RATE or hint.quantity is None:
        return None
    per_second = hint.limit / hint.window if hint.limit and hint.window else None
    return RefusedBy(unit=_UNITS[hint.quantity], limit=per_second)


@dataclass(frozen=True, slots=True)
class _SeenWindow:
    window: float
    remaining: float
