"""Which targets may serve a job, of those that could, and how each is asked: by what they can be
told.

A target is only bound to a job when it has room, so whatever would make it useless is found out
before: a target that can't be told what a request means never takes a turn from one that can, and
where the client wants all or nothing, neither does one that would hear only a part. A target that
has several APIs is asked in the one that loses least.
"""

from __future__ import annotations

from collections.abc import Iterable

from forebay.actors.config import OnUnsupported
from forebay.actors.jobs.calls import unspeakable
from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.operations import ContentT, Wording
from forebay.actors.providers.provider import Target
from forebay.protocol.canonical.errors import ApiError, ApiFailure, bad_request
from forebay.protocol.jsontext import InvalidJson

_MOST_NAMED = 16
_LONGEST_NAME = 80


def eligible_targets(
    job: Job[ContentT], targets: tuple[Target, ...], model: str
) -> dict[Target, Wording]:
    """Those of ``targets`` that can be told what ``job`` asks, in their order, and in which words.

    With ``OnUnsupported.DROP`` these are all that have an API that can say what the request means,
    and the one that leaves out least. With ``REJECT`` these are all that can be told every word.

    Raises:
        JobFailure: BAD_REQUEST, there are none; it names what can't be said, and to whom.
    """
    trials = _Trials()
    choices: dict[Target, Wording] = {}
    rejects = job.on_unsupported is OnUnsupported.REJECT
    wordings_of = job.operation.wordings
    for target in targets:
        choice = trials.best(wordings_of(target), rejects=rejects)
        if choice is not None:
            choices[target] = choice
    if not choices:
        error = _all_would_lose(model, trials.lossy) if trials.lossy else trials.refusals[0].error
        raise JobFailure(error, JobHistory())
    return choices


class _Trials:
    """What of a request gets lost in which words; each are tried once, for all targets."""

    def __init__(self) -> None:
        self.refusals: list[ApiFailure] = []
        self.lossy: list[tuple[Wording, tuple[str, ...]]] = []
        """What would be left out of the request, and may not be."""
        self._tried: dict[Wording, tuple[Wording, tuple[str, ...] | None]] = {}
        self._best: dict[int, tuple[tuple[Wording, ...], Wording | None]] = {}
        """By the identity of the wordings that a target has, which are held: many have the same."""

    def best(self, wordings: tuple[Wording, ...], *, rejects: bool) -> Wording | None:
        """Of ``wordings`` the first of those that lose least; None: none will do."""
        known = self._best.get(id(wordings))
        if known is None:
            known = self._best[id(wordings)] = wordings, self._found_best(wordings, rejects=rejects)
        return known[1]

    def _found_best(self, wordings: tuple[Wording, ...], *, rejects: bool) -> Wording | None:
        best: Wording | None = None
        least = 0
        for each in wordings:
            if best is not None and (not least or each.roundabout > best.roundabout):
                break
            wording, dropped = self._try(each, rejects=rejects)
            if dropped is None or (rejects and dropped):
                continue
            if best is None or len(dropped) < least:
                best, least = wording, len(dropped)
        return best

    def _try(self, wording: Wording, *, rejects: bool) -> tuple[Wording, tuple[str, ...] | None]:
        """The one of its equals that was tried, and what it leaves out; None: it can't say it."""
        if wording not in self._tried:
            dropped: tuple[str, ...] | None = None
            try:
                dropped = wording.dropped()
            except (InvalidJson, RecursionError) as fault:
                self.refusals.append(unspeakable(fault))
            except ApiFailure as failure:
                self.refusals.append(failure)
            if dropped and rejects:
                self.lossy.append((wording, dropped))
            self._tried[wording] = wording, dropped
        return self._tried[wording]


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
