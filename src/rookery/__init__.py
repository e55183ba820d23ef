"""Rookery: several people share one AI-assistant installation without sharing a brain."""

__version__ = "0.1.0"
