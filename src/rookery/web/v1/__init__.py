"""The OpenAI-compatible interface of the contract."""
