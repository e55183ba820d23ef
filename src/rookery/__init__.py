"""Rookery: several people share one AI-assistant installation without sharing a brain."""

from importlib.metadata import version

__version__ = version("rookery")
