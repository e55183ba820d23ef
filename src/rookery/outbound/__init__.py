"""The one way out: every request this gateway makes goes through here."""

from rookery.outbound.client import Answer, Outbound

__all__ = ["Answer", "Outbound"]
