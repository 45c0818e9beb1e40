"""Errors about smoothing a video; see `error_messages`."""

from ..optimizations import Text

ERRORS = (Text("expected a number from 0 to 1, got {value}.", "应为 0 到 1 之间的数字，得到 {value}。"),)
