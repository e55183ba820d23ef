"""What pydantic says about a value, in the words of the person who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rookery.config.schema import Config
from rookery.config.source import FromEnvironment, Problem, Source, Where


def explain(error: ValidationError, source: Source, root: type[BaseModel] = Config) -> list[Problem]:
    """One problem for each error, at the place where its value, or what should hold it, is written.

    `root` is what the whole file was read as.
    """
    return [_problem(details, source, root) for details in error.errors(include_url=False, include_input=False)]


def line(problem: Problem, source: Source) -> int:
    """The line to look at, counted from 1: the problem's own, or that of the nearest key that is written."""
    if problem.line is not None:
        return problem.line
    where = problem.where
    while where and where not in source.written:
        where = where[:-1]
    return source.written[where].line if where in source.written else 1


def dotted(where: Where) -> str:
    """A place as people write it: `bindings[0].match.channel`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = re.fullmatch(r"[^\s.\[\]]+", part) and part.isprintable()
            text += f"{'.' if text else ''}{part if plain else repr(part)}"
    return text


def sentence(problem: Problem, source: Source) -> str:
    """The key and what is wrong with it, without anything a variable of the environment holds."""
    text = problem.text
    written = source.written.get(problem.where)
    if written is not None and isinstance(written.value, FromEnvironment):
        value = written.value
        pieces = [value, *re.split(r"[/:@\s]", value)]
        if any(f"'{_spelled(piece)}" in text or f"{_spelled(piece)}'" in text for piece in pieces if piece):
            text = f"is wrong: what {value.written!r} stands for does not fit here"
    return f"{dotted(problem.where) or 'the file'} {text}"


def as_written(where: Where, source: Source) -> Where:
    """The place with each key spelled as in the file, where snake_case is read as well as camelCase."""
    spelled: Where = ()
    for part in where:
        other = _snake(part) if isinstance(part, str) else part
        if (*spelled, part) not in source.written and (*spelled, other) in source.written:
            part = other
        spelled = (*spelled, part)
    return spelled


def _problem(details: ErrorDetails, source: Source, root: type[BaseModel]) -> Problem:
    location: Where = details["loc"]
    kind = details["type"]
    if location and location[-1] == "[key]" and location not in source.written:
        location = location[:-1]
    where = as_written(location, source)
    if kind == "extra_forbidden":
        return Problem(where, _unknown_key(location, source, root))
    return Problem(where, _text(kind, details, source, where))


def _text(kind: str, details: ErrorDetails, source: Source, where: Where) -> str:
    context = details.get("ctx", {})
    written = source.written.get(where)
    value = None if written is None else written.value
    match kind:
        case "rookery":
            return details["msg"]
        case "missing":
            return "is missing; it has no default"
        case "enum":
            return _not_a_word(value, re.findall(r"'([^']*)'", str(context.get("expected", ""))))
        case "bool_type":
            return f"must be true or false{_instead(value)}"
        case "int_type" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number{_instead(value)}"
        case "float_type" | "finite_number":
            return f"must be a number{_instead(value)}"
        case "greater_than_equal":
            return f"must be {context.get('ge')} or more{_instead(value)}"
        case "greater_than":
            return f"must be more than {context.get('gt'):g}{_instead(value)}"
        case "less_than_equal":
            return f"must be {context.get('le')} or less{_instead(value)}"
        case "string_too_short":
            return "must not be empty"
        case "string_type":
            if written is not None and isinstance(value, bool | int | float):
                return f'must be text; write it in quotes: "{written.spelling}"'
            return "must be text"
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return f"must hold keys and values, as in {{ key: value }}{_kind_of(value)}"
        case "tuple_type" | "list_type":
            return f"must be a list, as in [one, two]{_kind_of(value)}"
        case _:
            return f"is wrong: {details['msg']}"


def _unknown_key(location: Where, source: Source, root: type[BaseModel]) -> str:
    key = str(location[-1])
    model = _model_at(location[:-1], root)
    names = [] if model is None else [field.alias or name for name, field in model.model_fields.items()]
    spelled = [name for name in names if _snake(name) == _snake(key)]
    if spelled:
        twin = source.written.get(as_written((*location[:-1], spelled[0]), source))
        line = "" if twin is None else f" on line {twin.line}"
        return f"is written twice, here and as {spelled[0]!r}{line}; keep one of them"
    near = get_close_matches(_snake(key), [_snake(name) for name in names], n=1)
    if near:
        return f"is not a known key; did you mean {next(name for name in names if _snake(name) == near[0])!r}?"
    return f"is not a known key; known here: {', '.join(names)}"


def _not_a_word(value: object, words: list[str]) -> str:
    near = get_close_matches(value.lower(), words, n=1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near and not isinstance(value, FromEnvironment) else ""
    return f"must be one of {', '.join(words)}{_instead(value)}{hint}"


def _instead(value: object) -> str:
    """What stands there, unless it came from the environment or is too much to show."""
    match value:
        case FromEnvironment():
            return f", not what {value.written!r} stands for"
        case None:
            return ", not null"
        case bool():
            return f", not {str(value).lower()}"
        case int() | float():
            return f", not {value:.12g}" if isinstance(value, float) or abs(value) >= 10**12 else f", not {value}"
        case str() if len(value) <= 40:
            quotes = "; write it without quotes" if re.fullmatch(r"-?\d+(\.\d+)?|true|false", value) else ""
            return f", not {value!r}{quotes}"
        case _:
            return _kind_of(value)


def _kind_of(value: object) -> str:
    match value:
        case str():
            return ", not text"
        case list():
            return ", not a list"
        case dict():
            return ", not keys and values"
        case bool():
            return ", not true or false"
        case int() | float():
            return ", not a number"
        case _:
            return ""


def _model_at(location: Where, root: type[BaseModel]) -> type[BaseModel] | None:
    """The model that describes the mapping at this place."""
    kind: Any = root
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = kind.model_fields
            kind = next((field.annotation for name, field in fields.items() if part in (name, field.alias)), None)
        else:
            kind = _inner(kind)
        kind = _bare(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _bare(kind: Any) -> Any:
    """The type without what is annotated to it and without `| None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
            continue
        others = [argument for argument in get_args(kind) if argument is not type(None)]
        if type(None) in get_args(kind) and len(others) == 1:
            kind = others[0]
            continue
        return kind


def _inner(kind: Any) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is tuple:
        return arguments[0]
    return arguments[1] if get_origin(kind) is Mapping and len(arguments) == 2 else None


def _spelled(text: str) -> str:
    return repr(str(text))[1:-1]


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
