"""Regular expressions that names are matched by, none of which can take long.

Python's engine tries one way after another to match an expression, and some expressions have more
ways than anybody can wait for, on a name that a client makes up. So the ways are counted before: an
item may be repeated, but not a group, nothing is looked for behind or ahead, and the number of ways
in which all of it can match a name of the greatest length is bounded.
"""

from __future__ import annotations

import re
import warnings
from typing import Final

LONGEST_MATCHED: Final = 128
"""Characters. No longer name is matched by any expression."""
_WAYS_OF_A_REPEAT: Final = 64
"""Without a bound. Several of them share the length of a name, so each has fewer than that."""
_MOST_WAYS: Final = 1 << 20
"""Three repeats without a bound, and two options: some milliseconds in the worst case."""
_LONGEST_EXPRESSION: Final = 256
_SIMPLE_ESCAPES: Final = frozenset("dDwWsSbB")
_REFERENCE: Final = re.compile(r"\\(?:(\d+)|g<(\w*)>|.)", re.DOTALL)
_BOUNDS: Final = re.compile(r"\{(\d{0,4})(?:(,)(\d{0,4}))?\}")


class ExpressionRefused(ValueError):
    """It is none, or one that might take long; the message says why and what to write instead."""


class NameExpression:
    """An expression that matches whole names."""

    __slots__ = ("_compiled",)

    def __init__(self, text: str) -> None:
        """
        Raises:
            ExpressionRefused: see there.
        """
        if len(text) > _LONGEST_EXPRESSION:
            raise ExpressionRefused(f"is longer than {_LONGEST_EXPRESSION} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of what Python may read otherwise one day
                self._compiled = re.compile(text)
        except (re.error, Warning, OverflowError, RecursionError) as fault:
            raise ExpressionRefused(f"is no regular expression: {fault}") from None
        ways = _Reader(text).ways()
        if ways > _MOST_WAYS:
            raise ExpressionRefused(
                "can match a name in too many ways, which takes too long to try; use fewer '*', "
                "'+' and '|'"
            )

    def check_template(self, template: str) -> None:
        """See to it that ``template`` names groups that there are.

        Raises:
            ExpressionRefused: it does not.
        """
        groups = {str(number) for number in range(1, self._compiled.groups + 1)}
        groups |= set(self._compiled.groupindex)
        for reference in _REFERENCE.finditer(template):
            name = reference[1] or reference[2]
            if name is None:
                raise ExpressionRefused(
                    f"holds '{reference[0]}', which is no group; write \\1 or \\g<name>"
                )
            if name not in groups:
                raise ExpressionRefused(f"names group '{name}', which the expression does not have")
        if template.endswith("\\"):
            raise ExpressionRefused("ends with a backslash")

    def renamed(self, name: str, template: str) -> str | None:
        """``template`` with what the groups have matched in ``name``; None: it is no match."""
        if len(name) > LONGEST_MATCHED:
            return None
        match = self._compiled.fullmatch(name)
        return None if match is None else match.expand(template)


class _Reader:
    """Counts the ways in which an expression can match a name. ``re`` has taken it already: only
    what it must not hold is looked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def ways(self) -> int:
        if self._text.startswith("(?i)"):
            self._at = 4
        return self._alternatives()

    def _alternatives(self) -> int:
        total = self._sequence()
        while self._take("|"):
            total += self._sequence()
        return total

    def _sequence(self) -> int:
        ways = 1
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            ways = min(ways * self._item(), _MOST_WAYS + 1)
        return ways

    def _item(self) -> int:
        if self._take("("):
            ways = self._group()
            repeats = self._repeats()
            if repeats == 2 and self._is_option:
                return ways + 1
            if repeats > 1 or self._is_repeat:
                raise ExpressionRefused(
                    "repeats a group, which may take too long; repeat single characters or sets "
                    "of them, as in [a-z]+"
                )
            return ways
        if self._take("["):
            self._set()
        elif self._take("\\"):
            self._escape()
        else:
            self._at += 1
        return self._repeats()

    def _group(self) -> int:
        if self._take("?"):
            if self._take("P<"):
                self._at = self._text.index(">", self._at) + 1
            elif not self._take(":"):
                raise ExpressionRefused(
                    "looks ahead or behind, or has flags in its midst; only (...), (?:...), "
                    "(?P<name>...), and (?i) at its beginning, can be used"
                )
        ways = self._alternatives()
        self._at += 1  # the bracket that closes it
        return ways

    def _set(self) -> None:
        self._take("^")
        self._take("]")
        while not self._take("]"):
            self._at += 2 if self._text[self._at] == "\\" else 1

    def _escape(self) -> None:
        escaped = self._text[self._at]
        self._at += 1
        if escaped.isalnum() and escaped not in _SIMPLE_ESCAPES:
            raise ExpressionRefused(
                f"holds '\\{escaped}'; of escapes that are letters or digits only \\d, \\w, \\s "
                "and \\b can be used, and groups only in what it stands for"
            )

    def _repeats(self) -> int:
        """How many lengths what stands before may have."""
        self._is_option = self._is_repeat = False
        ways = 1
        bounds = _BOUNDS.match(self._text, self._at)
        if self._take("*") or self._take("+"):
            ways, self._is_repeat = _WAYS_OF_A_REPEAT, True
        elif self._take("?"):
            ways, self._is_option = 2, True
        elif bounds is not None and (bounds[1] or bounds[3]):
            self._at = bounds.end()
            least = int(bounds[1] or 0)
            most = least if bounds[2] is None else int(bounds[3] or LONGEST_MATCHED)
            ways = max(1, min(most, LONGEST_MATCHED) - least + 1)
            self._is_repeat = True
        if ways > 1 and not self._take("?"):
            self._take("+")
        return ways

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False
