"""Observes a run in progress: the machine's memory, the current stage, and what each stage takes."""
