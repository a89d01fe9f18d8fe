"""Whether an answer to a free question says that the key is not taken."""

from __future__ import annotations

import time
from collections.abc import Mapping

from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.providers.base import FailedAnswer, FailureKind, ProviderProfile


def rejects_key(
    profile: ProviderProfile, status: int, headers: Mapping[str, str], body: bytes
) -> bool:
    """As the provider's kind says it: some do with 400, some with 500."""
    if status < 400:
        return False
    error = SPEECH[profile.listing_dialect].decode_error(status, body)
    answer = FailedAnswer(status=status, headers=headers, error=error, now=time.time(), body=body)
    return profile.classify(answer).kind is FailureKind.KEY_REJECTED
