"""What an API for embeddings can't say, declared; as :mod:`forebay.protocol.dialects.losses` has it
of chats, with the same fates and the same policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forebay.protocol.canonical.embedding_features import EmbeddingFeature
from forebay.protocol.canonical.embeddings import EmbeddingRequest
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.losses import Fate


@dataclass(frozen=True, slots=True)
class EmbeddingLoss:
    """One feature that one API can't say as it was meant."""

    feature: EmbeddingFeature
    fate: Fate
    named: str
    """DROPPED: as ``x-forebay-dropped`` names it. REFUSED: ``param`` of the 400."""
    why: str
    """One sentence in Markdown, without its full stop."""


class EmbeddingLosses:
    """All of one API."""

    def __init__(self, api: Api, own: Dialect, *losses: EmbeddingLoss) -> None:
        """
        Args:
            own: the key that the API's own requests have in ``extras``.
            losses: in the order in which clients are told of them; the raw fields of others, which
                each API leaves out, come after them by themselves.
        """
        self.api = api
        self.own = own
        self._losses = losses

    def __iter__(self) -> Iterator[EmbeddingLoss]:
        yield from self._losses
        yield EmbeddingLoss(EmbeddingFeature.OWN_FIELDS, Fate.DROPPED, "", "each by its own name")

    def of(
        self, feature: EmbeddingFeature, source: Dialect | None = None
    ) -> tuple[EmbeddingLoss, ...]:
        """What becomes of ``feature``, where it comes from ``source``; empty: nothing is lost."""
        if feature is EmbeddingFeature.OWN_FIELDS and source == self.own:
            return ()
        return tuple(loss for loss in self if loss.feature is feature)

    def can_say(self, feature: EmbeddingFeature) -> bool:
        """Whether a client of the API can say ``feature`` as it is meant."""
        return not self.of(feature, self.own)

    def dropped(self, request: EmbeddingRequest) -> tuple[str, ...]:
        """What of ``request`` is left out, by its name."""
        named = [
            loss.named
            for loss in self._losses
            if loss.fate is Fate.DROPPED and loss.feature.said(request)
        ]
        raw = [
            name
            for source, fields in request.extras.items()
            if source != self.own
            for name in fields
        ]
        return tuple(dict.fromkeys((*named, *raw)))
