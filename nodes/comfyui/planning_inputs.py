"""The inputs by which a run is planned: the same on Preflight and on Sonic Talking Head."""

from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ...sonic_guard.history.history_cache import WAIT_S
from ...sonic_guard.media.audio import Sound
from ...sonic_guard.operations.preflight import ON_RISK, Overrides, PreflightRequest
from ...sonic_guard.planning.capabilities import GraphCapabilities
from ..web_api import run_history
from . import host, images, shared_inputs
from .shared_inputs import advanced


@dataclass(frozen=True)
class PlanningInputs:
    """Their values, by their names."""

    preset: str
    target_card: str
    aspect: str
    face_index: int
    face_box: str
    margin: float
    min_resolution: int
    inference_steps: int
    seconds: float
    dynamic_scale: float
    on_risk: str
    policy: str
    cut_silence: bool
    reserve: float

    def sound(self, audio: Any) -> Sound:
        """The sound at an input, without the silence at its ends if that is to be cut. Raises `AudioError`."""
        return shared_inputs.read_sound(audio, self.cut_silence)

    def request(
        self, image: Any, sound: Sound, capabilities: GraphCapabilities, held_bytes: int = 0
    ) -> PreflightRequest:
        """What is to be planned for the picture and the sound; `held_bytes` as in `host.capacity`."""
        capacity = host.capacity(self.target_card, self.reserve, held_bytes)
        budget = capacity.budget
        return PreflightRequest(
            images.first_portrait(image),
            sound.duration_s,
            shared_inputs.read_preset(self.preset),
            capacity,
            self.on_risk,
            self.policy,
            self.aspect,
            self.face_index,
            self.face_box,
            capabilities=capabilities,
            pace=run_history.history_cache.of(budget.card, WAIT_S, budget.total_bytes, capabilities.relative).pace,
            overrides=Overrides(
                self.min_resolution, self.inference_steps, self.seconds, self.margin, self.dynamic_scale
            ),
        )


def schema_inputs() -> list[io.Input]:
    """The inputs: first what a user may want to set, then what is rarely needed."""
    return [
        shared_inputs.preset(),
        shared_inputs.target_card(),
        shared_inputs.aspect(),
        shared_inputs.face_index(),
        shared_inputs.face_box(),
        io.Float.Input(
            "margin", default=0.0, min=0.0, max=1.0, step=0.05,
            tooltip="Margin around the face, as a part of the face box. 0: chosen by the size of the face.",
        ),
        io.Int.Input(
            "min_resolution", default=0, min=0, max=2048, step=64,
            tooltip="Shorter side of the video in pixels. 0: the preset's.",
        ),
        io.Int.Input(
            "inference_steps", default=0, min=0, max=1024,
            tooltip="Denoising steps: they cost time, not memory. 0: the preset's.",
        ),
        io.Float.Input(
            "seconds", default=0.0, min=0.0, max=360000.0, step=0.5,
            tooltip="Seconds of the audio that are used, from its beginning. 0: the preset's, usually all of it.",
        ),
        advanced(io.Float.Input(
            "dynamic_scale", default=0.0, min=0.0, max=2.0, step=0.1,
            tooltip="Strength of motion. 0: the preset's.",
        )),
        advanced(io.Combo.Input(
            "on_risk", options=list(ON_RISK), default="downgrade",
            tooltip="What to do if the requested settings do not fit. downgrade: change them until they fit. "
            "warn: run anyway. stop: end the run here.",
        )),
        shared_inputs.policy(),
        shared_inputs.cut_silence(),
        shared_inputs.reserve(),
    ]  # fmt: skip
