"""How times, rates and sizes are written in a load description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import exp, inf, log
from random import Random
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forebay.actors.config.problems import Fault, broken
from forebay.actors.config.strict_sections import StrictSettings
from forebay.actors.config.values import Number, SomeOf

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)")
_PLAIN: Final = re.compile(r"\d+(?:\.\d+)?")
_NORMAL_95: Final = 1.6448536269514722
"""Standard deviations below which 95 % of a normal distribution lie."""


def _seconds(value: object) -> object:
    """Seconds of ``90``, ``90s``, ``250ms``, ``1h30m``; what is no text stays what it is."""
    if not isinstance(value, str):
        return value
    text = value.replace(" ", "")
    if _PLAIN.fullmatch(text):
        return float(text)
    pieces = _PIECE.findall(text)
    if not pieces or "".join(map("".join, pieces)) != text:
        raise broken(Fault(message="is not a time", fix="write it as in 90s, 1h30m, 250ms or 1d"))
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def _per_second(value: object) -> object:
    """Requests per second of ``10``, ``10/s``, ``600/min``, ``36000/h``."""
    if not isinstance(value, str):
        return value
    number, slash, unit = value.replace(" ", "").partition("/")
    if not _PLAIN.fullmatch(number) or (slash and unit not in _UNITS):
        raise broken(Fault(message="is not a rate", fix="write it as in 10/s, 600/min or 36000/h"))
    return float(number) / (_UNITS[unit] if slash else 1.0)


Seconds = Annotated[Number, BeforeValidator(_seconds), Field(ge=0, le=366 * 86_400)]
"""A time; ``1h30m`` or a number of seconds."""
SomeSeconds = Annotated[Number, BeforeValidator(_seconds), Field(gt=0, le=366 * 86_400)]
PerSecond = Annotated[Number, BeforeValidator(_per_second), Field(ge=0, le=1e6)]
"""A rate of requests; ``600/min`` or a number per second."""

Tokens = Annotated[Number, Field(ge=0, le=1e9)]


class LogNormal(StrictSettings):
    """Many small ones and few large ones, as sizes of requests mostly are."""

    median: Annotated[Number, Field(gt=0, le=1e9)]
    p95: Annotated[Number, Field(gt=0, le=1e9)]
    """So much or less have 95 of 100."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.p95 < self.median:
            raise broken(Fault(at=("p95",), message="must not be less than the median", echo=True))
        return self


def _two(bounds: tuple[float, ...]) -> tuple[float, ...]:
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        raise broken(Fault(message="must be the least and the most", fix="write it as in [10, 99]"))
    return bounds


class Size(StrictSettings):
    """A number of tokens: always the same, or by chance."""

    constant: Tokens | None = None
    uniform: Annotated[SomeOf[Tokens], AfterValidator(_two)] | None = None
    lognormal: LogNormal | None = None
    most: Annotated[Number, Field(gt=0, le=1e9)] | None = None
    """What is drawn larger counts as this."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        kinds = (self.constant, self.uniform, self.lognormal)
        if sum(kind is not None for kind in kinds) != 1:
            raise broken(
                Fault(
                    message="must be a number or one of uniform, lognormal",
                    fix="write it as in 500, {uniform: [100, 900]} or "
                    "{lognormal: {median: 400, p95: 3000}}",
                )
            )
        return self

    def draw(self, random: Random) -> int:
        """The next size."""
        if self.constant is not None:
            return int(self.constant)
        if self.uniform is not None:
            drawn = random.uniform(*self.uniform)
        else:
            assert self.lognormal is not None
            spread = log(self.lognormal.p95 / self.lognormal.median) / _NORMAL_95
            drawn = self.lognormal.median * exp(spread * random.gauss(0.0, 1.0))
        return max(1, round(min(drawn, self.most or inf)))


def _size(value: object) -> object:
    if isinstance(value, Mapping | Size):
        return value
    return {"constant": value}


SizeOf = Annotated[Size, BeforeValidator(_size)]
"""``500``, ``{uniform: [100, 900]}`` or ``{lognormal: {median: 400, p95: 3000}}``."""
