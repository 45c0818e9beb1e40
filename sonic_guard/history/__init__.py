"""The measured figures of earlier runs: stored in a database, and used to calibrate predictions."""
