"""A real llama.cpp server, in a process of its own: that of the package ``xllamacpp``, which brings
the server of llama.cpp as a library, with the model of :mod:`tiny_gguf`.

This file is that process's program, too: it prints the server's address in a line, and ends when
its standard input does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from tiny_gguf import write_tiny_model

HAS_SERVER = find_spec("xllamacpp") is not None
"""Whether the package is installed: it is not to be had for every machine."""
_HERMES = Path(__file__).parents[2] / "bench" / "tour" / "hermes_tools.jinja"
NAME = "tiny"
"""Of the model."""


@contextmanager
def real_llama(folder: Path, *, says: str | None = None, **options: object) -> Iterator[str]:
    """The root URL of a server that lasts as long as the block.

    Args:
        folder: where the model is put.
        says: what it answers, whatever it is asked. None: some words.
        options: attributes of the library's parameters: ``n_parallel``, ``n_ctx``, ``embedding``...

    Raises:
        RuntimeError: it did not start; says what it wrote.
    """
    model = folder / "tiny.gguf"
    write_tiny_model(model, template=_HERMES.read_text(encoding="utf-8"), says=says)
    command = [sys.executable, __file__, str(model), json.dumps(options)]
    log = folder / "llama.log"
    with (
        log.open("wb") as written,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            for line in process.stdout:
                if line.startswith(b"http://"):
                    yield line.decode().strip()
                    return
            raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-2000:])
        finally:
            process.stdin.close()


def busy_slots(url: str) -> int:
    """How many requests the server works at."""
    slots = httpx.get(f"{url}/slots", trust_env=False).raise_for_status().json()
    return sum(slot["is_processing"] for slot in slots)


def _serve(model: str, options: Mapping[str, object]) -> None:
    llama: Any = import_module("xllamacpp")
    parameters = llama.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.kv_unified = False
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    parameters.endpoint_slots = parameters.endpoint_metrics = True
    for name, value in options.items():
        setattr(parameters, name, value)
    server = llama.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
