"""The OpenAI-compatible interface of the contract, so that any client of that kind can be a person's client."""
