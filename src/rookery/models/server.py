"""What the operator may say of a provider's server, beyond where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rookery.config.words import ReplayThinking
from rookery.messages import MessageEntry, Role, ThinkingPart


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How requests to one server differ from others.

    `max_output_tokens` is the most a reply may have; None leaves it to the format's own default.
    `replay_thinking` says which thoughts are sent back to the provider that thought them. `extra_body` are further
    fields of each request, values of JSON; none of them is a field that the client writes itself.
    """

    max_output_tokens: int | None = None
    replay_thinking: ReplayThinking = ReplayThinking.NEVER
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def extra(self) -> bytes:
        """The further fields as they stand in a body, each with a comma before it."""
        return b"".join(
            b",%b:%b" % (msgspec.json.encode(name), msgspec.json.encode(value))
            for name, value in self.extra_body.items()
        )

    def replays(self, entry: MessageEntry, provider: str, *, in_turn: bool) -> bool:
        """Whether the thoughts of this entry go back to `provider`; `in_turn`: it is of the turn under way."""
        return (
            entry.role is Role.ASSISTANT
            and entry.provider == provider
            and (
                self.replay_thinking is ReplayThinking.ALWAYS
                or (in_turn and self.replay_thinking is ReplayThinking.TURN)
            )
            and any(isinstance(part, ThinkingPart) for part in entry.content)
        )


PLAIN = ServerOptions()
"""A server of which nothing was said."""
