"""A configuration file as a tree of text, with the line of everything in it.

Only the structure of YAML is used: mappings, lists and text. What a text means (a number, a name)
is decided by the setting that it is for, so neither ``on`` as a client's name nor ``0123`` as a
key turns into something else on the way. Anchors and aliases work; tags and merge keys do not.

The tree is built from PyYAML's event stream, not by its composer and constructors: these lose
duplicate keys and overflow the stack on deeply nested text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from forebay.actors.config.problems import Location, Problem
from forebay.actors.config.rendering import path_text
from forebay.actors.config.substitution import substitute

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree] | None"

MAX_DEPTH = 32
"""Levels of nesting; the settings have 5."""
MAX_VALUES = 50_000
"""Values after aliases are followed: a short file can otherwise stand for gigabytes."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_STANDARD_TAGS = {
    "scalar": ("!", "tag:yaml.org,2002:str"),
    "list": ("!", "tag:yaml.org,2002:seq"),
    "mapping": ("!", "tag:yaml.org,2002:map"),
}
_HINTS = (
    ("'\\t' that cannot start any token", "a tab can't indent a line; use spaces"),
    ("mapping values are not allowed here", "unexpected ':'; put text that holds ': ' in quotes"),
    ("but found '<block mapping start>'", "the indentation does not fit the lines above"),
    ("but found '<block sequence start>'", "the indentation does not fit the lines above"),
    ("but found '{'", "unexpected '{'; put ${NAME} in quotes, as in \"${NAME}\""),
    ("but got '{'", "unexpected '{'; put ${NAME} in quotes, as in \"${NAME}\""),
    # PyYAML would repeat the tag, which may be a key that begins with "!".
    ("found undefined tag handle", "text that begins with '!' must be in quotes"),
)


@dataclass(frozen=True, slots=True)
class Position:
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""


class UnreadableDocument(Exception):
    """The text is not a configuration file at all; carries the one problem."""

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(
            path="",
            message=message,
            line=position.line if position else None,
            column=position.column if position else None,
        )


@dataclass(slots=True)
class Document:
    """What a file says."""

    tree: Tree = None
    positions: dict[Location, Position] = field(default_factory=dict)
    """Of a text, where it begins; of a mapping or list, where its key stands."""
    substituted: set[Location] = field(default_factory=set)
    """The values that hold something from the environment."""
    unusable: set[Location] = field(default_factory=set)
    """The values that stand in for what could not be substituted."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scalar:
    position: Position
    text: str
    is_null: bool
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    position: Position
    items: Sequence[_Node]
    size: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mapping:
    position: Position
    items: Sequence[tuple[_Node, _Node]]
    size: int
    height: int


_Node: TypeAlias = "_Scalar | _List | _Mapping"


def read_document(text: str, environ: Mapping[str, str]) -> Document:
    """Read one YAML document and fill in its references to the environment.

    Raises:
        UnreadableDocument: broken syntax, more than one document, tags, merge keys, or more
            nesting or values than any configuration has.
    """
    document = Document()
    try:
        root = _NodeReader(text).read()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise UnreadableDocument(_syntax_message(fault), _position(mark)) from None
    except yaml.reader.ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        column = fault.position - (text.rfind("\n", 0, fault.position) + 1) + 1
        raise UnreadableDocument(
            "holds a character that YAML does not allow", Position(line, column)
        ) from None
    except (ValueError, OverflowError):
        # PyYAML lets these out for an escape beyond Unicode ("\UFFFFFFFF") and for a version
        # directive with thousands of digits, without saying where.
        raise UnreadableDocument("holds an escape sequence or a number that is too large") from None
    if root is not None:
        document.tree = _Builder(document, environ).build(root, (), root.position)
    return document


def _syntax_message(fault: yaml.MarkedYAMLError) -> str:
    said = fault.problem or "can't be read"
    for fragment, hint in _HINTS:
        if fragment in said:
            said = hint
            break
    return f"is not valid YAML: {said}"


def _position(mark: yaml.Mark | None) -> Position | None:
    return None if mark is None else Position(mark.line + 1, mark.column + 1)


class _NodeReader:
    """Events to nodes. An alias gives the node of its anchor again."""

    def __init__(self, text: str) -> None:
        # The base loader resolves no tags: a tag that an event carries was written by somebody.
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.BaseLoader))
        self._anchors: dict[str, _Node] = {}

    def read(self) -> _Node | None:
        root: _Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise UnreadableDocument(
                    "holds a second document ('---'); only one is read", _event_position(event)
                )
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        position = _event_position(event)
        if depth > MAX_DEPTH:
            raise UnreadableDocument(f"is nested more than {MAX_DEPTH} levels deep", position)
        node: _Node
        match event:
            case yaml.AliasEvent():
                # A node gets its anchor when it is complete, so none can hold itself.
                anchored = self._anchors.get(event.anchor or "")
                if anchored is None:
                    raise UnreadableDocument(
                        "an alias ('*') has no anchor ('&') above it; put text that begins with"
                        " '*' in quotes",
                        position,
                    )
                return anchored
            case yaml.ScalarEvent():
                _refuse_tag(event, "scalar", position)
                is_null = event.style is None and event.tag is None and event.value in _NULLS
                node = _Scalar(position=position, text=event.value, is_null=is_null)
            case yaml.SequenceStartEvent():
                _refuse_tag(event, "list", position)
                node = self._list(depth, position)
            case yaml.MappingStartEvent():
                _refuse_tag(event, "mapping", position)
                node = self._mapping(depth, position)
            case _:  # pragma: no cover - the parser lets only these begin a node
                raise AssertionError(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _list(self, depth: int, position: Position) -> _List:
        items: list[_Node] = []
        size = height = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, depth + 1)
            items.append(item)
            size += item.size
            height = max(height, item.height + 1)
            _refuse_extent(size, height, item.position)
        return _List(position=position, items=items, size=size, height=height)

    def _mapping(self, depth: int, position: Position) -> _Mapping:
        items: list[tuple[_Node, _Node]] = []
        size = height = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            items.append((key, value))
            size += key.size + value.size
            height = max(height, value.height + 1)
            _refuse_extent(size, height, key.position)
        return _Mapping(position=position, items=items, size=size, height=height)


def _event_position(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)


def _refuse_tag(
    event: yaml.ScalarEvent | yaml.CollectionStartEvent, shape: str, position: Position
) -> None:
    if event.tag is not None and event.tag not in _STANDARD_TAGS[shape]:
        raise UnreadableDocument(
            "tags ('!') are not used here; put text that begins with '!' in quotes", position
        )


def _refuse_extent(size: int, height: int, position: Position) -> None:
    if size > MAX_VALUES:
        raise UnreadableDocument(f"holds more than {MAX_VALUES} values", position)
    if height > MAX_DEPTH:
        raise UnreadableDocument(f"is nested more than {MAX_DEPTH} levels deep", position)


class _Builder:
    """Nodes to the tree of a document."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ

    def build(self, node: _Node, at: Location, key_position: Position) -> Tree:
        match node:
            case _Scalar():
                self._document.positions[at] = node.position
                return None if node.is_null else self._fill(node.text, at, node.position)
            case _List():
                self._document.positions[at] = key_position
                return [
                    self.build(item, (*at, index), item.position)
                    for index, item in enumerate(node.items)
                ]
            case _Mapping():
                self._document.positions[at] = key_position
                return self._mapping(node, at)

    def _mapping(self, node: _Mapping, at: Location) -> Tree:
        built: dict[str, Tree] = {}
        first_lines: dict[str, int] = {}
        for key_node, value in node.items:
            if not isinstance(key_node, _Scalar):
                raise UnreadableDocument("a key must be plain text", key_node.position)
            key = key_node.text
            if key == "<<":
                raise UnreadableDocument(
                    "merge keys ('<<') are not used here; write the settings out",
                    key_node.position,
                )
            if key in first_lines:
                self._report(
                    (*at, key),
                    key_node.position,
                    f"appears twice (first on line {first_lines[key]})",
                    "remove one of them",
                )
                continue
            first_lines[key] = key_node.position.line
            built[key] = self.build(value, (*at, key), key_node.position)
        return built

    def _fill(self, text: str, at: Location, position: Position) -> str:
        filled = substitute(text, self._environ)
        if filled.changed:
            self._document.substituted.add(at)
        if filled.malformed:
            self._report(
                at,
                position,
                "holds a '${' that begins no reference",
                "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign",
            )
        for name in filled.missing:
            self._report(
                at,
                position,
                f"the environment variable {name} is not set",
                f"set it, or write ${{{name}:-default}}",
            )
        if filled.malformed or filled.missing:
            self._document.unusable.add(at)
        return filled.text

    def _report(self, at: Location, position: Position, message: str, fix: str) -> None:
        self._document.problems.append(
            Problem(
                path=path_text(at),
                message=message,
                line=position.line,
                column=position.column,
                fix=fix,
            )
        )
