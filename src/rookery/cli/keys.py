"""`rookery key`: the keys that open models, agents' own and shared ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.secret import read_secret
from rookery.cli.show import as_json, local, say, table

if TYPE_CHECKING:
    from rookery.gateway.shapes import KeyCooling

key = typer.Typer(no_args_is_help=True, callback=no_command, help="The keys that open models; never shown.")

_Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
_Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose key it is, such as openai.")]
_SharedKey = Annotated[str, typer.Argument(metavar="SHARED-KEY", help="The name of the shared key.")]


@key.command("set")
def set_key(
    agent_id: _Agent,
    provider: _Provider,
    profile: Annotated[
        str, typer.Option(metavar="P", help="What it is called, where an agent has several of one provider.")
    ] = "default",
    first: Annotated[bool, typer.Option("--first", help="Use it before the agent's others.")] = False,
    home: HomeOption = None,
) -> None:
    """Give an agent a key of its own, from a prompt or standard input; one of that name is replaced.

    Where there are several, the first is used until it fails, then the next.
    """
    from rookery.gateway.shapes import AgentKey, KeySet

    secret = read_secret(f"Key of {provider} for {agent_id}")
    ask = KeySet(agent_id=agent_id, provider=provider, key=secret, profile=profile, first=first)
    with reach(home_at(home)) as wire:
        made = wire.call("key.set", ask, AgentKey)
    say(f"{agent_id} has the key {provider}/{profile}{_ends(made.last_four)} from its next call on.")


@key.command("list")
def list_keys(
    agent_id: Annotated[
        str | None, typer.Argument(metavar="[AGENT]", help="Only what this agent may use.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List agents' own keys and the shared ones, and which are left alone for a while; never a key itself."""
    from rookery.gateway.shapes import KeyList, Keys

    with reach(home_at(home)) as wire:
        keys = wire.call("key.list", KeyList(agent_id=agent_id), Keys)
    if json:
        as_json(keys)
        return
    if keys.agents:
        table(
            ("AGENT", "PROVIDER", "PROFILE", "ENDS IN", "ADDED", "STATE"),
            [
                (
                    one.agent_id,
                    one.provider or "",
                    one.profile or "",
                    one.last_four or "",
                    local(one.added_at),
                    _state(one.cooling),
                )
                for one in keys.agents
            ],
            none="",
        )
    if keys.shared:
        table(
            ("SHARED KEY", "PROVIDER", "ENDS IN", "AGENTS", "STATE"),
            [
                (
                    one.name if one.source != "config" else f"{one.name} (rookery.yaml)",
                    one.provider or "(gone)",
                    one.last_four or "",
                    ", ".join(one.agents) or "(nobody)",
                    _state(one.cooling),
                )
                for one in keys.shared
            ],
            none="",
        )
    if not keys.agents and not keys.shared:
        none = "There is no key yet: rookery key set AGENT PROVIDER, or rookery key share NAME PROVIDER"
        table((), [], none=none)


@key.command("revoke")
def revoke(
    agent_id: _Agent,
    provider: _Provider,
    profile: Annotated[
        str | None, typer.Option(metavar="P", help="Only this one; else all it has of the provider.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Take a key of its own from an agent, from its next call on."""
    from rookery.gateway.shapes import Done, KeyNamed

    ask = KeyNamed(agent_id=agent_id, provider=provider, profile=profile)
    with reach(home_at(home)) as wire:
        say(wire.call("key.revoke", ask, Done).detail)


@key.command("share")
def share(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    provider: _Provider,
    home: HomeOption = None,
) -> None:
    """Keep a key, from a prompt or standard input, that can be granted to several agents."""
    from rookery.gateway.shapes import KeyShare, SharedKey

    secret = read_secret(f"Key of {provider} to share as {name}")
    with reach(home_at(home)) as wire:
        made = wire.call("key.share", KeyShare(name=name, provider=provider, key=secret), SharedKey)
    say(f"The shared key {made.name}{_ends(made.last_four)} can be granted: rookery key grant AGENT {made.name}")


@key.command("unshare")
def unshare(name: _SharedKey, home: HomeOption = None) -> None:
    """Take a shared key out of the store, and from every agent it was granted to."""
    from rookery.gateway.shapes import Done, SharedKeyNamed

    with reach(home_at(home)) as wire:
        say(wire.call("key.unshare", SharedKeyNamed(name=name), Done).detail)


@key.command("rotate-master")
def rotate_master(home: HomeOption = None) -> None:
    """Seal every key with a new master key, and forget the old one; interrupted, calling it again ends it."""
    from rookery.gateway.shapes import Done

    with reach(home_at(home)) as wire:
        say(wire.call("key.rotateMaster", None, Done).detail)


@key.command("grant")
def grant(agent_id: _Agent, shared_key: _SharedKey, home: HomeOption = None) -> None:
    """Let an agent use a shared key."""
    _change("key.grant", agent_id, shared_key, home)


@key.command("ungrant")
def ungrant(agent_id: _Agent, shared_key: _SharedKey, home: HomeOption = None) -> None:
    """Take a shared key back from an agent."""
    _change("key.ungrant", agent_id, shared_key, home)


def _change(method: str, agent_id: str, shared_key: str, home: HomeOption) -> None:
    from rookery.gateway.shapes import Done, KeyGrant

    with reach(home_at(home)) as wire:
        say(wire.call(method, KeyGrant(agent_id=agent_id, shared_key=shared_key), Done).detail)


def _ends(last_four: str | None) -> str:
    return f" (…{last_four})" if last_four else ""


def _state(cooling: KeyCooling | None) -> str:
    if cooling is None:
        return "ready"
    return f"{cooling.reason.replace('_', ' ')}, until {local(cooling.until)}"
