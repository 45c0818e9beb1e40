"""The command line: plan, estimate, trace, measure, history."""

from .commands import main

__all__ = ["main"]
