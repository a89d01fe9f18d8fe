"""The targets among which who asks for the model ``auto`` gets one.

A few of all that are able are chosen, the best first: those of which it is known that they have
what is needed before others, then by price and nearness. Of these the job gets one late, when it
starts: one that has room. So which are chosen depends on what is asked for, and never on who has
room just now: jobs that ask for the same wait in one lane.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import trio

from forebay.actors.config import AutoCandidates, AutoSettings, NameList, Settings
from forebay.actors.gateway.ability import Unable, lacks_of, none_is_able
from forebay.actors.gateway.auto_candidates import Candidate, Candidates
from forebay.actors.gateway.estimates import TokenEstimator
from forebay.actors.gateway.jobs import Client
from forebay.actors.gateway.names import Names
from forebay.actors.gateway.operations import ContentT, Operation
from forebay.actors.gateway.provider import Provider, Target
from forebay.actors.gateway.sizes import RequestSize
from forebay.actors.scheduling.prices import Price, dearness
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.canonical.needs import Needs, doubts

MOST_TARGETS: Final = 16
_OF_ONE_ACCOUNT: Final = 4
"""Before others of the same provider come those of all the others: they may all wait for one limit
of its account."""
_MOST_LISTS: Final = 64
"""Kept, of what clients ask for."""
_AT_A_TIME: Final = 250
"""Models, before others have a turn."""
_MOST_DOUBTS: Final = 99
_USUAL_CONTEXT: Final = 8192
"""Tokens that whatever is served takes, though nobody says."""
_NO_SIZE: Final = RequestSize(0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants of the model that serves it."""

    needs: Needs
    """All of them together, with what its prompt has in tokens at the very least."""
    size: RequestSize = _NO_SIZE
    longest_answer: int | None = None


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Those that have the capabilities that are asked for, as far as anybody says, best first."""

    candidates: tuple[Candidate, ...]
    doubts: bytes
    """How many capabilities nobody says that each of them has."""


class AutoChoice:
    """Of one configuration."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider], names: Names) -> None:
        self._candidates = Candidates(settings, providers, names)
        self._made_of: tuple[Candidate, ...] = ()
        self._lists: OrderedDict[tuple[Needs, AutoSettings, NameList | None], _Ranking] = (
            OrderedDict()
        )
        self._untaught = TokenEstimator()

    async def targets(
        self,
        asked: str,
        client: Client,
        settings: AutoSettings,
        wanted: Wanted,
        operation: Operation[ContentT] | None,
    ) -> tuple[Target, ...]:
        """Those that may serve the request, the best first, at most :data:`MOST_TARGETS`.

        Args:
            asked: the name that the client wrote.
            settings: how to choose for the client.
            operation: what they must have an API for; None: whatever they have.

        Raises:
            ApiFailure: MODEL_NOT_FOUND, there are no models that the client may use; BAD_REQUEST or
                CONTEXT_OVERFLOW, none is able.
        """
        ranking = await self._ranking(client, settings, wanted.needs)
        chosen = self._chosen(ranking, wanted, operation)
        if not chosen:
            raise await self._nobody(asked, client, settings, wanted, operation)
        return chosen

    async def _ranking(self, client: Client, settings: AutoSettings, needs: Needs) -> _Ranking:
        """All that the client may use and that have the capabilities that are needed, in their
        order: the least doubts first, then the best, a few of each provider at a time."""
        candidates = await self._candidates.all()
        if candidates is not self._made_of:
            self._made_of = candidates
            self._lists.clear()
        # How long a prompt is differs from request to request.
        needs = replace(needs, context_tokens=0, output_tokens=0)
        key = (needs, settings, client.models)
        found = self._lists.get(key)
        if found is None:
            found = await self._rank(candidates, client, settings, needs)
            if candidates is not self._made_of:
                return found  # others know more by now
            self._lists[key] = found
            if len(self._lists) > _MOST_LISTS:
                self._lists.popitem(last=False)
        self._lists.move_to_end(key)
        return found

    async def _rank(
        self,
        candidates: tuple[Candidate, ...],
        client: Client,
        settings: AutoSettings,
        needs: Needs,
    ) -> _Ranking:
        able: list[tuple[int, float, Candidate]] = []
        for number, each in enumerate(candidates, 1):
            if not number % _AT_A_TIME:
                await trio.lowlevel.checkpoint()
            if settings.candidates is AutoCandidates.CONFIGURED and not each.models:
                continue
            if lacks_of(each.provider.profile, each.facts, needs, None):
                continue
            if client.models is not None and not self._candidates.may_use(client, each):
                continue
            able.append((_doubts(each, needs), _badness(each.facts, settings), each))
        able.sort(key=lambda each: each[:2])
        turns: dict[tuple[int, Provider], int] = {}
        ordered: list[tuple[int, int, float, int, Candidate]] = []
        for place, (doubtful, badness, each) in enumerate(able):
            turn = turns.get((doubtful, each.provider), 0)
            turns[doubtful, each.provider] = turn + 1
            ordered.append((doubtful, turn // _OF_ONE_ACCOUNT, badness, place, each))
        ordered.sort(key=lambda each: each[:4])
        return _Ranking(
            tuple(each[4] for each in ordered),
            bytes(min(each[0], _MOST_DOUBTS) for each in ordered),
        )

    def _chosen(
        self, ranking: _Ranking, wanted: Wanted, operation: Operation[ContentT] | None
    ) -> tuple[Target, ...]:
        """The first that surely fit; else of those that may; and those that are taken out only
        where there is nobody else."""
        serves: dict[Provider, bool] = {}
        by_doubt: dict[tuple[bool, int], list[Target]] = {}
        least = _MOST_DOUBTS
        for candidate, doubtful in zip(ranking.candidates, ranking.doubts, strict=True):
            if least < doubtful or len(by_doubt.get((False, doubtful), ())) == MOST_TARGETS:
                break  # all that come now are no better
            provider = candidate.provider
            fit = self._fit(candidate, wanted)
            if fit is None or not serves.get(provider, True):
                continue
            target = candidate.target()
            if operation is not None and provider not in serves:
                serves[provider] = operation.served_by(target)
                if not serves[provider]:
                    continue
            is_out = candidate.is_out
            found = by_doubt.setdefault((is_out, doubtful + fit), [])
            if len(found) < MOST_TARGETS:
                found.append(target)
            if not is_out:
                least = min(least, doubtful + fit)
        return tuple(by_doubt[min(by_doubt)]) if by_doubt else ()

    def _fit(self, candidate: Candidate, wanted: Wanted) -> int | None:
        """Whether it takes the prompt and gives the answer: 0 it does, 1 it may; None: surely
        not."""
        facts, needs = candidate.facts, wanted.needs
        if lacks_of(candidate.provider.profile, facts, needs, wanted.longest_answer):
            return None
        target = candidate.provider.targets.get(candidate.model_id)
        estimator = self._untaught if target is None else target.estimator
        expected = estimator.input_tokens(wanted.size) + (wanted.longest_answer or 0)
        expected = max(expected, needs.context_tokens)
        if expected > (facts.context_tokens or _USUAL_CONTEXT):
            return 1
        return int(bool(needs.output_tokens) and facts.max_output_tokens is None)

    async def _nobody(
        self,
        asked: str,
        client: Client,
        settings: AutoSettings,
        wanted: Wanted,
        operation: Operation[ContentT] | None,
    ) -> ApiFailure:
        """What the client is told."""
        unable: list[Unable] = []
        for each in await self._candidates.all():
            if settings.candidates is AutoCandidates.CONFIGURED and not each.models:
                continue
            if client.models is not None and not self._candidates.may_use(client, each):
                continue
            facts = each.facts
            found = lacks_of(each.provider.profile, facts, wanted.needs, wanted.longest_answer)
            if found:
                unable.append(Unable(each.name, facts.context_tokens, found))
        if unable:
            unable.sort(key=lambda each: len(each.lacks))
            least = wanted.size.least_tokens
            return ApiFailure(none_is_able(asked, wanted.needs, least, unable))
        verb = "that this key may use" if operation is None else f"that {operation.verb}"
        return ApiFailure(
            ApiError(
                kind=ErrorKind.MODEL_NOT_FOUND,
                message=f"model '{asked}': there is no model here {verb}",
                param="model",
                code="model_not_found",
            )
        )


def _doubts(candidate: Candidate, needs: Needs) -> int:
    facts = candidate.facts
    if candidate.chats_for_sure and facts.can(Capability.CHAT) is None:
        facts = replace(facts, capabilities=facts.capabilities | {Capability.CHAT})
    return doubts(needs, facts)


def _badness(facts: ModelFacts, settings: AutoSettings) -> float:
    """By what does not change from one moment to the next; the smaller, the better."""
    price = None
    if facts.price_input is not None:
        price = Price(facts.price_input, facts.price_output or 0.0)
    elif facts.is_local:
        price = Price(0.0, 0.0)
    return settings.cost_bias * dearness(price) - settings.prefer_local * facts.is_local
