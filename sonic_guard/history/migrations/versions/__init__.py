"""The revisions of the history's tables, one module each."""
