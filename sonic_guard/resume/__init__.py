"""Finished pieces of long work on disk, from which a run that was stopped is resumed; and locks between processes."""
