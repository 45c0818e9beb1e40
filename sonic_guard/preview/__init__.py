"""Before the run: what a piece of a ComfyUI graph would need, without running any of it."""
