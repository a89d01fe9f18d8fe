"""What a sandbox has seen and done: counters, and a running call's hold on them.

Of every call: received = refused + started, and started = completed + cancelled + broken + in
flight. A call counts as started when it has passed all limits.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field

from forebay.endpoints.sandbox._http import Outcome
from forebay.protocol.jsontext import JsonObject

KEPT_STARTS = 100_000


@dataclass(slots=True)
class ModelCounters:
    """The calls of one model."""

    started: int = 0
    completed: int = 0
    cancelled: int = 0
    broken: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SandboxStatistics:
    """A sandbox at one moment."""

    now: float
    """Trio time at which this was taken."""
    received: int
    """Calls to generate, however they ended."""
    started: int
    """Calls that were let through."""
    completed: int
    """Calls whose answer was sent to its end."""
    cancelled: int
    """Calls whose client went away before the end."""
    broken: int
    """Calls that were started and then went wrong, because a fault was asked for."""
    refused: dict[int, int]
    """Calls refused before they started, by status."""
    faults: dict[str, int]
    """Faults played, by name."""
    in_flight: int
    max_in_flight: int
    open_connections: int
    input_tokens: int
    output_tokens: int
    """Tokens served; of a call that broke off, those that were produced."""
    models: dict[str, ModelCounters]
    starts: tuple[float, ...]
    """Trio times of the latest starts, up to 100,000."""

    def as_json(self) -> JsonObject:
        shown: JsonObject = {
            key: value
            for key, value in asdict(self).items()
            if key not in ("refused", "models", "starts")
        }
        shown["refused"] = {str(status): count for status, count in self.refused.items()}
        shown["models"] = {name: asdict(one) for name, one in self.models.items()}
        shown["starts"] = list(self.starts)
        return shown


@dataclass(slots=True)
class Counters:
    """The counts since the last reset."""

    max_in_flight: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    models: dict[str, ModelCounters] = field(default_factory=dict)
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_STARTS))

    def statistics(self, *, now: float, load: Load) -> SandboxStatistics:
        models = self.models.values()
        started = sum(model.started for model in models)
        return SandboxStatistics(
            now=now,
            received=started + self.refused.total(),
            started=started,
            completed=sum(model.completed for model in models),
            cancelled=sum(model.cancelled for model in models),
            broken=sum(model.broken for model in models),
            refused=dict(self.refused),
            faults=dict(self.faults),
            in_flight=load.in_flight,
            max_in_flight=self.max_in_flight,
            open_connections=load.open_connections,
            input_tokens=sum(model.input_tokens for model in models),
            output_tokens=sum(model.output_tokens for model in models),
            models={name: ModelCounters(**asdict(one)) for name, one in self.models.items()},
            starts=tuple(self.starts),
        )


@dataclass(slots=True)
class Load:
    """What is going on now; unlike the counts it outlives a reset."""

    in_flight: int = 0
    open_connections: int = 0


class RunningCall:
    """One started call; see :class:`~forebay.endpoints.sandbox._http.Lease`."""

    __slots__ = ("_load", "_model", "_outcome", "_output_tokens", "_pieces")

    def __init__(
        self,
        *,
        counters: Counters,
        load: Load,
        model_name: str,
        input_tokens: int,
        output_tokens: int,
        now: float,
    ) -> None:
        self._load = load
        self._model = counters.models.setdefault(model_name, ModelCounters())
        self._output_tokens = output_tokens
        self._pieces = 0
        self._outcome: Outcome | None = None
        load.in_flight += 1
        counters.max_in_flight = max(counters.max_in_flight, load.in_flight)
        counters.starts.append(now)
        self._model.started += 1
        self._model.input_tokens += input_tokens

    def count_pieces(self, count: int) -> None:
        self._pieces += count

    def finish(self, outcome: Outcome) -> None:
        if self._outcome is not None:
            return
        self._outcome = outcome
        self._load.in_flight -= 1
        match outcome:
            case Outcome.COMPLETED:
                self._model.completed += 1
                self._model.output_tokens += self._output_tokens
            case Outcome.CANCELLED:
                self._model.cancelled += 1
                self._model.output_tokens += min(self._pieces, self._output_tokens)
            case Outcome.BROKEN:
                self._model.broken += 1
                self._model.output_tokens += min(self._pieces, self._output_tokens)

    def client_was_gone(self) -> None:
        if self._outcome is Outcome.COMPLETED:
            self._outcome = Outcome.CANCELLED
            self._model.completed -= 1
            self._model.cancelled += 1
