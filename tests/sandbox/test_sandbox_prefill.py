"""The sandbox goes on with a last turn of the assistant's, where real servers of each API do."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from forebay.endpoints.sandbox import Sandbox

Connect = Callable[[Sandbox], httpx.AsyncClient]
Json = dict[str, object]

ASKED = {"role": "user", "content": "hello"}
BEGUN = {"role": "assistant", "content": "You said:"}
HEADERS = {"anthropic-version": "2023-06-01"}


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(Sandbox())


async def said(client: httpx.AsyncClient, path: str, **fields: object) -> str:
    body = {"model": "sandbox-chat", "stream": False, "max_tokens": 4000, **fields}
    answer = await client.post(path, json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    match path:
        case "/v1/chat/completions":
            return str(told["choices"][0]["message"]["content"])
        case "/v1/messages":
            return str(told["content"][0]["text"])
        case _:
            return str(told["message"]["content"])


@pytest.mark.parametrize(
    ("path", "fields", "begun"),
    [
        ("/v1/messages", {}, BEGUN),
        ("/api/chat", {}, BEGUN),
        (
            "/v1/chat/completions",
            {"continue_final_message": True, "add_generation_prompt": False},
            BEGUN,
        ),
        ("/v1/chat/completions", {}, {**BEGUN, "prefix": True}),
    ],
    ids=["messages", "ollama", "chat by fields", "chat by a mark"],
)
async def test_the_rest_and_the_beginning_are_the_whole(
    client: httpx.AsyncClient, path: str, fields: Json, begun: Json
) -> None:
    whole = await said(client, path, messages=[ASKED])
    rest = await said(client, path, messages=[ASKED, begun], **fields)
    assert f"You said:{rest}" == whole
    assert not rest.startswith("You said")


async def test_chats_answer_a_last_turn_with_another_one_unless_told_otherwise(
    client: httpx.AsyncClient,
) -> None:
    answer = await said(client, "/v1/chat/completions", messages=[ASKED, BEGUN])
    assert answer.startswith("You said: hello")


async def test_what_the_model_never_said_is_not_gone_on_with(client: httpx.AsyncClient) -> None:
    begun = {"role": "assistant", "content": "Once upon a time"}
    answer = await said(client, "/api/chat", messages=[ASKED, begun])
    assert answer.startswith("You said: hello")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/messages", {"messages": [ASKED, {"role": "assistant", "content": "You "}]}),
        (
            "/v1/messages",
            {
                "model": "sandbox-thinking",
                "messages": [ASKED, BEGUN],
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
        ),
        ("/v1/chat/completions", {"messages": [ASKED, BEGUN], "continue_final_message": True}),
        (
            "/v1/chat/completions",
            {
                "messages": [ASKED],
                "continue_final_message": True,
                "add_generation_prompt": False,
            },
        ),
    ],
    ids=["white space", "thinking", "two wishes", "nothing begun"],
)
async def test_what_real_servers_refuse_is_refused(
    client: httpx.AsyncClient, path: str, fields: Json
) -> None:
    body = {"model": "sandbox-chat", "max_tokens": 4000, **fields}
    assert (await client.post(path, json=body, headers=HEADERS)).status_code == 400
