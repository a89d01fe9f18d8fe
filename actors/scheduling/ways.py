"""The gates that calls pass on one way, and which of them have to be asked at all."""

from __future__ import annotations

from forebay.actors.scheduling.gates import Gate, naps


class Way:
    """Of one target by one route."""

    __slots__ = ("_alike", "_awake", "_hearing", "_naps", "_settling", "gates")

    def __init__(self, gates: tuple[Gate, ...]) -> None:
        self.gates = gates
        self._naps = -1
        self._awake: tuple[Gate, ...] = ()
        self._hearing: tuple[Gate, ...] = ()
        self._settling: tuple[Gate, ...] = ()
        self._alike: tuple[Gate, ...] = ()

    def awake(self) -> tuple[Gate, ...]:
        """Those that are not dormant."""
        if self._naps != naps.count:
            self._look()
        return self._awake

    def hearing(self) -> tuple[Gate, ...]:
        """Of these, those that make use of :meth:`Gate.accepted`."""
        if self._naps != naps.count:
            self._look()
        return self._hearing

    def settling(self) -> tuple[Gate, ...]:
        """Of these, those to which it matters that a call ended well."""
        if self._naps != naps.count:
            self._look()
        return self._settling

    def alike(self) -> tuple[Gate, ...]:
        """Of these, those that are open or closed whatever a call needs. Those of the route first:
        where calls wait for each other they wait for slots."""
        if self._naps != naps.count:
            self._look()
        return self._alike

    def _look(self) -> None:
        self._naps = naps.count
        self._awake = tuple(gate for gate in self.gates if not gate.is_dormant)
        self._hearing = tuple(gate for gate in self._awake if gate.hears_of_accepted)
        self._settling = tuple(gate for gate in self._awake if gate.hears_of_good_ends)
        self._alike = tuple(gate for gate in reversed(self._awake) if gate.same_for_all)
