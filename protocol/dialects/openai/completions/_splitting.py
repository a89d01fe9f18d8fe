"""One request for several answers, as several requests for one each."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.completions import refuse_choice_among_answers
from forebay.protocol.canonical.requests import ChatRequest, Sampling, user_turn


def split_completion(request: ChatRequest) -> list[ChatRequest]:
    """What ``request`` asks for, answer by answer: all choices of its first prompt, then those of
    the next, which is the order of the choices in an answer (prompt number times ``n`` plus
    choice).

    A ``seed`` goes up by one from choice to choice: the same would give ``n`` times one answer.

    Returns:
        ``[request]`` itself where it asks for one answer.

    Raises:
        ApiFailure: BAD_REQUEST, the answers are to be chosen from among more, which only one
            server with all of them before it can do.
    """
    completion = request.completion
    if completion is None or len(completion.prompts) * request.choices == 1:
        return [request]
    if request.choices > 1:
        refuse_choice_among_answers(request)
        completion = replace(completion, best_of=None)
    return [
        replace(
            request,
            turns=(user_turn(prompt),) if isinstance(prompt, str) else (),
            completion=replace(completion, prompts=(prompt,)),
            choices=1,
            sampling=_of_choice(request, choice),
        )
        for prompt in completion.prompts
        for choice in range(request.choices)
    ]


def _of_choice(request: ChatRequest, choice: int) -> Sampling:
    seed = request.sampling.seed
    return request.sampling if seed is None else replace(request.sampling, seed=seed + choice)
