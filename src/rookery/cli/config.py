"""`rookery config`: what `rookery.yaml` may say, whether it is right, and what is in force."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, cast

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.show import as_json, note, say

config = typer.Typer(no_args_is_help=True, callback=no_command, help="The configuration, rookery.yaml.")


@config.command("check")
def check(home: HomeOption = None) -> None:
    """Check rookery.yaml; every problem is named with its line. Changes nothing."""
    from rookery.config import keyless, load, unavailable
    from rookery.gateway.settings import check_extras, settings_from

    where = home_at(home)
    found = load(where.config, os.environ)
    settings_from(found)  # bindings and links that each are right, and cannot stand together
    check_extras(found)
    told = [*unavailable(found), *keyless(found)]
    if found.users_file is not None:
        from rookery.gateway.people_reading import read_people
        from rookery.gateway.users_file import path_of

        told += read_people(path_of(where, found.users_file), os.environ).file.warnings
    for line in told:
        note(f"Note: {line}")
    if where.config.exists():
        say(f"{where.config} is right.")
    else:
        say(f"There is no {where.config}; everything has its default, which is right.")


@config.command("schema")
def schema(
    people: Annotated[bool, typer.Option("--people", help="The schema of the people file instead.")] = False,
) -> None:
    """Print the JSON schema of rookery.yaml, for editors."""
    if people:
        from rookery.config.people_schema import people_schema

        as_json(people_schema())
        return
    from rookery.config import schema as whole

    as_json(whole())


@config.command("show")
def show(home: HomeOption = None, json: JsonOption = False) -> None:
    """Print every setting with the value that holds; secrets stay hidden."""
    from rookery.config import load
    from rookery.config import show as shown

    values = shown(load(home_at(home).config, os.environ))
    if json:
        as_json(values)
        return
    from ruamel.yaml import YAML

    yaml = cast("Any", YAML())  # its own types are unknown
    yaml.default_flow_style = False
    yaml.representer.add_representer(type(None), _null)
    yaml.dump(values, sys.stdout)


@config.command("reload")
def reload(home: HomeOption = None) -> None:
    """Let the running gateway take up rookery.yaml now; it also looks by itself every few seconds."""
    from rookery.cli.wire import connect
    from rookery.errors import NotFound
    from rookery.gateway.shapes import Done

    where = home_at(home)
    wire = connect(where)
    if wire is None:
        raise NotFound(f"No gateway runs on {where.path}; `rookery up` reads {where.config.name} when it starts.")
    with wire:
        say(wire.call("config.reload", None, Done).detail)


def _null(representer: Any, _: None) -> Any:
    """`null` spelled out; ruamel would leave the place empty."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
