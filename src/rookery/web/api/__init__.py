"""The REST interface of the contract."""
