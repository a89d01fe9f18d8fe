"""Requests to complete a text, for servers that can't do all that they ask for.

Most servers only answer in a conversation. A plain prompt can be asked there as what a user says;
whatever else a completion can ask for would be lost, and something else be answered.
"""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import ChatRequest

_ELSEWHERE = "leave it out, or ask for a model that completes text"
_ELSEWHERE_GENERATE = "leave it out, or ask for a model that Ollama's /api/generate serves"


def refuse_raw_completion(request: ChatRequest) -> None:
    """To be called before a request is written as a conversation.

    Raises:
        ApiFailure: BAD_REQUEST that names what only a server that completes text can do.
    """
    completion = request.completion
    if completion is None:
        return
    refuse_own_surroundings(request)
    refuse_beyond_one_text(request)
    if completion.suffix is not None:
        raise _beyond("suffix", f"can't fill in before a 'suffix': {_ELSEWHERE}")
    if completion.raw:
        raise _beyond("raw", f"knows prompts in its own template only, not 'raw': {_ELSEWHERE}")


def refuse_own_surroundings(request: ChatRequest) -> None:
    """To be called before a request is written for a server that decides itself what the model
    reads around a prompt: it would answer another question than the one that was meant, and nobody
    could tell.

    Raises:
        ApiFailure: BAD_REQUEST that names what the client wants around it.
    """
    completion = request.completion
    if completion is None:
        return
    if completion.template is not None:
        raise _beyond("template", f"takes no 'template' of the client's own: {_ELSEWHERE_GENERATE}")
    if completion.context:
        raise _beyond(
            "context",
            f"knows no tokens of an earlier answer, as in 'context': {_ELSEWHERE_GENERATE}",
        )


def refuse_beyond_one_text(request: ChatRequest) -> None:
    """To be called before a request is written for a server that goes on with one text, and tells
    nothing but what comes after it.

    Raises:
        ApiFailure: BAD_REQUEST that names what such a server can't do.
    """
    completion = request.completion
    if completion is None:
        return
    if any(not isinstance(prompt, str) for prompt in completion.prompts):
        raise _beyond("prompt", "reads no tokens: send 'prompt' as a string")
    if len(completion.prompts) != 1:
        raise _beyond("prompt", "takes one 'prompt' a request: send several requests")
    if not completion.prompts[0]:
        raise _beyond("prompt", "needs something to go on with: send a 'prompt' that is not empty")
    if request.choices > 1:
        raise _beyond("n", "gives one answer a request: 'n' must be 1")
    if completion.echo:
        raise _beyond("echo", f"can't 'echo' a prompt: {_ELSEWHERE}")
    if completion.logprobs is not None:
        raise _beyond("logprobs", f"can't report 'logprobs': {_ELSEWHERE}")
    refuse_choice_among_answers(request)
    if request.max_output_tokens == 0:
        raise _beyond("max_tokens", "always answers: 'max_tokens' must be at least 1")


def refuse_choice_among_answers(request: ChatRequest) -> None:
    """To be called before answers are asked for one by one.

    Raises:
        ApiFailure: BAD_REQUEST, more answers are to be made than the client wants to see.
    """
    completion = request.completion
    if completion is None or completion.best_of is None:
        return
    if completion.best_of > request.choices:
        raise _beyond("best_of", "makes only as many answers as are asked for: leave out 'best_of'")


def _beyond(param: str, why: str) -> ApiFailure:
    return bad_request(f"this model's provider {why}", param=param, code="unsupported_parameter")
