"""A session that asks for completions of several texts, or several of one.

A server with the API gives them in one answer. Others give one at a time: then each is a job of
its own, and what they say goes to the client as one answer.
"""

from __future__ import annotations

import trio

from forebay.actors.gateway.answers import StreamedAnswer, WholeAnswer
from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.chat_operation import ChatContent, ChatOperation
from forebay.actors.gateway.failures import JobFailure, joined_history
from forebay.actors.gateway.gateway import Answer
from forebay.actors.gateway.jobs import Job
from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import STREAM_HEADERS, SessionParts
from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import JoinedCompletionStream, OpenAICompletionsCodec


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
        failures: list[JobFailure] = []

        async def relay(index: int, nursery: trio.Nursery) -> None:
            try:
                async with self._gateway.open_answer(jobs[index], resolution) as answer:
                    content = answer.content
                    assert isinstance(content, StreamedAnswer)  # each asks for a stream
                    headers = {**STREAM_HEADERS, **_headers([answer])}
                    await self._reply.commit(self._completions.stream_content_type, headers)
                    async for piece in content:
                        frames = [joined.encode(index, event) for event in piece.events]
                        await self._reply.write(b"".join(frames))
                    if content.failed:
                        self._failed = True
            except JobFailure as failure:
                failures.append(failure)
            if failures or self._failed:
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for index in range(len(jobs)):
                nursery.start_soon(relay, index, nursery)
        if failures:
            raise failures[0]
        if not self._failed:
            await self._reply.finish()

    def _keep_alive_frame(self) -> bytes | None:
        return super()._keep_alive_frame() if self._joined is None else self._joined.keepalive()

    def _error_frame(self, error: ApiError) -> bytes | None:
        if self._joined is None:
            return super()._error_frame(error)
        return self._joined.fail(error)


def _headers(answers: list[Answer[ChatContent]]) -> dict[str, str]:
    dropped = dict.fromkeys(name for each in answers for name in each.content.request.dropped)
    history = joined_history([answer.history for answer in answers])
    return answer_headers(history, tuple(dropped))
