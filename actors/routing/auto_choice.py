"""The targets among which who asks for the model ``auto`` gets one.

A few of all that are able are chosen, the best first: those of which it is known that they have
what is needed before others, then by price and nearness. Of these the job gets one late, when it
starts: one that has room. So which are chosen depends on what is asked for, and never on who has
room just now: jobs that ask for the same wait in one lane.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Final, Generic

import trio

from forebay.actors.config import AutoCandidates, AutoSettings, NameList, Settings
from forebay.actors.jobs.job import Client
from forebay.actors.jobs.operations import ContentT, Operation, Wording
from forebay.actors.providers.manners import Manner
from forebay.actors.providers.provider import Provider, Target
from forebay.actors.routing.ability import Unable, lacks_of, none_is_able
from forebay.actors.routing.auto_candidates import Candidate, Candidates
from forebay.actors.routing.auto_ranking import MOST_TARGETS, Best, Fitting, Ranking, Wanted
from forebay.actors.routing.names import Names
from forebay.actors.scheduling.prices import Price, dearness
from forebay.protocol.canonical.errors import ApiFailure, model_not_found
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.canonical.needs import Needs, doubts
from forebay.protocol.jsontext import InvalidJson

_OF_ONE_ACCOUNT: Final = 3
"""Before others of the same provider come those of all the others: they may all wait for one limit
of its account."""
_MOST_LISTS: Final = 64
"""Kept, of what clients ask for."""
_AT_A_TIME: Final = 250
"""Models, before others have a turn."""
_MOST_DOUBTS: Final = 99
_MOST_LOOKED_AT: Final = 500
"""For better ones, once there are enough."""


class _Use(IntEnum):
    """Of what use one is for an operation, the best first."""

    GOOD = 0
    OUT = 1
    """None for now."""
    DEAF = 2
    """It can't be told what is meant."""
    NONE = 3
    """It has no API for it."""


class _Suiting(Generic[ContentT]):
    """Who can be asked for one operation. Thousands of models are alike in that: one of each kind
    and traits is looked at."""

    def __init__(self, operation: Operation[ContentT]) -> None:
        self._operation = operation
        self._known: dict[Manner, _Use] = {}

    def use_of(self, fitting: Fitting) -> _Use:
        known = self._known.get(fitting.manner)
        if known is None:
            known = self._known[fitting.manner] = self._look_at(fitting.candidate.target())
        return known

    def are_all_good(self, best: Best) -> bool:
        """Whether all that are asked in one of some manners are of use."""
        return all(self.use_of(fitting) is _Use.GOOD for fitting in best.of_each_manner)

    def _look_at(self, target: Target) -> _Use:
        if not self._operation.served_by(target):
            return _Use.NONE
        if self._operation.unfollowed_links(target):
            return _Use.GOOD  # it will get the images themselves
        return _Use.GOOD if any(map(_says, self._operation.wordings(target))) else _Use.DEAF


def _says(wording: Wording) -> bool:
    try:
        wording.dropped()
    except (ApiFailure, InvalidJson, RecursionError):
        return False
    return True


class AutoChoice:
    """Of one configuration."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider], names: Names) -> None:
        self._candidates = Candidates(settings, providers, names)
        self._made_of: tuple[Candidate, ...] = ()
        self._lists: OrderedDict[tuple[Needs, AutoSettings, NameList | None], Ranking] = (
            OrderedDict()
        )

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

    async def _ranking(self, client: Client, settings: AutoSettings, needs: Needs) -> Ranking:
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
    ) -> Ranking:
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
        return Ranking([(each[4], min(each[0], _MOST_DOUBTS)) for each in ordered])

    def _chosen(
        self, ranking: Ranking, wanted: Wanted, operation: Operation[ContentT] | None
    ) -> tuple[Target, ...]:
        """The first that surely fit; else of those that may. Those that are taken out, or can't be
        told what is meant, only where there is nobody else."""
        suiting = None if operation is None else _Suiting(operation)
        best = ranking.best(wanted)
        if best is not None and (suiting is None or suiting.are_all_good(best)):
            targets = tuple([candidate.target() for candidate in best.candidates])
            if not any(target.is_out for target in targets):
                return targets
        found: dict[tuple[_Use, int], list[Target]] = {}
        least, is_enough = _MOST_DOUBTS, False
        for fitting in ranking.fitting(wanted):
            doubts = fitting.doubts
            if least < doubts or len(found.get((_Use.GOOD, doubts), ())) == MOST_TARGETS:
                break  # all that come now are no better
            if is_enough and fitting.place > _MOST_LOOKED_AT:
                break
            use = _Use.GOOD if suiting is None else suiting.use_of(fitting)
            if use is _Use.NONE:
                continue
            if use is _Use.GOOD and fitting.candidate.is_out:
                use = _Use.OUT
            score = doubts + fitting.may_be_short
            chosen = found.setdefault((use, score), [])
            if len(chosen) < MOST_TARGETS:
                chosen.append(fitting.candidate.target())
            if use is _Use.GOOD:
                least = min(least, score)
                is_enough = is_enough or len(chosen) == MOST_TARGETS
        return tuple(found[min(found)]) if found else ()

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
        for number, each in enumerate(await self._candidates.all(), 1):
            if not number % _AT_A_TIME:
                await trio.lowlevel.checkpoint()
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
        return model_not_found(asked, f": there is no model here {verb}")


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
