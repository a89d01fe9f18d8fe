"""Settings from a file, or from what an embedding program has put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from forebay.actors.config.agreement import disagreements
from forebay.actors.config.document import Document, UnreadableDocument, read_document
from forebay.actors.config.explanation import faults_of, problems_of
from forebay.actors.config.problems import ConfigError, Fault, Problem
from forebay.actors.config.settings import Settings
from forebay.actors.config.tls_files import tls_file_faults, with_paths_from


def load_settings(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read, fill in and validate a configuration file (YAML, UTF-8), and the certificate files
    that it names.

    Blocks while it reads the file: for use before the event loop, or in a thread.

    Args:
        path: the file.
        environ: where ``${NAME}`` is looked up; the process's own environment by default.

    Raises:
        ConfigError: with everything that is wrong, or the one thing that keeps the file from
            being read.
    """
    source = os.fspath(path)
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except FileNotFoundError:
        raise ConfigError(
            [Problem(path="", message="does not exist", fix="forebay init writes one")],
            source=source,
        ) from None
    except OSError as fault:
        raise ConfigError(
            [Problem(path="", message=f"can't be read: {fault.strerror}")], source=source
        ) from None
    return settings_from_yaml(
        raw,
        source=source,
        environ=os.environ if environ is None else environ,
        folder=Path(path).absolute().parent,
    )


def settings_from_yaml(
    raw: bytes, *, source: str, environ: Mapping[str, str], folder: Path | None = None
) -> Settings:
    """Like :func:`load_settings`, for the file's bytes.

    Args:
        raw: the bytes of the file.
        source: what errors call it.
        environ: where ``${NAME}`` is looked up.
        folder: where the certificate files that it names are; they are looked at. None: they are
            not.

    Raises:
        ConfigError: as :func:`load_settings`.
    """
    document, problem = _read(raw, environ)
    if problem is not None:
        # Outside the except block: the fault's context may hold the text of the file.
        raise ConfigError([problem], source=source)
    # An empty file, or one with every line commented out, says nothing: all defaults.
    data = {} if document.tree is None else document.tree
    settings, faults = validated(data)
    if settings is not None and folder is not None:
        settings = with_paths_from(folder, settings)
        faults = list(tls_file_faults(settings))
    problems = [*document.problems, *problems_of(faults, data, document)]
    if settings is None or problems:
        problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
        raise ConfigError(problems, source=source)
    return settings


def parse_settings(data: Mapping[str, object]) -> Settings:
    """Validate settings that are already in memory, in the shape of the file.

    Nothing is substituted: ``${NAME}`` is plain text here.

    Raises:
        ConfigError: with everything that is wrong, without lines.
    """
    settings, faults = validated(data)
    if settings is None:
        raise ConfigError(problems_of(faults, data), source="settings")
    return settings


def with_address(
    settings: Settings, *, host: str | None = None, port: int | None = None
) -> Settings:
    """The same settings, listening elsewhere: what a command line's options override.

    Unlike pydantic's ``model_copy`` this validates anew, so that an option does not open the
    gateway to others without keys, either.

    Raises:
        ConfigError: the address can't be used with these settings.
    """
    overrides = {"host": host, "port": port}
    server = settings.server.model_dump() | {
        name: value for name, value in overrides.items() if value is not None
    }
    data = {name: getattr(settings, name) for name in Settings.model_fields} | {"server": server}
    moved, faults = validated(data)
    if moved is None:
        raise ConfigError(problems_of(faults, data), source="command line")
    return moved


def validated(data: object) -> tuple[Settings | None, list[Fault]]:
    """The settings, or None and everything that is wrong with them."""
    try:
        return Settings.model_validate(data), []
    except ValidationError as error:
        # Returned instead of raised from here: the error's input holds secrets.
        faults = faults_of(error)
    # Pydantic comes to the rules between settings only where these are right by themselves.
    wrong = {fault.at for fault in faults}
    return None, [*faults, *disagreements(data, wrong, fallback=Settings())]


def _read(raw: bytes, environ: Mapping[str, str]) -> tuple[Document, Problem | None]:
    try:
        text = raw.decode()
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        return Document(), Problem(path="", message="is not UTF-8 text", line=line)
    try:
        return read_document(text, environ), None
    except UnreadableDocument as fault:
        return Document(), fault.problem
