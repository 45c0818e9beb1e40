"""What keeps the repository in order and is not part of the pack: the table of layers, its picture, `make generate`."""
