"""The one way out of the gateway: every request to somebody else goes through here."""
