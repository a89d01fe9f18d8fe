"""Where a provider's APIs are, whatever base URL is configured."""

from __future__ import annotations

import pytest

from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api, Prefill
from forebay.protocol.dialects.openai import OPENAI_CHAT, OPENAI_COMPLETIONS
from forebay.protocol.dialects.registry import CODECS, EMBEDDING_CODECS, RELAYED, TOKEN_COUNT_CODECS
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.deepseek import prefill_of

ZAI, DEEPSEEK = PROFILES["zai"], PROFILES["deepseek"]


@pytest.mark.parametrize(
    ("kind", "api", "configured", "base"),
    [
        ("zai", OPENAI_CHAT, "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4"),
        (
            "zai",
            ANTHROPIC_MESSAGES,
            "https://api.z.ai/api/paas/v4",
            "https://api.z.ai/api/anthropic",
        ),
        (
            "zai",
            ANTHROPIC_MESSAGES,
            "https://api.z.ai/api/coding/paas/v4",
            "https://api.z.ai/api/anthropic",
        ),
        (
            "zai",
            ANTHROPIC_MESSAGES,
            "https://open.bigmodel.cn/api/paas/v4",
            "https://open.bigmodel.cn/api/anthropic",
        ),
        (
            "zai",
            ANTHROPIC_MESSAGES,
            "http://proxy:81/z/api/paas/v4",
            "http://proxy:81/z/api/anthropic",
        ),
        ("zai", ANTHROPIC_MESSAGES, "http://proxy/else", "http://proxy/api/anthropic"),
        (
            "deepseek",
            ANTHROPIC_MESSAGES,
            "https://api.deepseek.com",
            "https://api.deepseek.com/anthropic",
        ),
        (
            "deepseek",
            ANTHROPIC_MESSAGES,
            "https://api.deepseek.com/v1",
            "https://api.deepseek.com/anthropic",
        ),
        (
            "deepseek",
            OPENAI_COMPLETIONS,
            "https://api.deepseek.com/v1",
            "https://api.deepseek.com/beta",
        ),
        ("deepseek", ANTHROPIC_MESSAGES, "http://proxy/ds", "http://proxy/ds/anthropic"),
        ("deepseek", OPENAI_CHAT, "http://proxy/ds", "http://proxy/ds"),
    ],
)
def test_an_api_beside_the_base_url_is_found(
    kind: str, api: Api, configured: str, base: str
) -> None:
    assert PROFILES[kind].base_of(configured, api) == base


@pytest.mark.parametrize(
    ("kind", "configured", "probed"),
    [
        ("openvino", "http://box:8000/v3", "http://box:8000/v2/health/ready"),
        ("openvino", "http://box/ov/v3", "http://box/ov/v2/health/ready"),
        ("ollama", "http://box:11434", "http://box:11434/api/version"),
        ("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/key"),
    ],
)
def test_the_probe_is_found(kind: str, configured: str, probed: str) -> None:
    assert PROFILES[kind].probe_url(configured) == probed


def test_every_api_of_a_profile_is_one_that_the_gateway_has() -> None:
    known = {*CODECS, *EMBEDDING_CODECS, *TOKEN_COUNT_CODECS, *RELAYED}
    known |= {Api("openai.responses.compact")}
    for profile in PROFILES.values():
        assert profile.paths.keys() <= known, profile.kind
        assert profile.bases.keys() <= profile.paths.keys(), profile.kind
        assert all(path.startswith("/") for path in profile.paths.values())
        assert profile.default_base_url is None or not profile.default_base_url.endswith("/")


def test_only_deepseeks_beta_goes_on_with_a_turn() -> None:
    assert prefill_of("https://api.deepseek.com/beta", "deepseek") is Prefill.PREFIX
    assert prefill_of("https://api.deepseek.com", "deepseek") is Prefill.NONE
