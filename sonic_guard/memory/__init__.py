"""How much memory a run needs, stage by stage, and how much there is."""
