"""One module a revision, each upon the one before."""
