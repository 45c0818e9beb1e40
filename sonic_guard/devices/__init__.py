"""Cards and machines: the catalogue, budgets, live memory, and errors that say that a GPU ran out of it."""
