"""The memory model: how much memory a run needs, stage by stage, and which hard limits it meets. Pure arithmetic."""
