"""Fields that several of OpenAI's APIs share, and how what is wrong with them is said."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._options import SandboxModel


def find_model(fields: Fields, models: Models) -> SandboxModel:
    """The model that a request names.

    Raises:
        Refused, FieldFault: as all of these; see :meth:`Dialect.read_call`.
    """
    name = fields.text("model")
    model = models.get(name)
    if model is None:
        raise refused(
            FailureKind.NO_MODEL,
            f"The model `{name}` does not exist or you do not have access to it.",
            "model",
        )
    return model


def read_streaming(fields: Fields) -> tuple[bool, bool]:
    """Whether the answer is to be streamed, and whether with its usage."""
    stream = fields.flag("stream", default=False)
    options = fields.optional_object("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise bad("stream_options", "it is only allowed when 'stream' is enabled.")
    return stream, options.flag("include_usage", default=False)


def check_ranges(fields: Fields, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Each field of ``ranges`` is absent, or a number from the first to the second."""
    for key, (low, high) in ranges.items():
        number = fields.optional_number(key)
        if number is not None and not low <= number <= high:
            raise bad(key, f"expected a value from {low} to {high}, but got {number:g} instead.")


def read_choices(fields: Fields) -> int:
    """How many answers are wanted."""
    choices = fields.optional_integer("n")
    if choices is None:
        return 1
    if not 1 <= choices <= 128:
        raise bad("n", f"expected a value from 1 to 128, but got {choices} instead.")
    return choices


def read_stop(fields: Fields) -> tuple[str, ...]:
    value = fields.values.get("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    stop = fields.texts("stop")
    if len(stop) > 4:
        raise bad("stop", f"array too long. Expected at most 4 items, but got {len(stop)}.")
    return tuple(stop)


def refused(kind: FailureKind, message: str, param: str, code: str | None = None) -> Refused:
    return Refused(Failure(kind, message, param, code))


def bad(param: str, what: str) -> Refused:
    return refused(FailureKind.BAD_VALUE, f"Invalid '{param}': {what}", param)
