"""The signed webhook: the channel for anything that can speak HTTP."""
