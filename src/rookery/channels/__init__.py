"""Our side of the chat networks: `contract` says what a channel is, `registry` finds one by its name."""
