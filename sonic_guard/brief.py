"""Values from outside as an error repeats them."""

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
