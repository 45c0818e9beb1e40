"""Sound and pictures: what they are, how long, and where the face is."""
