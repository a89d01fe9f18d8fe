"""Official clients hear a stream that broke, and was gone on with, as one that did not break."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from live_gateway import LiveGateway, live_gateway
from sdk_questions import Question
from sdk_speakers import CLIENTS, OpenSpeaker

UPSTREAMS = {"s": {}, "o": {"prefill": "continue_final_message"}, "a": {"prefill": "last_turn"}}
"""Who goes on, besides Ollama, of which it is known."""


@pytest.fixture(scope="module")
def continuing() -> Iterator[LiveGateway]:
    """Of the model ``over-X`` the first target breaks, and X goes on."""
    models = {
        f"over-{name}": {"targets": [f"{name}/sandbox-chat"], "continue_broken": True}
        for name in (*UPSTREAMS, "l")
    }
    with live_gateway({"models": models}, providers=UPSTREAMS) as live:
        yield live


@pytest.mark.parametrize("breaks", ["reset", "end", "error"])
@pytest.mark.parametrize("upstream", [*UPSTREAMS, "l"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_hears_one_whole_answer(
    client: str, upstream: str, breaks: str, continuing: LiveGateway, open_speaker: OpenSpeaker
) -> None:
    """Traps 79, 85 and 86: one beginning, blocks without gaps, and no end but the true one."""
    speaker = open_speaker(client, continuing.url)
    question = Question(
        text=f"[[fault: {breaks}-midstream=4, times=1]] {client} over {upstream}",
        model=f"over-{upstream}",
        system="Mind the gap.",
    )
    before = continuing.statistics()
    broken = speaker.ask(question, stream=True)
    assert continuing.statistics().received == before.received + 2
    whole = speaker.ask(question, stream=True)
    assert broken.text == whole.text
    assert (broken.end, broken.model, broken.calls) == (whole.end, whole.model, whole.calls)
    assert broken.fragments >= whole.fragments - 1
    assert abs(broken.output_tokens - whole.output_tokens) <= 2


@pytest.mark.parametrize("upstream", [*UPSTREAMS, "l"])
def test_a_response_is_gone_on_with_under_its_own_id(
    upstream: str, continuing: LiveGateway
) -> None:
    """Traps 83 and 84: one id, and events without gaps in their numbers."""
    asked = f"[[fault: cut-midstream=4, times=1]] a response over {upstream}"
    texts: list[str] = []
    with openai.OpenAI(
        base_url=f"{continuing.url}/v1",
        api_key="any",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, verify=False),
    ) as client:
        for _ in range(2):
            with client.responses.stream(model=f"over-{upstream}", input=asked) as events:
                seen = [event.sequence_number for event in events]
                assert seen == list(range(len(seen)))
                response = events.get_final_response()
            assert response.status == "completed"
            texts.append(response.output_text)
            again = client.responses.retrieve(response.id)
            assert again.output_text == response.output_text
    assert texts[0] == texts[1]
