"""Which targets are able to serve a job: by what is known of their models.

A target is out only where its model surely can't serve the job: somebody says that it lacks
something, its context is smaller than the prompt can possibly be, or its provider refuses the
length of the answer that the client allows. Where nobody says anything, the target stays, and the
provider is the judge. So it is where only public tables say it, if nobody is left but those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.operations import ContentT
from forebay.actors.providers.provider import Target
from forebay.protocol.canonical.auto_names import is_auto
from forebay.protocol.canonical.errors import ApiError, ErrorKind, bad_request
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.canonical.needs import Ability, Lack, Needs, lacks
from forebay.protocol.canonical.needs_grammar import written_needs
from forebay.protocol.providers.base import ProviderProfile

_MOST_NAMED: Final = 16
_COMMON: Final = frozenset({Capability.CHAT})
"""What needs no mention."""


def able_targets(job: Job[ContentT], targets: tuple[Target, ...], model: str) -> tuple[Target, ...]:
    """Those of ``targets`` that are able to serve ``job``, in their order.

    Args:
        model: as the client knows it.

    Raises:
        JobFailure: CONTEXT_OVERFLOW, the prompt is longer than any of them takes; BAD_REQUEST, none
            is able for that or another reason. It names what each of them lacks.
    """
    operation = job.operation
    needs = operation.needs.also(job.needs)
    missing: dict[Target, tuple[Lack, ...]] = {}
    for target in targets:
        provider = target.provider
        facts = provider.facts_of(target.model_id)
        found = lacks_of(provider.profile, facts, needs, operation.longest_answer)
        if found:
            missing[target] = found
    if not missing:
        return targets
    able = tuple(target for target in targets if target not in missing)
    able = able or tuple(target for target in targets if _may_be_able(target, job))
    if not able:
        unable = [
            Unable(target.name, target.provider.facts_of(target.model_id).context_tokens, found)
            for target, found in missing.items()
        ]
        error = none_is_able(model, needs, operation.needs.context_tokens, unable)
        raise JobFailure(error, JobHistory())
    return able


def _may_be_able(target: Target, job: Job[ContentT]) -> bool:
    """Whether ``target`` only lacks what public tables say, and what the client does not ask for by
    name: then its provider is the judge."""
    provider, operation = target.provider, job.operation
    if lacks(job.needs, provider.facts_of(target.model_id)):
        return False
    facts = provider.sure_facts_of(target.model_id)
    return not lacks_of(provider.profile, facts, operation.needs, operation.longest_answer)


def lacks_of(
    profile: ProviderProfile, facts: ModelFacts, needs: Needs, longest_answer: int | None
) -> tuple[Lack, ...]:
    """What a model of these facts surely lacks.

    Args:
        profile: of its provider.
        longest_answer: tokens that one answer may have, where the client says.
    """
    found = lacks(needs, facts)
    if longest_answer is None or profile.shortens_answers:
        return found
    most = facts.max_output_tokens or facts.context_tokens
    if most is None or longest_answer <= most or any(lack.of is Ability.OUTPUT for lack in found):
        return found
    said = f"answers with {most} tokens at most, and the request allows {longest_answer}"
    return (*found, Lack(Ability.OUTPUT, said))


@dataclass(frozen=True, slots=True)
class Unable:
    """A target that can't serve a request."""

    name: str
    context_tokens: int | None
    lacks: tuple[Lack, ...]


def none_is_able(
    model: str, needs: Needs, prompt_tokens: int, unable: Sequence[Unable]
) -> ApiError:
    """What a client is told whom nobody can serve.

    Args:
        model: as it was asked for.
        needs: all that was asked for.
        prompt_tokens: what the prompt has at least.
        unable: all that might have served; at least one.
    """
    too_short = [each for each in unable if {lack.of for lack in each.lacks} == {Ability.CONTEXT}]
    longest = max((each.context_tokens or 0 for each in too_short), default=0)
    # Who lacks something else as well would not serve a shorter prompt either.
    if too_short and longest < prompt_tokens:
        return ApiError(
            kind=ErrorKind.CONTEXT_OVERFLOW,
            message=(
                f"the maximum context length of model '{model}' is {longest} tokens, and this "
                f"prompt has at least {prompt_tokens}: shorten it, or ask for a model that takes "
                "more"
            ),
            code="context_length_exceeded",
        )
    said = [f"{each.name} {', '.join(lack.said for lack in each.lacks)}" for each in unable]
    more = len(said) - _MOST_NAMED
    listed = "; ".join(said[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
    kinds = {lack.of for each in unable for lack in each.lacks}
    return bad_request(
        f"model '{model}' can't serve this request: {listed}. {_mend(model, needs, kinds)}",
        param="model",
        code="model_lacks_capability",
    ).error


def _mend(model: str, needs: Needs, kinds: set[Ability]) -> str:
    wanted = written_needs(
        replace(
            needs,
            capabilities=needs.capabilities - _COMMON,
            context_tokens=0,
            output_tokens=0,
        )
    )
    if is_auto(model):
        return "Ask for less"
    if kinds == {Ability.OUTPUT} or not wanted:
        return "Ask for less, or for another model"
    return f"Ask for less, or for a model that can, as 'auto:{wanted}' does"
