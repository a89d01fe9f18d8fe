"""How people write what a model must be: ``tools,json,ctx>=100k``.

Parts stand between commas: a word for a capability, ``local``, or a bound. Numbers of tokens may
end in ``k`` (1,000) or ``m`` (1,000,000). Case and spaces make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.needs import Needs

_WORDS: Final[Mapping[str, Capability]] = {
    **{capability.value: capability for capability in Capability},
    "embeddings": Capability.EMBEDDING,
    "function_calling": Capability.TOOLS,
    "image": Capability.VISION,
    "images": Capability.VISION,
    "json": Capability.JSON_SCHEMA,
    "parallel": Capability.PARALLEL_TOOLS,
    "prefix": Capability.PREFIX_CONTINUATION,
    "reasoning": Capability.THINKING,
    "schema": Capability.JSON_SCHEMA,
    "tool": Capability.TOOLS,
}
_LOCAL: Final = "local"
_SHOWN: Final = (
    "chat, completion, embedding, tools, parallel_tools, json, vision, audio, thinking, prefix, "
    "local, ctx>=N, out>=N and price<=N"
)
_BOUND: Final = re.compile(r"([a-z]+)\s*(>=|<=|=|>|<)\s*(.*)", re.DOTALL)
_TOKENS: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([km]?)")
_DOLLARS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SCALES: Final[Mapping[str, int]] = {"": 1, "k": 1000, "m": 1_000_000}
_BOUNDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ctx", "context"), "ctx"),
    **dict.fromkeys(("out", "output"), "out"),
    "price": "price",
}
_LONGEST_SHOWN: Final = 40


class NeedsUnreadable(ValueError):
    """What was written says no needs; the message names the part and the words that there are."""


def read_needs(text: str) -> Needs:
    """What ``text`` asks for, all of its parts together.

    Raises:
        NeedsUnreadable: a part is none, or there is none.
    """
    capabilities: set[Capability] = set()
    is_local = False
    context = output = 0
    most_price: float | None = None
    for part in text.split(","):
        written = part.strip().lower()
        word = written.replace("-", "_")
        bound = _BOUND.fullmatch(written)
        if word in _WORDS:
            capabilities.add(_WORDS[word])
        elif word == _LOCAL:
            is_local = True
        elif bound is None:
            raise _unknown(part)
        else:
            match _BOUNDS.get(bound[1]), bound[2]:
                case "ctx", ">=":
                    context = max(context, _tokens(part, bound[3]))
                case "out", ">=":
                    output = max(output, _tokens(part, bound[3]))
                case "price", "<=":
                    price = _dollars(part, bound[3])
                    most_price = price if most_price is None else min(price, most_price)
                case "ctx" | "out" as name, _:
                    raise _wrong(part, f"write it as in {name}>=100k")
                case "price", _:
                    raise _wrong(part, "write it as in price<=2.5")
                case _:
                    raise _unknown(part)
    return Needs(
        capabilities=frozenset(capabilities),
        context_tokens=context,
        output_tokens=output,
        local=is_local,
        most_price=most_price,
    )


def written_needs(needs: Needs) -> str:
    """``needs`` as :func:`read_needs` reads it, as far as people can write it; may be empty."""
    parts = [word for word, capability in _SHORTEST if capability in needs.capabilities]
    if needs.local:
        parts.append(_LOCAL)
    if needs.context_tokens:
        parts.append(f"ctx>={_scaled(needs.context_tokens)}")
    if needs.output_tokens:
        parts.append(f"out>={_scaled(needs.output_tokens)}")
    if needs.most_price is not None:
        parts.append(f"price<={f'{needs.most_price:.9f}'.rstrip('0').rstrip('.')}")
    return ",".join(parts)


_SHORTEST: Final = tuple(
    ("json" if capability is Capability.JSON_SCHEMA else capability.value, capability)
    for capability in Capability
)


def _tokens(part: str, number: str) -> int:
    found = _TOKENS.fullmatch(number)
    if found is None:
        raise _wrong(part, "the number of tokens is written as in 8192, 100k or 1m")
    return (
        round(float(found[1]) * _SCALES[found[2]]) if "." in found[1] or found[2] else int(found[1])
    )


def _dollars(part: str, number: str) -> float:
    if _DOLLARS.fullmatch(number) is None:
        raise _wrong(part, "the price is in US dollars for a million tokens, as in price<=2.5")
    return float(number)


def _scaled(tokens: int) -> str:
    for suffix in ("m", "k"):
        if tokens % _SCALES[suffix] == 0:
            return f"{tokens // _SCALES[suffix]}{suffix}"
    return str(tokens)


def _unknown(part: str) -> NeedsUnreadable:
    return _wrong(part, f"there are {_SHOWN}, with commas between them")


def _wrong(part: str, mend: str) -> NeedsUnreadable:
    shown = part.strip()[:_LONGEST_SHOWN]
    return NeedsUnreadable(f"'{shown}' is nothing that a model can be asked for: {mend}")
