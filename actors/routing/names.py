"""What a name means before anybody looks who serves it: aliases followed, stars told.

A name that is written out comes before one with a star, of those with stars the one that says most,
then regular expressions in their order, and last whatever providers list. A target named outright
(``openai/gpt-5``) counts as ``openai/*`` would: a star that says more comes before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forebay.actors.config import (
    EXPRESSION_MARK,
    NameExpression,
    Settings,
    Wildcard,
    has_star,
    with_star,
)
from forebay.actors.providers.model_names import spellings
from forebay.protocol.canonical.auto_names import is_auto

_MOST_KNOWN: Final = 4096
"""Names whose meanings are remembered. Clients may make up any number."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one name."""

    name: str
    """The name that is asked for, once aliases are followed."""
    model: str | None = None
    """The configured model of that name. None: it is none of these."""
    star: str = ""
    """What the star in that model's name stands for."""


class Names:
    """The names of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._models = frozenset(name for name in settings.models if not has_star(name))
        self._aliases: dict[str, str] = {}
        self._expressions: list[tuple[NameExpression, str]] = []
        patterns: list[tuple[Wildcard, str, str | None]] = [
            (Wildcard.of(name), name, None) for name in settings.models if has_star(name)
        ]
        for alias, name in settings.aliases.items():
            if alias.startswith(EXPRESSION_MARK):
                expression = NameExpression(alias.removeprefix(EXPRESSION_MARK))
                self._expressions.append((expression, name))
            elif has_star(alias):
                patterns.append((Wildcard.of(alias), alias, name))
            else:
                self._aliases[alias] = name
        self._patterns = sorted(patterns, key=lambda each: each[0].specificity, reverse=True)
        """With what an alias stands for; None: it is a model."""
        self._outright = frozenset((*settings.providers, *settings.groups))
        self._known: dict[str, Meaning] = {}

    def meaning(self, name: str) -> Meaning:
        """What ``name`` means, as a client writes it."""
        meaning = self._known.get(name)
        if meaning is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            meaning = self._known[name] = self._found(name)
        return meaning

    def _found(self, name: str) -> Meaning:
        written = self._written_out(name)
        if written is not None:
            return written
        for spelling in spellings(name):
            if spelling in self._aliases:
                return self._of_an_alias(self._aliases[spelling])
        if is_auto(name):
            return Meaning(name)
        starred = self._starred(name, aliases=True)
        if starred is not None:
            return starred
        for expression, template in self._expressions:
            renamed = expression.renamed(name, template)
            if renamed is not None:
                return self._of_an_alias(renamed)
        return Meaning(name)

    def _of_an_alias(self, name: str) -> Meaning:
        """Which leads to no other alias."""
        if is_auto(name):
            return self._written_out(name) or Meaning(name)
        return self._written_out(name) or self._starred(name, aliases=False) or Meaning(name)

    def _written_out(self, name: str) -> Meaning | None:
        for spelling in spellings(name):
            if spelling in self._models:
                return Meaning(spelling, spelling)
        return None

    def _starred(self, name: str, *, aliases: bool) -> Meaning | None:
        provider, slash, _ = name.partition("/")
        said = len(provider) + 1 if slash and provider in self._outright else 0
        for wildcard, pattern, alias_of in self._patterns:
            if wildcard.specificity[0] < said:
                return None
            if alias_of is not None and not aliases:
                continue
            star = wildcard.star_in(name)
            if star is not None and alias_of is None:
                return Meaning(name, pattern, star)
            if star is not None and alias_of is not None:
                return self._of_an_alias(with_star(alias_of, star))
        return None
