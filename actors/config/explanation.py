"""From pydantic's account of what is wrong to problems that name the line and the mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from forebay.actors.config.document import Document, Position
from forebay.actors.config.problems import RULE_BROKEN, Fault, Location, Problem, did_you_mean
from forebay.actors.config.rendering import path_text, value_text
from forebay.actors.config.settings import Settings

_KEY_MARK = "[key]"
"""What pydantic appends to the location of a mapping's key that is not valid."""


def faults_of(error: ValidationError, root: type[BaseModel] = Settings) -> list[Fault]:
    """What ``error``, from validating ``root``, says. Locations count from the top."""
    faults: list[Fault] = []
    for details in error.errors(include_url=False, include_input=True):
        at = details["loc"]
        if at and at[-1] == _KEY_MARK:
            at = at[:-1]
        faults.extend(_faults(details, at, root))
    return faults


def problems_of(
    faults: Sequence[Fault], data: object, document: Document | None = None
) -> list[Problem]:
    """Faults with the values that may be shown and, from a file, the lines.

    Args:
        faults: with locations from the top.
        data: what was validated; a document's tree, where there is one.
        document: the file that it came from.
    """
    problems = []
    for fault in faults:
        if document is not None and fault.at in document.unusable:
            continue  # What is missing there has been said; the stand-in is no news.
        position = _position(document, fault.at)
        problems.append(
            Problem(
                path=path_text(fault.at) if fault.path is None else fault.path,
                message=fault.message + _echo(fault, data, document),
                line=position.line if position else None,
                column=position.column if position else None,
                fix=fault.fix,
            )
        )
    return problems


def _faults(details: ErrorDetails, at: Location, root: type[BaseModel]) -> Iterator[Fault]:
    context = details.get("ctx", {})
    match details["type"]:
        case kind if kind == RULE_BROKEN:
            for fault in context["faults"]:
                yield replace(fault, at=(*at, *fault.at))
        case "missing":
            yield Fault(at=at, message="is required")
        case "extra_forbidden":
            yield _unknown_setting(at, root)
        case "greater_than":
            yield Fault(at=at, message=f"must be greater than {_bound(context['gt'])}", echo=True)
        case "greater_than_equal":
            yield Fault(at=at, message=f"must be at least {_bound(context['ge'])}", echo=True)
        case "less_than_equal":
            yield Fault(at=at, message=f"must be at most {_bound(context['le'])}", echo=True)
        case "int_type" | "int_parsing" | "int_parsing_size" | "int_from_float":
            yield Fault(at=at, message="must be a whole number", echo=True)
        case "float_type" | "float_parsing" | "finite_number":
            yield Fault(at=at, message="must be a number", echo=True)
        case "bool_type" | "bool_parsing":
            yield Fault(at=at, message="must be true or false", echo=True)
        case "enum":
            expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            meant = details["input"]
            fix = did_you_mean(meant, expected.split(", ")) if isinstance(meant, str) else None
            yield Fault(at=at, message=f"must be one of {expected}", fix=fix, echo=True)
        case "string_type" | "invalid_key":
            yield Fault(at=at, message="must be text")
        case "tuple_type":
            yield Fault(at=at, message="must be a list", fix="write it as in [a, b]")
        case "model_type" | "mapping_type" | "dict_type":
            yield Fault(at=at, message="must be a mapping of settings (name: value)")
        case _:
            yield Fault(at=at, message="is not valid here")


def _bound(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _position(document: Document | None, at: Location) -> Position | None:
    """Of the value, or of the nearest setting above it that the file holds."""
    if document is None:
        return None
    while at and at not in document.positions:
        at = at[:-1]
    return document.positions.get(at)


def _echo(fault: Fault, data: object, document: Document | None) -> str:
    if not fault.echo or (document is not None and fault.at in document.substituted):
        return ""
    found, value = _value_at(data, fault.at)
    if not found:
        return ""
    if value is None or value == "":
        return " (it is empty)"
    return f" (you wrote {value_text(value)})" if isinstance(value, str | int | float) else ""


def _value_at(data: object, at: Location) -> tuple[bool, object]:
    for part in at:
        match data:
            case Mapping() if part in data:
                data = data[part]
            case list() | tuple() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                return False, None
    return True, data


def _unknown_setting(at: Location, root: type[BaseModel]) -> Fault:
    name, colon, _ = str(at[-1]).partition(":")
    if colon:
        # "{api_key:sk-123}" is one key to YAML, and what follows the colon may be a secret.
        return Fault(
            at=at,
            path=path_text((*at[:-1], name)),
            message="is not a setting",
            fix="a space is missing after its ':'",
        )
    return Fault(at=at, message="is not a setting", fix=_meant_setting(name, at[:-1], root))


def _meant_setting(wrong: str, at: Location, root: type[BaseModel]) -> str:
    """The fix for an unknown name: the nearest known one, here or one section further down."""
    section = _section_at(at, root)
    wrong = wrong.strip().lower().replace("-", "_")
    names = _setting_names(section)
    deeper = {
        inner: f"{name}.{inner}"
        for name, field in names.items()
        if (model := _model_of(field)) is not None and not _is_mapping(field)
        for inner in _setting_names(model)
    }
    if wrong in deeper:
        return f"did you mean '{deeper[wrong]}'?"
    return did_you_mean(wrong, names) or f"the settings here are: {', '.join(names)}"


def _section_at(at: Location, root: type[BaseModel]) -> type[BaseModel]:
    section = root
    # A place in a list of sections has the list's own settings.
    parts = iter(part for part in at if not isinstance(part, int))
    for part in parts:
        field = _setting_names(section)[str(part)]
        section = _model_of(field) or section
        if _is_mapping(field):
            next(parts)
    return section


def _setting_names(section: type[BaseModel]) -> dict[str, FieldInfo]:
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in section.model_fields.items()
    }


def _is_mapping(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Mapping


def _model_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, FieldInfo):
        return _model_of(annotation.annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (model := _model_of(argument)) is not None:
            return model
    return None
