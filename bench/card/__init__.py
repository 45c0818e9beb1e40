"""Everything that wants a card, in one command: ``python -m bench.card SONIC``. See `bench.card.__main__`."""
