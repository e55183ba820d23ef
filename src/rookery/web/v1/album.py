"""The pictures of a request: kept where the agent's other attachments are, for a session or for one answer."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self

from rookery.errors import RookeryError
from rookery.gateway.operations import Desk, attachments
from rookery.gateway.shapes import AttachmentAdd
from rookery.ids import AgentId
from rookery.messages import Attachment
from rookery.messages.transcript import ImagePart
from rookery.sessions.attachments import IMAGES
from rookery.web.v1.asked import Asked
from rookery.web.v1.problems import invalid


class Album:
    """Of one request, inside `async with`; those of a nameless one are gone at its end."""

    def __init__(self, desk: Desk, agent_id: AgentId, *, kept: bool) -> None:
        self._desk = desk
        self._agent_id = agent_id
        self._kept = kept
        self._put: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            await self._take_out()

    async def put(self, question: Asked) -> tuple[Asked, tuple[Attachment, ...]]:
        """Keep the pictures; the question with those of earlier messages in their places, and its own.

        Raises `Unanswerable` for what is no picture, and `TooLarge`, `QuotaReached`, `NotFound`.
        """
        earlier = list(question.aside.earlier)
        own: list[Attachment] = []
        for number, picture in enumerate(question.pictures, 1):
            name = f"picture-{number}"
            stored = await attachments.add(
                self._desk,
                AttachmentAdd(
                    name=name, content_type=picture.content_type, agent_id=self._agent_id, data=picture.data
                ),
            )
            self._put.append(stored.attachment_id)
            if stored.content_type not in IMAGES:
                await self._take_out()
                raise invalid("That is no PNG, JPEG, GIF or WebP picture.", picture.where)
            if picture.earlier is None:
                own.append(Attachment(name, stored.content_type, attachment_id=stored.attachment_id))
            else:
                part = ImagePart(stored.attachment_id, stored.content_type, name)
                of = earlier[picture.earlier]
                earlier[picture.earlier] = replace(of, images=(*of.images, part))
        return replace(question, aside=replace(question.aside, earlier=tuple(earlier))), tuple(own)

    async def _take_out(self) -> None:
        if not self._put:
            return
        put, self._put = self._put, []
        try:
            async with self._desk.house.brains.use(self._agent_id) as brain:
                for attachment_id in put:
                    await brain.attachments.remove(attachment_id)
        except RookeryError as error:
            self._desk.house.gateway.log.warning(
                "attachment.not_removed", agent=self._agent_id, attachments=len(put), error=error.detail
            )
