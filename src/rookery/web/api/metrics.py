"""What Prometheus asks for. Its client is imported when it first does."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import Response

from rookery.channels.contract import HttpReply
from rookery.errors import NotFound, Refused
from rookery.gateway.metrics import Histogram, Metrics
from rookery.gateway.operations import state
from rookery.gateway.shapes import Nothing, Status
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
    status = await state.status(front.desk, Nothing())
    sockets: int = request.state.live.sockets
    # In a thread, because the first time it imports the client.
    text = await asyncio.to_thread(render, front.gateway.metrics, status, sockets)
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


def render(metrics: Metrics, status: Status, sockets: int) -> bytes:
    """All counts as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterator[Metric]:
            yield from _families(metrics, status, sockets)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())  # pyright: ignore[reportArgumentType]
    return generate_latest(registry)


def _families(metrics: Metrics, status: Status, sockets: int) -> Iterator[Metric]:
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
    gauges = (
        ("rookery_turns_waiting", "Turns that wait.", status.waiting),
        ("rookery_turns_running", "Turns that are being answered.", status.answering),
        ("rookery_outbox_waiting", "Deliveries that are not sent yet.", status.outbox),
        ("rookery_dead_letters", "Deliveries that never will be sent.", status.dead_letters),
        ("rookery_sockets", "Open WebSockets.", sockets),
    )
    for name, words, value in gauges:
        yield GaugeMetricFamily(name, words, value=value)
    timed: tuple[tuple[str, str, Histogram], ...] = (
        ("rookery_turn_wait_seconds", "From acceptance to a turn's beginning.", metrics.waited),
        ("rookery_turn_run_seconds", "From a turn's beginning to its end.", metrics.ran),
    )
    for name, words, histogram in timed:
        yield HistogramMetricFamily(name, words, buckets=histogram.cumulated(), sum_value=histogram.sum)
