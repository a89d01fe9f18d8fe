"""Which targets are able to serve a job: by what is known of their models.

A target is out only where its model surely can't serve the job: somebody says that it lacks
something, its context is smaller than the prompt can possibly be, or its provider refuses the
length of the answer that the client allows. Where nobody says anything, the target stays, and the
provider is the judge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from forebay.actors.gateway.failures import JobFailure, JobHistory
from forebay.actors.gateway.jobs import Job
from forebay.actors.gateway.operations import ContentT, Operation
from forebay.actors.gateway.provider import Target
from forebay.protocol.canonical.errors import ApiError, ErrorKind, bad_request
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.needs import Ability, Lack, Needs, lacks
from forebay.protocol.canonical.needs_grammar import written_needs

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
        found = lacks_of(target, needs, operation)
        if found:
            missing[target] = found
    if not missing:
        return targets
    if len(missing) == len(targets):
        raise JobFailure(_none_is_able(model, needs, operation, missing), JobHistory())
    return tuple(target for target in targets if target not in missing)


def lacks_of(target: Target, needs: Needs, operation: Operation[ContentT]) -> tuple[Lack, ...]:
    """What ``target`` surely lacks to serve ``operation``.

    Args:
        needs: of the operation, and whatever else is asked for.
    """
    facts = target.provider.facts_of(target.model_id)
    found = lacks(needs, facts)
    answer = operation.longest_answer
    if answer is None or target.provider.profile.shortens_answers:
        return found
    most = facts.max_output_tokens or facts.context_tokens
    if most is None or answer <= most or any(lack.of is Ability.OUTPUT for lack in found):
        return found
    said = f"answers with {most} tokens at most, and the request allows {answer}"
    return (*found, Lack(Ability.OUTPUT, said))


def _none_is_able(
    model: str,
    needs: Needs,
    operation: Operation[ContentT],
    missing: dict[Target, tuple[Lack, ...]],
) -> ApiError:
    kinds = {lack.of for found in missing.values() for lack in found}
    contexts = [each.provider.facts_of(each.model_id).context_tokens or 0 for each in missing]
    if kinds == {Ability.CONTEXT} and max(contexts) < operation.needs.context_tokens:
        return ApiError(
            kind=ErrorKind.CONTEXT_OVERFLOW,
            message=(
                f"the maximum context length of model '{model}' is {max(contexts)} tokens, and "
                f"this prompt has at least {operation.needs.context_tokens}: shorten it, or ask "
                "for a model that takes more"
            ),
            code="context_length_exceeded",
        )
    said = [
        f"{target.name} {', '.join(lack.said for lack in found)}"
        for target, found in missing.items()
    ]
    more = len(said) - _MOST_NAMED
    listed = "; ".join(said[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return bad_request(
        f"model '{model}' can't serve this request: {listed}. {_mend(needs, kinds)}",
        param="model",
        code="model_lacks_capability",
    ).error


def _mend(needs: Needs, kinds: set[Ability]) -> str:
    wanted = written_needs(
        replace(
            needs,
            capabilities=needs.capabilities - _COMMON,
            context_tokens=0,
            output_tokens=0,
        )
    )
    if kinds == {Ability.OUTPUT} or not wanted:
        return "Ask for less, or for another model"
    return f"Ask for less, or for a model that can, as 'auto:{wanted}' does"
