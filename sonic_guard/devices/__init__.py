"""Devices: the card catalogue, memory budgets, memory snapshots, and the recognition of out-of-memory errors."""
