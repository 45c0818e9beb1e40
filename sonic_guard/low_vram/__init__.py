"""The same arithmetic in less memory, put around Sonic's own objects.

The entry point is `network_check.low_vram_model`: it takes the wrapper's model and returns one with the same `process`.
Importing this package alone imports no torch.
"""
