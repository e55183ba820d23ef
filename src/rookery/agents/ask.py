"""One question: the endpoints that may answer it are asked in order, until one begins to speak.

Once something was heard, no other endpoint is asked: what a person has read is not taken back. No endpoint is
asked twice, and one that cools is passed over as long as there is another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rookery.agents.calling import Answer, Calling, Capacity, Question
from rookery.agents.endpoint import Endpoint
from rookery.agents.failover import Failure, most_helpful, worth_another
from rookery.errors import ModelError, ModelErrorKind
from rookery.models import ModelEvent
from rookery.models.cooldown import Cooldowns, Cooling, Scope
from rookery.usage import Meter

SHORT_WAIT = 60.0
"""Up to so many seconds a provider's own hint is passed on, instead of asking it too early."""

Report = Callable[[Endpoint, ModelError, bool], None]
"""Tells the operator why an endpoint did not answer; the error's words hold no key and no prompt.

The last says whether it was asked; otherwise it was passed over, because it cools or cannot be asked at all.
"""

Renew = Callable[[], Awaitable[Sequence[Endpoint]]]
"""Looks again who may answer, at least one endpoint: what was revoked or changed meanwhile holds."""


Answered = Callable[[Endpoint], None]
"""Is told which endpoint answered. Never waits, never raises."""


class Asking:
    """Asks one question after another for one run.

    The first question goes to `endpoints`; for each further one they are looked up anew, where `renew` is given.
    """

    def __init__(
        self,
        capacity: Capacity,
        meter: Meter,
        ready: Callable[[], Awaitable[None]],
        emit: Callable[[ModelEvent], None],
        report: Report,
        now: Callable[[], datetime],
        endpoints: Sequence[Endpoint],
        renew: Renew | None = None,
        cooldowns: Cooldowns | None = None,
        answered: Answered | None = None,
    ) -> None:
        """`ready` is awaited before anything that was heard is passed on. `report` is told of every failure, and
        `answered` of every endpoint that answered."""
        self._cooldowns = Cooldowns() if cooldowns is None else cooldowns
        self._calling = Calling(capacity, meter, ready, emit, now, self._cooldowns)
        self._report = report
        self._now = now
        self._endpoints = endpoints
        self._renew = renew
        self._answered = answered
        self._asked_before = False
        self.last = endpoints[0]
        """Who answered last, or whose failure the person is told."""

    @property
    def heard(self) -> list[str]:
        """The words of the answer that is being heard."""
        return self._calling.heard

    async def ask(self, question: Question) -> Answer:
        """Ask, and return the whole answer.

        Raises the `ModelError` that helps the person most; where something is in `heard`, that of the answer that
        broke off. Raises `StorageUnavailable` when a call could not be written down.
        """
        self._calling.begin(question)
        if self._asked_before and self._renew is not None:
            self._endpoints = await self._renew()
        self._asked_before = True
        round_ = _Round(question, tuple(self._endpoints))
        for number, endpoint in enumerate(round_.endpoints):
            if (answer := await self._try(round_, number, endpoint)) is not None:
                return answer
            if self._calling.left <= 0:
                break
        else:
            number = round_.worth_a_probe(self._now())
            if number is not None:
                answer = await self._try(round_, number, round_.endpoints[number], probe=True)
                if answer is not None:
                    return answer
        self.last, error = most_helpful([round_.failures[number] for number in sorted(round_.failures)])
        raise error

    async def _try(self, round_: _Round, number: int, endpoint: Endpoint, *, probe: bool = False) -> Answer | None:
        """Ask one of them; None when it gave no answer and another one may. Raises what ends the question."""

        async def look_again(known: Endpoint) -> Endpoint:
            return self._checked(await self._as_it_is_now(known), probe=probe)

        others = any(self._usable(other) for other in round_.endpoints[number + 1 :])
        try:
            endpoint = self._checked(endpoint, probe=probe)
            self.last = endpoint
            answer = await self._calling.call(round_.question, endpoint, look_again, others=others)
        except _PassedOver as over:
            self._report(endpoint, over.error, False)
            round_.failures[number] = endpoint, over.error
            if over.cooling is not None and not round_.in_vain(endpoint, over.cooling):
                round_.resting[number] = over.cooling
        except ModelError as error:
            self._report(endpoint, error, True)
            if self._calling.begun or not worth_another(error):
                raise
            round_.failures[number] = endpoint, error
            if (cooling := self._cooldowns.cooling(endpoint, self._now())) is not None:
                round_.found_out.append(cooling)
        else:
            if self._answered is not None:
                self._answered(answer.endpoint)
            return answer
        return None

    def _checked(self, endpoint: Endpoint, *, probe: bool) -> Endpoint:
        """The endpoint, when it may be asked now. Raises `_PassedOver`."""
        if endpoint.problem is not None:
            raise _PassedOver(endpoint.problem)
        now = self._now()
        cooling = None if probe else self._cooldowns.cooling(endpoint, now)
        if cooling is not None:
            raise _PassedOver(cooling.error(now), cooling)
        return endpoint

    def _usable(self, endpoint: Endpoint) -> bool:
        return endpoint.problem is None and self._cooldowns.cooling(endpoint, self._now()) is None

    async def _as_it_is_now(self, endpoint: Endpoint) -> Endpoint:
        if self._renew is None:
            return endpoint
        for known in await self._renew():
            if (known.name, known.key_name) == (endpoint.name, endpoint.key_name):
                return known
        gone = f"{endpoint.name} was taken away while its call waited."
        raise _PassedOver(ModelError(ModelErrorKind.NO_KEY, gone))


@dataclass(slots=True)
class _Round:
    """One question on its way through the endpoints; what is known of each, by its number.

    `found_out` is what this question itself found to fail: another key does not make it worth a second try.
    """

    question: Question
    endpoints: Sequence[Endpoint]
    failures: dict[int, Failure] = field(default_factory=dict[int, Failure])
    resting: dict[int, Cooling] = field(default_factory=dict[int, Cooling])
    found_out: list[Cooling] = field(default_factory=list[Cooling])

    def in_vain(self, endpoint: Endpoint, cooling: Cooling) -> bool:
        """Whether this question found out already that this endpoint does not answer now, by another one."""
        return any(
            found == cooling or (found.scope is Scope.PROVIDER and found.provider == endpoint.provider)
            for found in self.found_out
        )

    def worth_a_probe(self, now: datetime) -> int | None:
        """Which endpoint to ask although it cools, when no other is left; None where it is better to wait."""
        if not self.resting:
            return None
        number = min(self.resting, key=lambda number: self.resting[number].until)
        soonest = self.resting[number]
        told = soonest.hinted and soonest.kind is ModelErrorKind.RATE_LIMITED and soonest.left(now) <= SHORT_WAIT
        return None if told else number


class _PassedOver(Exception):
    """An endpoint is not asked, and why; `cooling` when it is for now."""

    def __init__(self, error: ModelError, cooling: Cooling | None = None) -> None:
        super().__init__(error.detail)
        self.error = error
        self.cooling = cooling
