"""Many jobs on many cards: which card makes what, a park simulated, and where its files are."""
