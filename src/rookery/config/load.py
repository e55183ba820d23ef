"""Reading a configuration file: all of it, or every reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from rookery.config.checks import CHECKS
from rookery.config.problems import as_written, explain, line, sentence
from rookery.config.schema import Config
from rookery.config.source import Problem, Source, Where, read
from rookery.errors import ConfigError


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration at `path`; a file that is missing or empty gives the defaults.

    `${NAME}` and `env:NAME` are read from `environ`, now and only now. Raises `ConfigError` whose detail holds
    one line for each problem of the file, `rookery.yaml:12: key what would be right`, in the file's order; no
    line quotes a secret or what a variable holds.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise _refused(path, [(1, f"the file cannot be read: {error.strerror or type(error).__name__}")]) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = content.count(b"\n", 0, error.start) + 1
        raise _refused(path, [(where, "the file is not UTF-8 from here on")]) from None
    source = read(text, environ)
    config, problems = _validate(source, environ)
    if config is None or problems:
        raise _refused(path, ((line(problem, source), sentence(problem, source)) for problem in problems))
    return config


def _validate(source: Source, environ: Mapping[str, str]) -> tuple[Config | None, list[Problem]]:
    """The configuration, and everything that is wrong: what each value is, then what they are together."""
    problems = list(source.problems)
    broken = {problem.where for problem in problems}
    context = {"environ": environ}
    try:
        config = Config.model_validate(source.data, context=context)
    except ValidationError as error:
        problems += [problem for problem in explain(error, source) if problem.where not in broken]
        config = _rest(source, problems, context)
    if config is not None:
        touched = [as_written(_reach(problem), source) for problem in problems]
        for check in CHECKS:
            reads = [as_written(part, source) for part in check.reads]
            if not any(_overlap(one, other) for one in reads for other in touched):
                found = check.find(config)
                problems += [Problem(as_written(one.where, source), one.text) for one in found]
    return config, problems


def _rest(source: Source, problems: list[Problem], context: dict[str, Any]) -> Config | None:
    """The configuration without the sections that hold problems, so that the others can still be checked."""
    whole: object = source.data
    if not isinstance(whole, dict):
        return None
    data = dict(cast("dict[str, object]", whole))  # `read` makes mappings with text for keys only
    for problem in problems:
        match problem.where:
            case (str() as name, str() as part, *_) if isinstance(section := data.get(name), dict):
                values = cast("dict[str, object]", section)
                data[name] = {key: value for key, value in values.items() if key != part}
            case (str() as name, *_):
                data.pop(name, None)
            case _:
                pass
    try:
        return Config.model_validate(data, context=context)
    except ValidationError:
        return None


def _reach(problem: Problem) -> Where:
    """How far a problem reaches: a key that is not known may be any of its neighbours, misspelled."""
    return problem.where[:-1] if problem.text.startswith("is not a known key") else problem.where


def _overlap(one: Where, other: Where) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _refused(path: Path, lines: Iterable[tuple[int, str]]) -> ConfigError:
    found = [f"{path.name}:{number}: {' '.join(text.split())}" for number, text in sorted(lines)]
    return ConfigError("\n".join(found))
