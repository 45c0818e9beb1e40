"""Presets: named settings that a run is requested with. The planner makes them fit the card.

Pure: this is what a preset may contain; `operations.preset_files` reads the files.
"""

import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..job import MAX_DURATION_S, Dtype

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RESERVED = frozenset(
    {"schema", "con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""The schema, which is in the same folder, and the names that Windows takes for devices whatever their suffix."""

_Auto = Literal["auto"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Text(_Model):
    """A text for people, in the languages of the interface."""

    en: str = Field(max_length=500, description="English.")
    zh: str = Field("", max_length=500, description="Chinese; English is shown where it is missing.")


class Preset(_Model):
    """The settings a preset asks for. What it leaves out has the default of the Sonic nodes."""

    schema_: str = Field(
        "./schema.json", alias="$schema", max_length=500, exclude=True, description="Where editors find this schema."
    )
    name: str = Field(pattern=f"^{_NAME.pattern}$", description="The file's name without .json.")
    title: Text | None = Field(None, description="Shown in the menu: an object with en and zh.")
    description: Text | None = Field(None, description="What the preset is good for: an object with en and zh.")
    min_resolution: int = Field(
        512, ge=128, le=2048, multiple_of=64, description="Shorter side in pixels: 128 to 2048 in steps of 64."
    )
    inference_steps: int = Field(25, ge=1, le=1024, description="Denoising steps: 1 to 1024; 20 to 30 is useful.")
    duration: _Auto | Annotated[float, Field(ge=1, le=MAX_DURATION_S)] = Field(
        "auto", description='Seconds of sound: 1 to 360000, or "auto" for all of it.'
    )
    dynamic_scale: float = Field(1.0, ge=0.5, le=2.0, description="Strength of motion: 0.5 to 2.0.")
    expand_ratio: _Auto | Annotated[float, Field(ge=0.1, le=1.0)] = Field(
        "auto", description='Margin around the face, in parts of its box: 0.1 to 1.0, or "auto".'
    )
    fps: float = Field(
        25.0, ge=5, le=120, description="Window length: 5 to 120; only 25 keeps sound and picture in step."
    )
    dtype: Annotated[Dtype, Field(strict=False)] = Field(Dtype.FP16, description="Number format: fp16, bf16 or fp32.")
    use_interframe: bool = Field(True, description="Frame interpolation, which doubles the frame rate: true or false.")


def is_preset_name(name: object) -> bool:
    """Whether a preset can have that name: up to 64 of a-z, 0-9, _ and -, and none that is reserved."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _RESERVED


def schema_text() -> str:
    """What ``presets/schema.json`` has to contain. To renew the file, write this text to it."""
    return json.dumps(Preset.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
