"""What Prometheus asks for. Its client is imported when it first does."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import Response

from rookery.channels.contract import HttpReply
from rookery.errors import NotFound, Refused
from rookery.gateway.metrics import Histogram, Metrics
from rookery.gateway.operations import state
from rookery.gateway.shapes import Nothing, Status
from rookery.models.cooldown import Cooling
from rookery.policy import HOUSE, Action
from rookery.web.api.answers import Turned
from rookery.web.api.asking import front_of
from rookery.web.api.routes import Media, Routes
from rookery.web.asgi import Head

if TYPE_CHECKING:
    from prometheus_client.core import Metric

routes = Routes("Health")

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@routes.route("GET", "/metrics", {200: Media("text/plain")})
async def get_metrics(request: Request) -> Response:
    """Counts for Prometheus, to this machine itself or an admin's token."""
    front = front_of(request)
    head = Head.of(request.scope)
    if not _from_here(request, head):
        caller = await front.entry.caller(request.scope, head)
        if isinstance(caller, HttpReply):
            raise Turned(caller)
        try:
            front.desk.of(caller.actor).ask(Action.READ_HOUSE, HOUSE)
        except (Refused, NotFound):
            raise Refused("Only an admin can do that.") from None
    gateway = front.gateway
    levels = Levels(
        status=await state.status(front.desk, Nothing()),
        sockets=request.state.live.sockets,
        calls_running=gateway.capacity.running,
        calls_waiting=gateway.capacity.waiting,
        cooling=gateway.providers.cooldowns.active(gateway.now()),
    )
    # In a thread, because the first time it imports the client.
    text = await asyncio.to_thread(render, gateway.metrics, levels)
    return Response(text, media_type=_CONTENT_TYPE, headers={"cache-control": "no-store"})


def _from_here(request: Request, head: Head) -> bool:
    """Whether it comes from this machine, and not through a proxy that stands on it."""
    client = request.client
    if client is None or any(name in head.headers for name in _FORWARDED) or "authorization" in head.headers:
        return False
    try:
        return ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Levels:
    """How things stand at this moment, beside what is counted."""

    status: Status
    sockets: int
    calls_running: int
    calls_waiting: int
    cooling: Sequence[Cooling]


def render(metrics: Metrics, levels: Levels) -> bytes:
    """All counts as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterator[Metric]:
            yield from _families(metrics, levels)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())  # pyright: ignore[reportArgumentType]
    return generate_latest(registry)


def _families(metrics: Metrics, levels: Levels) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    counted = (
        ("rookery_messages_accepted", "Messages accepted.", "channel", metrics.accepted),
        ("rookery_turns", "Turns that ended.", "status", metrics.turns),
        ("rookery_model_errors", "Model calls that failed.", "kind", metrics.model_errors),
        ("rookery_logins", "Tries to log in.", "outcome", metrics.logins),
    )
    for name, words, label, counts in counted:
        family = CounterMetricFamily(name, words, labels=[label])
        for value, count in sorted(counts.items()):
            family.add_metric([value], count)
        yield family
    paired = (
        ("rookery_model_calls", "Model calls that ended.", ("provider", "outcome"), metrics.calls),
        ("rookery_model_tokens", "Tokens of model calls.", ("provider", "direction"), metrics.tokens),
    )
    for name, words, both, counts in paired:
        family = CounterMetricFamily(name, words, labels=both)
        for values, count in sorted(counts.items()):
            family.add_metric(values, count)
        yield family
    status = levels.status
    gauges = (
        ("rookery_turns_waiting", "Turns that wait.", status.waiting),
        ("rookery_turns_running", "Turns that are being answered.", status.answering),
        ("rookery_outbox_waiting", "Deliveries that are not sent yet.", status.outbox),
        ("rookery_dead_letters", "Deliveries that never will be sent.", status.dead_letters),
        ("rookery_sockets", "Open WebSockets.", levels.sockets),
        ("rookery_model_calls_running", "Model calls that hold a slot.", levels.calls_running),
        ("rookery_model_calls_waiting", "Model calls that wait for a slot.", levels.calls_waiting),
    )
    for name, words, value in gauges:
        yield GaugeMetricFamily(name, words, value=value)
    cooling = GaugeMetricFamily(
        "rookery_endpoints_cooling", "What is not asked for a while after failing.", labels=["provider", "kind"]
    )
    for labels, count in sorted(Counter((one.provider, one.kind.value) for one in levels.cooling).items()):
        cooling.add_metric(labels, count)
    yield cooling
    timed: tuple[tuple[str, str, Histogram], ...] = (
        ("rookery_turn_wait_seconds", "From acceptance to a turn's beginning.", metrics.waited),
        ("rookery_turn_run_seconds", "From a turn's beginning to its end.", metrics.ran),
        ("rookery_model_wait_seconds", "What model calls waited for a slot.", metrics.queued),
        ("rookery_model_first_token_seconds", "From a call to the first of its answer.", metrics.first_token),
        ("rookery_model_tokens_per_second", "How fast answers came, once they had begun.", metrics.speed),
    )
    for name, words, histogram in timed:
        yield HistogramMetricFamily(name, words, buckets=histogram.cumulated(), sum_value=histogram.sum)
