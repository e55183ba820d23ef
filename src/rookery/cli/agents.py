"""`rookery agent`: who answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.settings import read_settings
from rookery.cli.show import as_json, local, note, printable, say, table
from rookery.errors import InvalidInput

agent = typer.Typer(no_args_is_help=True, callback=no_command, help="The agents that answer.")

_Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]


@agent.command("list")
def list_agents(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the agents: people's own, and the shared ones."""
    from rookery.gateway.shapes import Agent

    with reach(home_at(home)) as wire:
        agents = wire.call("agent.list", None, list[Agent])
    if json:
        as_json(agents)
        return
    table(
        ("ID", "NAME", "WHOSE", "MODEL", "KEYS"),
        [
            (
                one.id if one.enabled else f"{one.id} (off)",
                one.name,
                f"{one.owner}'s {'own' if one.id == one.owner else 'friend'}"
                if one.owner
                else f"shared, {one.sponsor} pays",
                one.model or "(default)",
                ", ".join(one.keys),
            )
            for one in agents
        ],
        none="No agents yet: they come with the people. rookery user add ID",
    )


@agent.command("show")
def show_agent(agent_id: _Agent, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show one agent: whose it is, what it is like, and what it may use."""
    from rookery.gateway.shapes import Agent, AgentNamed

    with reach(home_at(home)) as wire:
        one = wire.call("agent.show", AgentNamed(agent_id=agent_id), Agent)
    if json:
        as_json(one)
        return
    say(f"{one.id}: {printable(one.name)}{'' if one.enabled else ', switched off'}")
    if one.owner is None:
        say(f"Shared; {one.sponsor} answers and pays for it")
    else:
        what = f", {printable(one.relation)}" if one.relation else ""
        say(f"{one.owner}'s own{what}")
    described = "rookery.yaml" if one.configured else "the people file" if one.described else ""
    say(f"Since {local(one.created_at)}{f', described in {described}' if described else ''}")
    say(f"Model: {one.model or '(default)'}")
    say(f"Shared keys: {', '.join(one.keys) or 'none'}")
    if one.skills is not None:
        say(f"Skills: {', '.join(map(printable, one.skills)) or 'none'}")
    for word, value in (one.who or {}).items():
        say(f"{word}: {printable(_words(value), lines=True)}")
    if one.persona:
        say(f"Persona:\n{printable(one.persona, lines=True)}")


@agent.command("add")
def add_agent(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="PERSON--FRIEND for a friend of somebody's; any free id for a shared one."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="The name people see; from the id when left out.")] = None,
    relation: Annotated[str | None, typer.Option(metavar="WORDS", help="What a friend is to its person.")] = None,
    sponsor: Annotated[
        str | None, typer.Option(metavar="U", help="For a shared agent: the user who answers for it and pays.")
    ] = None,
    persona: Annotated[str, typer.Option(help="What it is like, in instructions to the model.")] = "",
    model: Annotated[str | None, typer.Option(metavar="PROVIDER/MODEL", help="Its model.")] = None,
    home: HomeOption = None,
) -> None:
    """Add a friend of somebody's, with a brain of its own; or a shared agent, which several people can talk to."""
    from rookery.gateway.shapes import Agent, AgentAdd

    ask = AgentAdd(id=id, sponsor=sponsor, name=name, relation=relation, persona=persona, model=model)
    with reach(home_at(home)) as wire:
        added = wire.call("agent.add", ask, Agent)
    say(f"Added {added.id}. Talk to it: rookery chat --user {added.owner or sponsor} --agent {added.id}")


@agent.command("set")
def set_agent(
    agent_id: _Agent,
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE",
            help="name, persona, model, enabled; of somebody's own also relation, skills and who.WORD, which is "
            "gender, roles, personalities, language, responseLength or description. With nothing after = it is "
            "taken out; lists are written a,b.",
        ),
    ],
    home: HomeOption = None,
) -> None:
    """Change what is said of an agent, from its next turn on."""
    from rookery.gateway.shapes import Agent, AgentChange

    ask = msgspec.convert({"agentId": agent_id, **_changes(settings)}, AgentChange)
    with reach(home_at(home)) as wire:
        changed = wire.call("agent.set", ask, Agent)
    if all(setting.startswith("model=") for setting in settings):
        say(f"{changed.id} uses {changed.model or 'the default model'} from its next turn on.")
    else:
        say(f"{changed.id} is changed, from its next turn on: rookery agent show {changed.id}")


@agent.command("remove")
def remove_agent(
    agent_id: _Agent,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Erase a friend for good, with all that was said to it, or take away a shared agent nobody has talked to."""
    from rookery.gateway.shapes import Agent, AgentNamed, Done

    ask = AgentNamed(agent_id=agent_id)
    with reach(home_at(home)) as wire:
        one = wire.call("agent.show", ask, Agent)
        if not yes and not _sure(one.name, one.id):
            say("Nothing was removed.")
            raise typer.Exit(1)
        say(wire.call("agent.remove", ask, Done).detail)


def _sure(name: str, id: str) -> bool:
    """Ask; where nobody can be asked, say how to do without. Raises `InvalidInput`."""
    if not sys.stdin.isatty():
        raise InvalidInput("This asks first, and nobody can be asked here; with --yes it does not ask.")
    note(f"{printable(name)} ({id}) and everything that was said to it is erased for good.")
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


_SETTABLE = ("name", "persona", "model", "enabled", "relation", "skills", "who.")


def _changes(settings: Sequence[str]) -> dict[str, object]:
    """What the settings say, as the gateway takes it. Raises `InvalidInput`."""
    changes: dict[str, object] = {}
    who: dict[str, object] = {}
    for key, value in read_settings(settings, _SETTABLE):
        if key.startswith("who."):
            word = key.removeprefix("who.")
            who[word] = (_list(value) if word in _LISTS else value) if value else None
        elif key == "enabled":
            if value not in ("true", "false"):
                raise InvalidInput(f"'enabled={value}' is not understood; it can be true or false.")
            changes[key] = value == "true"
        elif key == "skills":
            changes[key] = _list(value) if value else None
        elif key in ("relation", "model"):
            changes[key] = value or None
        else:
            changes[key] = value
    return {**changes, "who": who} if who else changes


def _words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


_LISTS = ("roles", "personalities")


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
