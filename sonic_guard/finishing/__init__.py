"""Finishing of a video: smoothing, interpolation, upscaling, lip sync; file to file, in bounded memory."""
