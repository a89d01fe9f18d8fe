"""What the embeddings API can't say."""

from __future__ import annotations

from forebay.protocol.canonical.embedding_features import EmbeddingFeature
from forebay.protocol.dialects.embedding_losses import EmbeddingLoss, EmbeddingLosses
from forebay.protocol.dialects.losses import Fate
from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_EMBEDDINGS

LOSSES = EmbeddingLosses(
    OPENAI_EMBEDDINGS,
    OPENAI,
    EmbeddingLoss(
        EmbeddingFeature.TO_BE_CUT,
        Fate.DROPPED,
        "truncate",
        "refuses what is too long, also where nothing is said of it",
    ),
    EmbeddingLoss(
        EmbeddingFeature.NOT_TO_BE_CUT, Fate.OMITTED, "", "refuses what is too long in any case"
    ),
)
