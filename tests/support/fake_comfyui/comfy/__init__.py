"""ComfyUI has a folder of this name."""
