"""How the gateway stands, and taking up a changed configuration."""

from __future__ import annotations

from sqlalchemy import Connection

import rookery
from rookery import users
from rookery.errors import Conflict
from rookery.gateway import deliveries, turn_facts
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import Done, Nothing, Status
from rookery.models.cooldown import Scope
from rookery.policy import HOUSE, Action


async def status(desk: Desk, _: Nothing) -> Status:
    """Counts and addresses; nothing of anybody's. Raises `Refused`."""
    desk.ask(Action.READ_HOUSE, HOUSE)
    gateway = desk.house.gateway
    running = desk.address is not None

    def look(connection: Connection) -> tuple[int, int, int, int, int]:
        return (
            len(users.list_users(connection)),
            len(users.list_agents(connection)),
            turn_facts.count_unfinished(connection),
            deliveries.count(connection, deliveries.Status.WAITING),
            deliveries.count(connection, deliveries.Status.DEAD),
        )

    people, agents, unfinished, outbox, dead = await desk.house.database.read(look)
    answering = gateway.lanes.running
    await gateway.key_states.load()
    cooling = gateway.providers.cooldowns.active(desk.now())
    return Status(
        running=running,
        version=rookery.__version__,
        home=str(desk.house.home.path),
        database=desk.house.database.dialect,
        users=people,
        agents=agents,
        waiting=max(0, unfinished - answering),
        answering=answering,
        outbox=outbox,
        dead_letters=dead,
        keys_cooling=sum(one.scope is Scope.KEY and one.name is not None for one in cooling),
        address=desk.address,
        pid=desk.pid if running else None,
        started_at=desk.started_at if running else None,
    )


async def reload(desk: Desk, _: Nothing) -> Done:
    """Take up the changed file. Raises `ConfigError`, and then the old one goes on; and `Refused`."""
    desk.ask(Action.CHANGE_CONFIG, HOUSE)
    if desk.reloader is None:
        raise Conflict("No gateway runs on this home; `rookery up` reads the configuration when it starts.")
    done = Done(await desk.reloader.reload())
    await desk.house.database.write(
        lambda connection: desk.record(connection, "config.reload", desk.house.home.config.name)
    )
    return done
