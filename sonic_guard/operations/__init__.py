"""What each node does, as one function of a request. A node's run and its preview both call it."""
