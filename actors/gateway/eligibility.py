"""Which targets may serve a job, of those that could: by what they can be told.

A target is only bound to a job when it has room, so whatever would make it useless is found out
before: a target that can't be told what a request means never takes a turn from one that can, and
where the client wants all or nothing, neither does one that would hear only a part.
"""

from __future__ import annotations

from collections.abc import Iterable

from forebay.actors.config import OnUnsupported
from forebay.actors.gateway.calls import unspeakable
from forebay.actors.gateway.failures import JobFailure, JobHistory
from forebay.actors.gateway.jobs import Job
from forebay.actors.gateway.operations import ContentT, Wording
from forebay.actors.gateway.provider import Target
from forebay.protocol.canonical.errors import ApiError, ApiFailure, bad_request
from forebay.protocol.jsontext import InvalidJson

_MOST_NAMED = 16
_LONGEST_NAME = 80


def eligible_targets(
    job: Job[ContentT], targets: tuple[Target, ...], model: str
) -> tuple[Target, ...]:
    """Those of ``targets`` that can be told what ``job`` asks, in their order.

    With ``OnUnsupported.DROP`` these are all whose API can say what the request means; where they
    don't differ in that, nothing is looked at: the only one there is refuses by itself. With
    ``REJECT`` these are all that can be told every word.

    Raises:
        JobFailure: BAD_REQUEST, there are none; it names what can't be said, and to whom.
    """
    rejects = job.on_unsupported is OnUnsupported.REJECT
    wordings = [job.operation.wording(target) for target in targets]
    different = set(wordings)
    if not rejects and len(different) == 1:
        return targets
    able = set[Wording | None]()
    refusals: list[ApiFailure] = []
    lossy: list[tuple[Wording, tuple[str, ...]]] = []
    for wording in dict.fromkeys(wordings):
        try:
            dropped = () if wording is None else wording.dropped()
        except (InvalidJson, RecursionError) as fault:
            refusals.append(unspeakable(fault))
        except ApiFailure as failure:
            refusals.append(failure)
        else:
            if wording is not None and dropped and rejects:
                lossy.append((wording, dropped))
            else:
                able.add(wording)
    if not able:
        error = _all_would_lose(model, lossy) if lossy else refusals[0].error
        raise JobFailure(error, JobHistory())
    return tuple(
        target for target, wording in zip(targets, wordings, strict=True) if wording in able
    )


def _all_would_lose(model: str, lossy: list[tuple[Wording, tuple[str, ...]]]) -> ApiError:
    by_api: dict[str, list[str]] = {}
    for wording, dropped in lossy:
        names = by_api.setdefault(wording.api, [])
        names += (name for name in dropped if name not in names)
    said = "; ".join(f"{api} can't say {_listed(names)}" for api, names in by_api.items())
    first = lossy[0][1][0]
    return bad_request(
        f"model '{model}' can't be told all of this request, and nothing may be left out of it: "
        f"{said}. Leave it out, or send the header 'x-forebay-on-unsupported: drop'",
        param=first[:_LONGEST_NAME],
        code="unsupported_parameter",
    ).error


def _listed(names: Iterable[str]) -> str:
    quoted = [f"'{name[:_LONGEST_NAME]}'" for name in names]
    more = len(quoted) - _MOST_NAMED
    return ", ".join(quoted[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
