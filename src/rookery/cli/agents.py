"""`rookery agent` and `rookery key`: who answers, and with which shared keys."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, say, table

agent = typer.Typer(no_args_is_help=True, callback=no_command, help="The agents that answer.")
key = typer.Typer(no_args_is_help=True, callback=no_command, help="The shared keys agents may use.")

_Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
_SharedKey = Annotated[
    str, typer.Argument(metavar="SHARED-KEY", help="Its name under models.sharedKeys in rookery.yaml.")
]


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
                f"{one.owner}'s own" if one.owner else f"shared, {one.sponsor} pays",
                one.model or "(default)",
                ", ".join(one.keys),
            )
            for one in agents
        ],
        none="No agents yet: they come with the people. rookery user add ID",
    )


@agent.command("add")
def add_agent(
    id: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, '-' and '_'.")],
    sponsor: Annotated[str, typer.Option(metavar="U", help="The user who answers for it and pays.")],
    name: Annotated[str | None, typer.Option(help="The name people see; the id when left out.")] = None,
    persona: Annotated[str, typer.Option(help="Who it is, in instructions to the model.")] = "",
    model: Annotated[str | None, typer.Option(metavar="PROVIDER/MODEL", help="Its model.")] = None,
    home: HomeOption = None,
) -> None:
    """Add a shared agent, which several people can talk to; people's own come with them."""
    from rookery.gateway.shapes import Agent, AgentAdd

    ask = AgentAdd(id=id, sponsor=sponsor, name=name, persona=persona, model=model)
    with reach(home_at(home)) as wire:
        added = wire.call("agent.add", ask, Agent)
    say(f"Added {added.id}. Talk to it: rookery chat --user {sponsor} --agent {added.id}")


@agent.command("set")
def set_agent(
    agent_id: _Agent,
    settings: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="model=PROVIDER/MODEL; model= for the default.")
    ],
    home: HomeOption = None,
) -> None:
    """Change an agent's settings."""
    from rookery.gateway.shapes import Agent, AgentSet

    model: str | None = None
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise typer.BadParameter(f"{setting!r} is no setting; write model=PROVIDER/MODEL.")
        if name != "model":
            raise typer.BadParameter(f"there is no setting {name!r}; there is model.")
        model = value.strip() or None
    with reach(home_at(home)) as wire:
        changed = wire.call("agent.set", AgentSet(agent_id=agent_id, model=model), Agent)
    say(f"{changed.id} uses {changed.model or 'the default model'} from its next turn on.")


@key.command("grant")
def grant(agent_id: _Agent, shared_key: _SharedKey, home: HomeOption = None) -> None:
    """Let an agent use a shared key."""
    _change("key.grant", agent_id, shared_key, home)


@key.command("ungrant")
def ungrant(agent_id: _Agent, shared_key: _SharedKey, home: HomeOption = None) -> None:
    """Take a shared key back from an agent."""
    _change("key.ungrant", agent_id, shared_key, home)


@key.command("list")
def list_keys(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the shared keys, by name, and who may use them; never the keys themselves."""
    from rookery.gateway.shapes import SharedKey

    with reach(home_at(home)) as wire:
        keys = wire.call("key.list", None, list[SharedKey])
    if json:
        as_json(keys)
        return
    table(
        ("SHARED KEY", "PROVIDER", "AGENTS"),
        [
            (one.name, one.provider or "(gone from rookery.yaml)", ", ".join(one.agents) or "(nobody)")
            for one in keys
        ],
        none="There is no shared key; rookery.yaml names them under models.sharedKeys.",
    )


def _change(method: str, agent_id: str, shared_key: str, home: HomeOption) -> None:
    from rookery.gateway.shapes import Done, KeyGrant

    with reach(home_at(home)) as wire:
        say(wire.call(method, KeyGrant(agent_id=agent_id, shared_key=shared_key), Done).detail)
