"""Values from outside: as an error repeats them, and what JSON does not know."""

MOST = 100
"""Characters."""


def brief(value: object) -> str:
    """`value` in at most `MOST` characters, whatever it is.

    A text may have megabytes, and some values have no text at all: Python writes no whole number of more than 4,300
    digits.
    """
    try:
        return f"{value!r:.{MOST}}"
    except Exception:
        return f"a value ({type(value).__name__}) that cannot be shown"


def no_constant(name: str) -> None:
    """For `json.loads` as ``parse_constant``: refuses NaN and the infinities, which Python reads and JSON has not."""
    raise ValueError(f"{name} is not a number in JSON")
