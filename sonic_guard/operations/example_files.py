"""The portrait, the voice and the video that the templates name, put into ComfyUI's input folder.

ComfyUI serves only the workflow and the picture of a pack's template. Without these files a template would open with
two red nodes.
"""

import os
from pathlib import Path

PORTRAIT, VOICE, CLIP = "sonic_guard_portrait.jpg", "sonic_guard_voice.mp3", "sonic_guard_clip.mp4"
"""Names that no file of a user's has by chance. Where the files come from: ``tools/example_media.py``."""

FILES = (PORTRAIT, VOICE, CLIP)


def example_folder() -> Path:
    """The folder of the files that come with the pack."""
    return Path(__file__).resolve().parents[2] / "example_workflows" / "input"


def place_examples(input_folder: Path, noted: Path) -> list[Path]:
    """Copy the example files into `input_folder`, once: the file `noted` has a line for each folder that got them.

    So whoever deletes them is not given them again. A file that is there is left as it is. Returns the new files.
    Raises `OSError` where a file cannot be written.
    """
    folder = os.path.realpath(input_folder)
    if os.path.lexists(noted) and (not noted.is_file() or folder in _lines(noted)):
        return []
    placed = [target for name in FILES if _copy(example_folder() / name, target := Path(folder, name))]
    noted.parent.mkdir(parents=True, exist_ok=True)
    with noted.open("a", encoding="utf-8", errors="surrogateescape") as file:  # a folder's name may be any bytes
        file.write(f"{folder}\n")
    return placed


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _copy(source: Path, target: Path) -> bool:
    """Whether `target` was made: all of it or nothing, and not where something has its name."""
    content = source.read_bytes()
    try:
        file = target.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(content)
    except OSError:
        target.unlink()
        raise
    return True
