"""All that are able to serve who asks for ``auto`` with the same wishes, the best first; and of
these, those that fit a request of some size.

There may be thousands, and requests come by the hundred a second. So who fits is found out once for
all requests of about a size: sizes between the same two lengths of contexts and answers that there
are make no difference.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple

from forebay.actors.providers.estimates import TokenEstimator
from forebay.actors.providers.manners import Manner
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.routing.ability import lacks_of
from forebay.actors.routing.auto_candidates import Candidate
from forebay.protocol.canonical.needs import Needs

MOST_TARGETS: Final = 12
"""Among which who asks for ``auto`` gets one."""
_USUAL_CONTEXT: Final = 8192
"""Tokens that whatever is served takes, though nobody says."""
_MOST_SIZES: Final = 32
"""Kept, of those that requests have."""
_NO_SIZE: Final = RequestSize(0)
_UNTAUGHT: Final = TokenEstimator()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants of the model that serves it."""

    needs: Needs
    """All of them together, with what its prompt has in tokens at the very least."""
    size: RequestSize = _NO_SIZE
    longest_answer: int | None = None

    @property
    def expected_tokens(self) -> float:
        """Of its prompt, most likely, and its longest answer."""
        expected = _UNTAUGHT.input_tokens(self.size) + (self.longest_answer or 0)
        return max(expected, self.needs.context_tokens)


class Fitting(NamedTuple):
    """One that fits."""

    candidate: Candidate
    manner: Manner
    place: int
    """In the ranking."""
    doubts: int
    """How much of what is needed nobody says that it has."""
    may_be_short: bool
    """It may turn out that it does not take the prompt, or does not give the answer."""


class Best(NamedTuple):
    """The first of a ranking that fit: there are enough of them, and none is better than another by
    what is known."""

    candidates: tuple[Candidate, ...]
    of_each_manner: tuple[Fitting, ...]
    """One of those that are asked alike."""


class _Size(NamedTuple):
    """How many of the contexts and of the longest answers that there are, are too short."""

    contexts_surely: int
    contexts_likely: int
    answers: int | None
    answers_asked_for: int
    asks_for_answers: bool


class Ranking:
    """Those that have the capabilities that are asked for, as far as anybody says, best first."""

    def __init__(self, ranked: Sequence[tuple[Candidate, int]]) -> None:
        """
        Args:
            ranked: each with the number of capabilities that nobody says it has; the least first.
        """
        self._ranked = tuple(ranked)
        facts = [candidate.facts for candidate, _ in ranked]
        contexts = {each.context_tokens or _USUAL_CONTEXT for each in facts}
        answers = {each.max_output_tokens or each.context_tokens or 0 for each in facts}
        self._contexts = sorted(contexts)
        self._answers = sorted(answers)
        self._by_size: OrderedDict[_Size, _Found] = OrderedDict()

    def fitting(self, wanted: Wanted) -> Iterator[Fitting]:
        """Those that do not surely lack the length that a request needs, in their order."""
        return iter(self._found(wanted))

    def best(self, wanted: Wanted) -> Best | None:
        """The first :data:`MOST_TARGETS` that fit, where that is all there is to know."""
        return self._found(wanted).best

    def _found(self, wanted: Wanted) -> _Found:
        size = self._size_of(wanted)
        found = self._by_size.get(size)
        if found is None:
            found = self._by_size[size] = _Found(self._find(wanted))
            if len(self._by_size) > _MOST_SIZES:
                self._by_size.popitem(last=False)
        self._by_size.move_to_end(size)
        return found

    def _size_of(self, wanted: Wanted) -> _Size:
        needs, answer = wanted.needs, wanted.longest_answer
        return _Size(
            bisect_left(self._contexts, needs.context_tokens),
            bisect_left(self._contexts, wanted.expected_tokens),
            None if answer is None else bisect_left(self._answers, answer),
            bisect_left(self._answers, needs.output_tokens),
            needs.output_tokens > 0,
        )

    def _find(self, wanted: Wanted) -> Iterator[Fitting]:
        needs, answer, expected = wanted.needs, wanted.longest_answer, wanted.expected_tokens
        for place, (candidate, doubts) in enumerate(self._ranked):
            facts = candidate.facts
            if lacks_of(candidate.provider.profile, facts, needs, answer):
                continue
            may_be_short = expected > (facts.context_tokens or _USUAL_CONTEXT) or (
                needs.output_tokens > 0 and facts.max_output_tokens is None
            )
            manner = candidate.provider.manner_of(candidate.model_id)
            yield Fitting(candidate, manner, place, doubts, may_be_short)


class _Found:
    """What an iterator gives, looked for as far as anybody wants it and kept for the next."""

    def __init__(self, rest: Iterator[Fitting]) -> None:
        self._kept: list[Fitting] = []
        self._rest = rest

    @cached_property
    def best(self) -> Best | None:
        """As of :meth:`Ranking.best`."""
        first = tuple(islice(self, MOST_TARGETS))
        if len(first) < MOST_TARGETS or any(each.may_be_short for each in first):
            return None
        if first[0].doubts != first[-1].doubts:
            return None
        of_each_manner = {each.manner: each for each in reversed(first)}
        candidates = tuple(each.candidate for each in first)
        return Best(candidates, tuple(of_each_manner.values()))

    def __iter__(self) -> Iterator[Fitting]:
        yield from self._kept
        for each in self._rest:
            self._kept.append(each)
            yield each
