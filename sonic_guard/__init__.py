"""Sonic Guard: from a portrait and a voice to Sonic settings that fit the card.

The library knows nothing of ComfyUI, and importing it loads neither torch nor OpenCV.
"""

__version__ = "0.1.0"
