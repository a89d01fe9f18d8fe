"""Load descriptions and configurations for simulations, read from files.

What is wrong in them is told like what is wrong in ``forebay.yaml``: the line, the setting, the
mend.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from forebay.actors.config.document import Document, Tree, UnreadableDocument, read_document
from forebay.actors.config.explanation import faults_of, problems_of
from forebay.actors.config.loading import validated
from forebay.actors.config.problems import ConfigError, Fault, Problem
from forebay.actors.config.settings import Settings
from forebay.actors.simulation.load import Load, disagreements

_SECRETS: Final = ("KEY", "TOKEN", "SECRET")
_STAND_IN: Final = "not-needed-here"


class _WithoutSecrets(Mapping[str, str]):
    """The environment; keys that are not set are not missed, since nobody is asked for real."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None and name.endswith(_SECRETS):
            return _STAND_IN
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def read_settings(
    path: str | os.PathLike[str], changes: Sequence[str] = (), *, environ: Mapping[str, str]
) -> Settings:
    """The configuration in the file at ``path``, with ``changes``.

    Args:
        changes: each ``providers.openai.limits.tpm=400000``; an empty value takes the setting
            out.

    Raises:
        ConfigError: with everything that is wrong.
    """
    document = _read(path, environ)
    tree: Tree = {} if document.tree is None else document.tree
    for change in changes:
        _apply(tree, change)
    settings, faults = validated(tree)
    problems = [*document.problems, *problems_of(faults, tree, document)]
    if settings is None or problems:
        raise ConfigError(_in_order(problems), source=os.fspath(path))
    return settings


def read_load(
    path: str | os.PathLike[str], settings: Settings, *, environ: Mapping[str, str]
) -> Load:
    """The load description in the file at ``path`` (YAML or JSON).

    Raises:
        ConfigError: with everything that is wrong, also names that ``settings`` does not have.
    """
    document = _read(path, environ)
    load, problems = _checked({} if document.tree is None else document.tree, settings, document)
    if load is None or document.problems:
        raise ConfigError(_in_order([*document.problems, *problems]), source=os.fspath(path))
    return load


def parse_load(data: Mapping[str, object], settings: Settings, *, source: str) -> Load:
    """The same for what is in memory already.

    Args:
        source: what errors call it.
    """
    load, problems = _checked(data, settings, None)
    if load is None:
        raise ConfigError(problems, source=source)
    return load


def _checked(
    data: object, settings: Settings, document: Document | None
) -> tuple[Load | None, list[Problem]]:
    try:
        load = Load.model_validate(data)
    except ValidationError as error:
        return None, problems_of(faults_of(error, Load), data, document)
    faults = disagreements(load, settings)
    return (None if faults else load), problems_of(faults, data, document)


def _read(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Document:
    source = os.fspath(path)
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        return read_document(text, _WithoutSecrets(environ))
    except FileNotFoundError:
        problem = Problem(path="", message="does not exist")
    except OSError as fault:
        problem = Problem(path="", message=f"can't be read: {fault.strerror}")
    except UnicodeDecodeError:
        problem = Problem(path="", message="is not UTF-8 text")
    except UnreadableDocument as fault:
        problem = fault.problem
    raise ConfigError([problem], source=source)


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))


def _apply(tree: Tree, change: str) -> None:
    """Set what ``change`` names in ``tree``."""
    path, equals, value = change.partition("=")
    if not equals or not path:
        fault = Fault(message="is not a change", fix="write it as in providers.up.limits.rpm=600")
        raise _wrong_change(change, fault)
    parts = path.split(".")
    while True:
        if not isinstance(tree, dict):
            raise _wrong_change(change, Fault(message="leads into something that has no settings"))
        name = _longest_name(tree, parts)
        parts = parts[name.count(".") + 1 :]
        if not parts:
            break
        below = tree.get(name)
        if below is None:
            below = tree[name] = {}
        tree = below
    tree.pop(name, None)
    if value:
        try:
            tree[name] = read_document(value, {}).tree
        except UnreadableDocument as fault:
            raise _wrong_change(path, Fault(message=fault.problem.message)) from None


def _longest_name(tree: dict[str, Tree], parts: Sequence[str]) -> str:
    """The name that ``parts`` begin with: names of models hold dots, too."""
    for length in range(len(parts), 1, -1):
        name = ".".join(parts[:length])
        if name in tree:
            return name
    return parts[0]


def _wrong_change(change: str, fault: Fault) -> ConfigError:
    problem = Problem(path=change, message=fault.message, fix=fault.fix)
    return ConfigError([problem], source="--set")
