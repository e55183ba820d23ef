"""The WebSocket of the contract: what happens in a person's sessions, as it happens."""
