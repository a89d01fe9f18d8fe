"""What a sandbox is set to: its models, its limits, its pace, its standing faults.

Options are one frozen value, replaced as a whole when they change at run time. What they do is
elsewhere: limits in ``_limits``, faults in ``_faults``, answers in ``_composer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from forebay.endpoints.sandbox._faults import parse_standing_fault
from forebay.protocol.jsontext import JsonObject, JsonValue, json_type_name


class LimitHeaders(StrEnum):
    """Which provider's rate-limit headers the answers and refusals carry."""

    NONE = "none"
    """None at all, and no ``retry-after`` either."""
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    TOGETHER = "together"
    OPENROUTER = "openrouter"
    """Nothing on success; limit, remaining and an epoch in milliseconds on a refusal."""


class Thinking(StrEnum):
    """When a model shows reasoning before its answer."""

    NEVER = "never"
    ON_REQUEST = "on_request"
    BY_DEFAULT = "by_default"


@dataclass(frozen=True, slots=True)
class SandboxModel:
    """One model that the sandbox pretends to have."""

    name: str
    thinking: Thinking = Thinking.ON_REQUEST
    tools: bool = True
    vision: bool = True
    context_tokens: int = 200_000
    max_output_tokens: int = 64_000


DEFAULT_MODELS = (
    SandboxModel("sandbox-chat"),
    SandboxModel("sandbox-thinking", thinking=Thinking.BY_DEFAULT),
    SandboxModel(
        "sandbox-small",
        thinking=Thinking.NEVER,
        tools=False,
        vision=False,
        context_tokens=8_192,
        max_output_tokens=4_096,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox behaves.

    Raises:
        ValueError: a value makes no sense; the message names the field and what it may be.
    """

    models: tuple[SandboxModel, ...] = DEFAULT_MODELS
    api_key: str | None = field(default=None, repr=False)
    """Asked for as ``Authorization: Bearer`` or ``x-api-key``; None: nobody is asked."""
    requests_per_minute: float | None = None
    requests_per_second: float | None = None
    tokens_per_minute: float | None = None
    """Input and output together, taken when a call starts."""
    concurrency: int | None = None
    """Calls that may run at once."""
    burst: int | None = None
    """Requests that a rested sandbox lets through at once; None: a whole window's worth."""
    limit_headers: LimitHeaders = LimitHeaders.NONE
    refusal_status: int = 429
    """What a call above ``concurrency`` gets: 429 or 503."""
    latency_ms: float = 0
    """From the whole request to the first byte of its answer."""
    token_interval_ms: float = 0
    """Between two pieces of a streamed answer; 0 sends all of them at once."""
    reply_tokens: int = 32
    """Length of a plain answer. An echo longer than that is not cut, see ``echo``."""
    echo: bool = True
    """Plain answers begin with ``You said:`` and the user's text, up to 4 KiB of it."""
    seed: int = 0
    fault_every: Mapping[str, int] = field(default_factory=dict)
    """Fault, as in a directive (``"429"``, ``"429=2"``), to n: every n-th call gets it."""
    max_body_bytes: int = 64 * 1024 * 1024
    keep_requests: int = 0
    """How many of the latest requests :attr:`Sandbox.requests` keeps, for tests to look at."""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models must name at least one model")
        names = [model.name for model in self.models]
        if len(set(names)) != len(names) or not all(names):
            raise ValueError("models must have names that are not empty and all different")
        for name in ("requests_per_minute", "requests_per_second", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, or None for no limit")
        for name in ("concurrency", "burst"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None for no limit")
        for name in ("latency_ms", "token_interval_ms", "keep_requests"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("reply_tokens", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.refusal_status not in (429, 503):
            raise ValueError("refusal_status must be 429 or 503")
        for fault, every in self.fault_every.items():
            parse_standing_fault(fault)
            if isinstance(every, bool) or not isinstance(every, int) or every < 1:
                raise ValueError(f"fault_every: {fault!r} must have a whole number of at least 1")

    def changed(self, changes: JsonObject) -> SandboxOptions:
        """These options with some fields replaced, as ``POST /sandbox/options`` sends them.

        ``models`` is a list of names or of objects with the fields of :class:`SandboxModel`. The
        key can't be changed over the wire.

        Raises:
            ValueError: a field is unknown or has a wrong value; the message names it.
        """
        known = {one.name for one in fields(self)} - {"api_key"}
        values: dict[str, object] = {}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such option: {name!r}. Options: {', '.join(sorted(known))}")
            values[name] = _READERS[name](name, value)
        return replace(self, **values)  # type: ignore[arg-type]  # each reader gives its field's type

    def as_json(self) -> JsonObject:
        """All options but the key, as ``GET /sandbox/options`` shows them."""
        shown: JsonObject = {}
        for one in fields(self):
            if one.name == "models":
                shown["models"] = [_model_as_json(model) for model in self.models]
            elif one.name == "fault_every":
                shown["fault_every"] = dict(self.fault_every)
            elif one.name != "api_key":
                shown[one.name] = getattr(self, one.name)
        return shown


def _model_as_json(model: SandboxModel) -> JsonObject:
    return {one.name: getattr(model, one.name) for one in fields(model)}


def _wrong(name: str, expected: str, value: JsonValue) -> ValueError:
    return ValueError(f"{name} must be {expected}, got {json_type_name(value)}")


def _flag(name: str, value: JsonValue) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def _whole(name: str, value: JsonValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "a whole number", value)
    return value


def _number(name: str, value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number", value)
    return value


def _whole_or_none(name: str, value: JsonValue) -> int | None:
    return None if value is None else _whole(name, value)


def _number_or_none(name: str, value: JsonValue) -> float | None:
    return None if value is None else _number(name, value)


def _limit_headers(name: str, value: JsonValue) -> LimitHeaders:
    if value not in list(LimitHeaders):
        raise ValueError(f"{name} must be one of: {', '.join(LimitHeaders)}")
    return LimitHeaders(str(value))


def _faults(name: str, value: JsonValue) -> dict[str, int]:
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return {fault: _whole(f"{name}.{fault}", every) for fault, every in value.items()}


def _models(name: str, value: JsonValue) -> tuple[SandboxModel, ...]:
    if not isinstance(value, list):
        raise _wrong(name, "a list", value)
    return tuple(_model(f"{name}[{index}]", item) for index, item in enumerate(value))


def _model(name: str, value: JsonValue) -> SandboxModel:
    if isinstance(value, str):
        return SandboxModel(value)
    if not isinstance(value, dict):
        raise _wrong(name, "a name or an object", value)
    model_name = value.get("name")
    if not isinstance(model_name, str):
        raise _wrong(f"{name}.name", "a string", model_name)
    model = SandboxModel(model_name)
    for key, item in value.items():
        path = f"{name}.{key}"
        match key:
            case "name":
                pass
            case "thinking":
                if item not in list(Thinking):
                    raise ValueError(f"{path} must be one of: {', '.join(Thinking)}")
                model = replace(model, thinking=Thinking(str(item)))
            case "tools":
                model = replace(model, tools=_flag(path, item))
            case "vision":
                model = replace(model, vision=_flag(path, item))
            case "context_tokens":
                model = replace(model, context_tokens=_whole(path, item))
            case "max_output_tokens":
                model = replace(model, max_output_tokens=_whole(path, item))
            case _:
                raise ValueError(f"no such field: {path!r}")
    return model


_READERS = {
    "models": _models,
    "requests_per_minute": _number_or_none,
    "requests_per_second": _number_or_none,
    "tokens_per_minute": _number_or_none,
    "concurrency": _whole_or_none,
    "burst": _whole_or_none,
    "limit_headers": _limit_headers,
    "refusal_status": _whole,
    "latency_ms": _number,
    "token_interval_ms": _number,
    "reply_tokens": _whole,
    "echo": _flag,
    "seed": _whole,
    "fault_every": _faults,
    "max_body_bytes": _whole,
    "keep_requests": _whole,
}
