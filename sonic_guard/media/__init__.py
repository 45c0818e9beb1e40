"""Sounds, pictures and video files: reading, checking, cropping and writing. Needs no ComfyUI and no torch."""
