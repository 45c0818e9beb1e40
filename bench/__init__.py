"""Benchmarks of speed and memory. They print figures, and are not part of the tests."""
