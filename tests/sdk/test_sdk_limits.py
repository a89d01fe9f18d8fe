"""What clients hear of limits: nothing as long as they can wait, then one honest 429."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice

import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import live_gateway
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_errors import ERROR_CLASSES, error_message
from sdk_questions import Question
from sdk_speakers import OpenSpeaker, both_ways, nine_pairs

from forebay.endpoints.sandbox import LimitHeaders, SandboxOptions


@both_ways
@nine_pairs
def test_who_will_not_wait_gets_one_429_from_a_limit_that_is_configured(
    open_speaker: OpenSpeaker, client: str, upstream: str, stream: bool
) -> None:
    """Traps 118, 119 and 120: the SDK would try again twice, and is told not to. The one call that
    the provider allows is answered."""
    config = {"wait": {"max_wait_ms": 0}}
    with live_gateway(config, provider={"limits": {"rpm": 2, "burst": 1}}) as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        question = Question(text="hello", model=f"{upstream}/sandbox-chat")
        assert speaker.ask(question, stream=stream).text
        with pytest.raises(ERROR_CLASSES[client][429]):
            speaker.ask(question, stream=stream)
        assert [exchange.status for exchange in speaker.wire.exchanges] == [200, 429]
        heard = speaker.wire.last
        error_message(client, 429, heard.headers, heard.body)
        assert 20 <= int(heard.headers["retry-after"]) <= 31
        assert heard.headers["x-should-retry"] == "false"
        assert heard.headers["x-forebay-blocked-by"] == f"{upstream}: requests per minute"
        assert heard.headers["x-forebay-waited-ms"].isdecimal()
        assert live.statistics().received == 1


@pytest.mark.parametrize(
    ("limit_headers", "stream"), [(LimitHeaders.NONE, True), (LimitHeaders.OPENAI, False)]
)
@nine_pairs
def test_a_limit_that_only_the_upstream_knows_ends_as_one_429_after_the_wait(
    open_speaker: OpenSpeaker,
    client: str,
    upstream: str,
    limit_headers: LimitHeaders,
    stream: bool,
) -> None:
    """The upstream's refusals stay here; what the client hears is the end of its own patience."""
    is_told = limit_headers is LimitHeaders.OPENAI and upstream == "o"
    options = SandboxOptions(requests_per_minute=1, burst=1, limit_headers=limit_headers)
    with live_gateway({"wait": {"max_wait_ms": 150}}, sandbox=options) as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        question = Question(text="hello", model=f"{upstream}/sandbox-chat")
        assert speaker.ask(question, stream=stream).text
        with pytest.raises(ERROR_CLASSES[client][429]):
            speaker.ask(question, stream=stream)
        assert [exchange.status for exchange in speaker.wire.exchanges] == [200, 429]
        heard = speaker.wire.last
        error_message(client, 429, heard.headers, heard.body)
        assert int(heard.headers["x-forebay-waited-ms"]) >= 150
        if is_told:
            # The first answer said that nothing is left: nobody need ask again to hear it.
            assert heard.headers["x-forebay-blocked-target"] == f"{upstream}/sandbox-chat"
        else:
            assert heard.headers["x-forebay-target"] == f"{upstream}/sandbox-chat"
        if limit_headers is LimitHeaders.OPENAI:
            assert 50 <= int(heard.headers["retry-after"]) <= 61
            assert live.statistics().refused == ({} if is_told else {429: 1})


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_a_request_says_itself_how_long_it_can_wait(open_speaker: OpenSpeaker, client: str) -> None:
    with live_gateway(provider={"limits": {"rpm": 2, "burst": 1}}) as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        patient = Question(text="hello", model="o/sandbox-chat")
        hurried = Question(
            text="hello", model="o/sandbox-chat", headers={"x-forebay-max-wait-ms": "40"}
        )
        assert speaker.ask(patient, stream=False).text
        with pytest.raises(ERROR_CLASSES[client][429]):
            speaker.ask(hurried, stream=True)
        assert 40 <= int(speaker.wire.last.headers["x-forebay-waited-ms"]) < 2000
        assert len(speaker.wire.exchanges) == 2


def test_a_crowd_of_all_dialects_is_served_in_turn_and_hears_of_no_limit() -> None:
    """Two at a time over one upstream that refuses a third: nobody gets a 429, also upstream."""
    options = SandboxOptions(concurrency=2, latency_ms=20)
    kinds = (OpenAISpeaker, AnthropicSpeaker, OllamaSpeaker)
    with (
        live_gateway(
            {"models": {"fast": {"targets": ["l/sandbox-chat"]}}},
            sandbox=options,
            providers={"l": {"limits": {"concurrency": 2}}},
        ) as live,
        ExitStack() as stack,
        ThreadPoolExecutor(18) as pool,
    ):
        speakers = [stack.enter_context(kind(live.url)) for kind in islice(cycle(kinds), 18)]
        said = list(
            pool.map(
                lambda speaker: speaker.ask(Question(text="hello", model="fast"), stream=True),
                speakers,
            )
        )
        assert len({one.text for one in said}) == 1
        assert [len(speaker.wire.exchanges) for speaker in speakers] == [1] * 18
        statistics = live.statistics()
        assert (statistics.refused, statistics.completed) == ({}, 18)
        assert statistics.max_in_flight == 2
