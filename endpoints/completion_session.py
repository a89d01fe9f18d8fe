"""A session that asks for completions of several texts, or several of one.

A server with the API gives them in one answer. Others give one at a time: then each is a job of
its own, and what they say goes to the client as one answer.
"""

from __future__ import annotations

from typing import Final

from forebay.actors.gateway.gateway import Answer
from forebay.actors.jobs.answers import AnswerStream, WholeAnswer
from forebay.actors.jobs.chat_operation import ChatContent, ChatOperation
from forebay.actors.jobs.failures import JobHistory, joined_history
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.parts import serve_parts
from forebay.actors.routing.catalog import Resolution
from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import STREAM_HEADERS, SessionParts
from forebay.protocol.canonical.errors import ApiError, bad_request
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import JoinedCompletionStream, OpenAICompletionsCodec

_MOST_ANSWERS: Final = 2048
"""Of one request that is split."""


class CompletionSession(ChatSession):
    """Serves one request for completions."""

    def __init__(self, parts: SessionParts, codec: OpenAICompletionsCodec) -> None:
        super().__init__(parts, codec)
        self._completions = codec
        self._joined: JoinedCompletionStream | None = None

    async def _answer(
        self, job: Job[ChatContent], resolution: Resolution, context: ReplyContext
    ) -> None:
        request = context.request
        several = request.completion is not None and (
            len(request.completion.prompts) > 1 or request.choices > 1
        )
        whole = ChatOperation(request, self._completions)
        if not several or all(map(whole.is_own_api_of, resolution.targets)):
            await super()._answer(job, resolution, context)
            return
        _check_number_of_answers(request)
        jobs = [
            self._job(ChatOperation(part, self._completions), resolution)
            for part in self._completions.split(request)
        ]
        if request.stream:
            self._joined = self._completions.joined_stream(context, len(jobs))
            async with self._held(resolution, self._completions.stream_content_type):
                await self._stream(jobs, resolution, self._joined)
        else:
            async with self._held(resolution):
                await self._send_joined(jobs, resolution, context)

    async def _send_joined(
        self, jobs: list[Job[ChatContent]], resolution: Resolution, context: ReplyContext
    ) -> None:
        answers = await self._gateway.answers(jobs, resolution)
        responses = [
            answer.content.response
            for answer in answers
            if isinstance(answer.content, WholeAnswer)  # none asks for a stream
        ]
        encoded = self._completions.join(responses, context)
        await self._reply.json(200, encoded, _headers(answers))

    async def _stream(
        self, jobs: list[Job[ChatContent]], resolution: Resolution, joined: JoinedCompletionStream
    ) -> None:
        async def relay(index: int, job: Job[ChatContent]) -> JobHistory | None:
            async with self._gateway.open_answer(job, resolution) as answer:
                content = answer.content
                assert isinstance(content, AnswerStream)  # each asks for a stream
                headers = {**STREAM_HEADERS, **_headers([answer])}
                await self._reply.commit(self._completions.stream_content_type, headers)
                async for piece in content:
                    frames = [joined.encode(index, event) for event in piece.events]
                    await self._reply.write(b"".join(frames))
                self._failed = self._failed or content.failed
            return None if self._failed else answer.history

        await serve_parts(jobs, relay)
        if not self._failed:
            await self._reply.finish()

    def _keep_alive_frame(self) -> bytes | None:
        return super()._keep_alive_frame() if self._joined is None else self._joined.keepalive()

    def _error_frame(self, error: ApiError) -> bytes | None:
        if self._joined is None:
            return super()._error_frame(error)
        return self._joined.fail(error)


def _check_number_of_answers(request: ChatRequest) -> None:
    prompts = 1 if request.completion is None else len(request.completion.prompts)
    if prompts * request.choices > _MOST_ANSWERS:
        raise bad_request(
            f"model '{request.model}' is asked for one answer at a time, and {prompts} prompts "
            f"with 'n' {request.choices} ask for more than {_MOST_ANSWERS}: send several requests",
            param="prompt",
            code="array_above_max_length",
        )


def _headers(answers: list[Answer[ChatContent]]) -> dict[str, str]:
    dropped = dict.fromkeys(name for each in answers for name in each.content.request.dropped)
    history = joined_history([answer.history for answer in answers])
    return answer_headers(history, tuple(dropped))
