"""What a fault does to the script of an answer."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._dialect import Dialect
from forebay.endpoints.sandbox._failures import Failure, FailureKind
from forebay.endpoints.sandbox._faults import Break, FaultPlan, Refusal
from forebay.endpoints.sandbox._http import Ending, Outcome, Piece, Reply

_GARBAGE = b"<html><body><h1>This is not the page you were looking for</h1></body></html>"

_KINDS = {
    Refusal.RATE_LIMIT: FailureKind.RATE_LIMITED,
    Refusal.UNAVAILABLE: FailureKind.UNAVAILABLE,
    Refusal.OVERLOADED: FailureKind.OVERLOADED,
    Refusal.SERVER_ERROR: FailureKind.SERVER_ERROR,
    Refusal.NO_CREDIT: FailureKind.NO_CREDIT,
    Refusal.QUOTA: FailureKind.QUOTA,
    Refusal.UNAUTHORIZED: FailureKind.UNAUTHORIZED,
    Refusal.BAD_REQUEST: FailureKind.BAD_VALUE,
    Refusal.CONTEXT: FailureKind.CONTEXT,
}

_ENDINGS = {
    Break.RESET: Ending.RESET,
    Break.HANG: Ending.HANG,
    Break.RESET_MIDSTREAM: Ending.RESET,
    Break.END_MIDSTREAM: Ending.COMPLETE,
    Break.CUT_MIDSTREAM: Ending.CUT,
    Break.HANG_MIDSTREAM: Ending.HANG,
}


def refusal_failure(refusal: Refusal, retry_after: float | None) -> Failure:
    """The failure that a fault asks for."""
    return Failure(_KINDS[refusal], retry_after=retry_after)


def break_reply(plan: FaultPlan, reply: Reply, dialect: Dialect, identity: Identity) -> None:
    """Change a good answer into the one that the plan asks for."""
    if plan.breaks is None:
        return
    reply.outcome = Outcome.BROKEN
    reply.ending = _ENDINGS.get(plan.breaks, Ending.COMPLETE)
    error = Failure(FailureKind.OVERLOADED)
    match plan.breaks:
        case Break.RESET | Break.HANG:
            reply.sends_head = False
        case Break.GARBAGE:
            reply.headers[0] = (b"content-type", b"text/html; charset=utf-8")
            reply.body, reply.pieces = _GARBAGE, None
        case Break.ERROR_FIRST | Break.ERROR_MIDSTREAM if reply.pieces is None:
            _, body = dialect.failure(error, identity)
            reply.body = dialect.json(body)
        case Break.ERROR_FIRST:
            reply.pieces = [Piece(dialect.failure_frame(error, identity))]
        case Break.GARBAGE_MIDSTREAM if reply.pieces is None:
            reply.body = reply.body[: len(reply.body) // 2] + b"<<garbage>>"
        case _ if reply.pieces is None:
            reply.pieces = [Piece(reply.body[: len(reply.body) // 2])]
        case _:
            at = _position(reply.pieces, plan.after_pieces)
            rest = reply.pieces[at:]
            del reply.pieces[at:]
            if plan.breaks is Break.ERROR_MIDSTREAM:
                reply.pieces.append(Piece(dialect.failure_frame(error, identity)))
            elif plan.breaks is Break.GARBAGE_MIDSTREAM:
                reply.pieces.append(Piece(dialect.garbage_frame, is_content=True))
                reply.pieces += rest[1:] if rest and rest[0].is_content else rest


def _position(pieces: list[Piece], after: int) -> int:
    """Where the piece of content after so many others stands, or the end of the content."""
    passed = end = 0
    for at, piece in enumerate(pieces):
        if piece.is_content:
            if passed == after:
                return at
            passed += 1
            end = at + 1
    return end
