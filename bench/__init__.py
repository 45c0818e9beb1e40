"""Measurements of speed and memory: figures and ratios from one run, never part of the tests."""
