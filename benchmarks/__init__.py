"""What a turn costs, how fast the gateway starts and how small it is, beside the bare model endpoint."""
