"""While a run is under way: what the machine's memory does, and which stage the run is in."""
