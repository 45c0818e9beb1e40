"""Before the run: what part of a ComfyUI graph will need, without running any of it."""
