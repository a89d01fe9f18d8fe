"""OpenAI's Responses API with its official client, over every kind of upstream."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from live_gateway import UPSTREAMS, LiveGateway
from openai.types.responses import ResponseReasoningItem
from responses_client import ResponsesClient, calls_of, check_stream
from sdk_questions import PNG, City
from sdk_speakers import both_ways

OVER = (*UPSTREAMS, "s")
"""The last one is a native server of this API."""
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": name,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    }
    for name in ("get_weather", "get_time")
]
SECRETS = ["reasoning.encrypted_content"]

over_all = pytest.mark.parametrize("upstream", OVER)


@pytest.fixture(scope="module")
def asking(gateway: LiveGateway) -> Iterator[ResponsesClient]:
    client = ResponsesClient(gateway.url)
    with client.sdk:
        yield client


def model(upstream: str) -> str:
    return f"{upstream}/sandbox-chat"


def sent(gateway: LiveGateway) -> dict[str, Any]:
    """What the upstream was asked last."""
    body: dict[str, Any] = json.loads(gateway.requests()[-1].body)
    return body


def results(response: openai.types.responses.Response) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"result {at}"}
        for at, call in enumerate(calls_of(response))
    ]


SAID = "The tool said: result 0\nThe tool said: result 1"


@both_ways
@over_all
def test_a_text(gateway: LiveGateway, asking: ResponsesClient, upstream: str, stream: bool) -> None:
    answer = asking.ask(
        stream=stream, model=model(upstream), input="hello", instructions="Be kind."
    )
    assert answer.status == "completed"
    assert answer.output_text.startswith("You said: hello")
    assert answer.instructions == "Be kind."
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0
    headers = asking.wire.last.headers
    assert headers["x-forebay-target"] == model(upstream)
    assert headers["x-forebay-attempts"] == "1"
    path = {"o": "/v1/chat/completions", "a": "/v1/messages", "l": "/api/chat"}
    assert gateway.requests()[-1].path == path.get(upstream, "/v1/responses")


@over_all
def test_the_helper_reads_a_stream_trap_83(asking: ResponsesClient, upstream: str) -> None:
    with asking.sdk.responses.stream(model=model(upstream), input="hello") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert "".join(deltas) == answer.output_text
    check_stream(asking.wire.last.frames)


@both_ways
@over_all
def test_parallel_tools_go_round_by_the_id_of_the_response(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    called = asking.ask(stream=stream, model=model(upstream), input="use all tools", tools=TOOLS)
    assert [call.name for call in calls_of(called)] == ["get_weather", "get_time"]
    answer = asking.ask(
        stream=stream,
        model=model(upstream),
        input=results(called),
        tools=TOOLS,
        previous_response_id=called.id,
    )
    assert answer.output_text == SAID
    assert answer.previous_response_id == called.id


@both_ways
@over_all
def test_parallel_tools_go_round_with_explicit_items(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    asked: list[Any] = [{"role": "user", "content": "use all tools"}]
    called = asking.ask(stream=stream, model=model(upstream), input=asked, tools=TOOLS, store=False)
    asked += [item.model_dump(exclude_none=True) for item in called.output]
    answer = asking.ask(
        stream=stream,
        model=model(upstream),
        input=[*asked, *results(called)],
        tools=TOOLS,
        store=False,
    )
    assert answer.output_text == SAID


@over_all
def test_given_names_of_tools_come_back_and_are_kept(
    gateway: LiveGateway, asking: ResponsesClient, upstream: str
) -> None:
    """A server of this API takes them from its own clients, or refuses them, as they come."""
    name = "mcp.github/create issue"
    tools = [{**TOOLS[0], "name": name}]
    if upstream == "s":
        with pytest.raises(openai.BadRequestError, match=r"tools\[0\]\.name"):
            asking.ask(stream=False, model=model(upstream), input="use the tool", tools=tools)
        return
    for stream in (False, True):
        called = asking.ask(stream=stream, model=model(upstream), input="use the tool", tools=tools)
        assert [call.name for call in calls_of(called)] == [name]
        answer = asking.ask(
            stream=stream,
            model=model(upstream),
            input=results(called),
            tools=tools,
            previous_response_id=called.id,
        )
        assert answer.output_text == "The tool said: result 0"
        assert (name in json.dumps(sent(gateway))) == (upstream == "l")
        listed = asking.sdk.responses.input_items.list(answer.id, order="asc")
        assert [item.name for item in listed if item.type == "function_call"] == [name]


@over_all
def test_a_structured_answer_is_parsed(asking: ResponsesClient, upstream: str) -> None:
    parsed = asking.sdk.responses.parse(
        model=model(upstream), input="Which city?", text_format=City
    )
    assert isinstance(parsed.output_parsed, City)
    with asking.sdk.responses.stream(
        model=model(upstream), input="Which city?", text_format=City
    ) as stream:
        assert stream.get_final_response().output_parsed == parsed.output_parsed


@both_ways
@over_all
def test_an_image_arrives(asking: ResponsesClient, upstream: str, stream: bool) -> None:
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    answer = asking.ask(
        stream=stream,
        model=model(upstream),
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": url, "detail": "auto"},
                ],
            }
        ],
    )
    assert answer.output_text.startswith("You sent 1 image: ")


@both_ways
@over_all
def test_an_answer_at_its_limit_is_incomplete_and_kept(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    answer = asking.ask(stream=stream, model=model(upstream), input="hello", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert asking.sdk.responses.retrieve(answer.id).output_text == answer.output_text


@both_ways
@over_all
def test_a_refusal_is_told(asking: ResponsesClient, upstream: str, stream: bool) -> None:
    answer = asking.ask(stream=stream, model=model(upstream), input="please refuse")
    if upstream == "s":
        (message,) = answer.output
        assert message.type == "message"
        assert [part.type for part in message.content] == ["refusal"]
    elif upstream != "l":  # Ollama has no word for it
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "content_filter"


# Reasoning


@both_ways
@over_all
def test_reasoning_is_shown_as_a_summary(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    answer = asking.ask(
        stream=stream,
        model=model(upstream),
        input="hello",
        reasoning={"effort": "low", "summary": "auto"},
    )
    thought = answer.output[0]
    assert isinstance(thought, ResponseReasoningItem)
    assert thought.summary[0].text.startswith("The user wrote 5 characters.")
    assert answer.output_text.startswith("You said: hello")


def thinking_sent(gateway: LiveGateway) -> list[dict[str, Any]]:
    """The blocks of thinking in what Anthropic's API was asked last."""
    return [
        block
        for message in sent(gateway)["messages"]
        for block in message["content"]
        if block["type"] == "thinking"
    ]


@both_ways
@pytest.mark.parametrize("by_id", [False, True], ids=["items", "id"])
def test_signed_thinking_survives_a_tool_loop_over_anthropic(
    gateway: LiveGateway, asking: ResponsesClient, stream: bool, by_id: bool
) -> None:
    """The sandbox refuses thinking that is not what it signed, and none where there was some."""
    arguments: dict[str, Any] = {
        "model": model("a"),
        "tools": TOOLS,
        "reasoning": {"effort": "medium"},
    }
    if not by_id:
        arguments |= {"include": SECRETS, "store": False}
    called = asking.ask(stream=stream, input="use all tools", **arguments)
    thoughts = [item for item in called.output if isinstance(item, ResponseReasoningItem)]
    if by_id:
        assert all(thought.encrypted_content is None for thought in thoughts)
        answer = asking.ask(
            stream=stream, input=results(called), previous_response_id=called.id, **arguments
        )
    else:
        (thought,) = thoughts
        assert thought.encrypted_content
        items: list[Any] = [
            {"role": "user", "content": "use all tools"},
            *(item.model_dump(exclude_none=True) for item in called.output),
            *results(called),
        ]
        answer = asking.ask(stream=stream, input=items, **arguments)
    assert answer.output_text == SAID
    (block,) = thinking_sent(gateway)
    assert block["thinking"].startswith("The user wrote 13 characters.")
    assert block["signature"]


def test_the_gateways_own_token_never_goes_upstream_trap_58(
    gateway: LiveGateway, asking: ResponsesClient
) -> None:
    """The native server would refuse what it did not encrypt itself."""
    arguments: dict[str, Any] = {
        "tools": TOOLS,
        "reasoning": {"effort": "medium"},
        "include": SECRETS,
    }
    called = asking.ask(stream=False, model=model("a"), input="use all tools", **arguments)
    (thought,) = [item for item in called.output if isinstance(item, ResponseReasoningItem)]
    assert thought.encrypted_content
    items: list[Any] = [
        {"role": "user", "content": "use all tools"},
        *(item.model_dump(exclude_none=True) for item in called.output),
        *results(called),
    ]
    for upstream in OVER:
        for fields in ({"input": items}, {"previous_response_id": called.id}):
            asked = {**arguments, "input": results(called), **fields}
            answer = asking.ask(stream=False, model=model(upstream), **asked)
            assert answer.output_text == SAID
            assert thought.encrypted_content not in json.dumps(sent(gateway))


def test_a_providers_own_reasoning_comes_back_to_it_turn_after_turn(
    gateway: LiveGateway, asking: ResponsesClient
) -> None:
    """From the second turn on it keeps nothing, and knows only what it encrypted."""
    previous: str | None = None
    for turn in range(3):
        answer = asking.ask(
            stream=bool(turn % 2),
            model=model("s"),
            input=f"turn {turn}",
            reasoning={"effort": "low"},
            **({} if previous is None else {"previous_response_id": previous}),
        )
        thought = answer.output[0]
        assert isinstance(thought, ResponseReasoningItem)
        assert thought.encrypted_content is None
        previous = answer.id
    encrypted = [
        "encrypted_content" in item
        for item in sent(gateway)["input"]
        if item["type"] == "reasoning"
    ]
    assert encrypted == [False, True]
    assert sent(gateway)["include"] == SECRETS


# Failures


def heard(
    asking: ResponsesClient, upstream: str, fault: str, raised: type[openai.APIError]
) -> list[Any]:
    """The events of a stream that must break off."""
    events: list[Any] = []
    stream = asking.sdk.responses.create(
        stream=True, model=model(upstream), input=f"hello [[fault: {fault}]]"
    )
    with pytest.raises(raised):
        events.extend(event for event in stream)
    return events


@both_ways
@over_all
def test_an_error_before_the_answer_is_a_true_status(
    asking: ResponsesClient, upstream: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        asking.ask(stream=stream, model=model(upstream), input="hello [[fault: 400]]")
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError) as unknown:
        asking.ask(stream=stream, model=f"{upstream}/no-such-model", input="hello")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as mistyped:
        asking.ask(stream=stream, model=model(upstream), input=[{"role": "user"}])
    assert mistyped.value.param == "input[0].content"


@pytest.mark.parametrize("fault", ["reset-midstream=3", "cut-midstream=3"])
@over_all
def test_a_stream_that_breaks_ends_as_failed_under_its_id_trap_89(
    asking: ResponsesClient, upstream: str, fault: str
) -> None:
    """And is not kept."""
    events = heard(asking, upstream, fault, openai.APIConnectionError)
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"
    assert last.response.id == events[0].response.id
    check_stream(asking.wire.last.frames)
    with pytest.raises(openai.NotFoundError):
        asking.sdk.responses.retrieve(last.response.id)


@over_all
def test_an_error_that_the_upstream_says_in_its_stream_reaches_the_client(
    asking: ResponsesClient, upstream: str
) -> None:
    """In the upstream's own words where those are this API's."""
    raised = openai.APIError if upstream == "s" else openai.APIConnectionError
    events = heard(asking, upstream, "error-midstream=3", raised)
    assert events[0].type == "response.created"
    assert (events[-1].type == "response.failed") == (upstream != "s")
    with pytest.raises(openai.NotFoundError):
        asking.sdk.responses.retrieve(events[0].response.id)
