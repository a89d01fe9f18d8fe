"""What a target's API can't say is told to the client, whichever API that is."""

from __future__ import annotations

import pytest

from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, UpstreamTraits
from forebay.protocol.dialects.ollama import OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.registry import CODECS


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
def test_ollamas_own_fields_are_reported_by_every_other_api(upstream: Api) -> None:
    request = CODECS[OLLAMA_GENERATE].decode_request(
        {"model": "m", "prompt": "def f(", "suffix": "return 1", "options": {"mirostat": 1}}
    )
    sent = CODECS[upstream].encode_request(request, UpstreamTraits())
    assert {"suffix", "options"} <= set(sent.dropped)
    assert not {"suffix", "options", "mirostat"} & set(sent.body)
