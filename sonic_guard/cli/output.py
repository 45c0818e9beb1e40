"""What the commands write: JSON and progress to the terminal, texts to files."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..atomic_files import fault, same_file, write_file
from ..errors import OutputError
from ..messages import cli_texts as texts
from ..messages.catalogue import fill
from ..plain_files import shown

EXIT_INTERRUPTED = 130
"""After Ctrl+C, as shells have it."""


def progress(text: str) -> None:
    """A line on the error stream, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_json(data: Any) -> None:
    """`data` as JSON on the output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def stoppable(text: str) -> Iterator[None]:
    """Ctrl+C inside the block ends the program with the line `text`."""
    try:
        yield
    except KeyboardInterrupt:
        progress(text)
        raise SystemExit(EXIT_INTERRUPTED) from None


def check_targets(targets: Iterable[Path | None], sources: Iterable[Path]) -> None:
    """Raises `OutputError` for a file to be written that is one of the sources, or is named twice."""
    taken = list(sources)
    for target in filter(None, targets):
        if any(same_file(target, each) for each in taken):
            raise fault(target, "this is a source, or another output. Choose another name.")
        taken.append(target)


def write_text(path: Path, text: str, lang: str = "en") -> None:
    """Write `text` to a file. Raises `OutputError`."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:  # a file's name may be any bytes, and stand in a workflow
        raise OutputError(fill(texts.NO_TEXT_NAME, lang, path=shown(path))) from error
    write_file(path, [content])
