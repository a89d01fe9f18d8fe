"""Wire protocols of language models, without any I/O.

Bytes and objects in, bytes and objects out: the canonical request, events and errors
(:mod:`~forebay.protocol.canonical`), one codec per wire API (:mod:`~forebay.protocol.dialects`),
incremental framing (:mod:`~forebay.protocol.framing`) and what is particular to each kind of
provider (:mod:`~forebay.protocol.providers`). Nothing in here imports trio or httpx.
"""
