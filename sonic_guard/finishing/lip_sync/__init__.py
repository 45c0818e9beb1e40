"""The offset between sound and mouth, and its correction by the time base of the sound."""
