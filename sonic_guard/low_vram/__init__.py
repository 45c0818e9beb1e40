"""Runs Sonic's own objects in less memory: the memory optimizations of `sonic_guard.optimizations`.

The entry point is `network_check.low_vram_model`: it takes the wrapper's model and returns one with the same `process`.
Importing the package alone does not import torch; its modules do.
"""
