"""Upscaling of frames by a network that spandrel loads, tile by tile within a budget of memory."""
