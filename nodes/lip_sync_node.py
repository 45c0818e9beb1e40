"""Lip Sync: measures the offset between lips and sound, and moves the sound."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import InputImpl, io

from ..sonic_guard.errors import FinishError, brief
from ..sonic_guard.finishing.assembly import CONTAINERS
from ..sonic_guard.finishing.lip_sync.correction import (
    FARTHEST_MS,
    MAX_CORRECTION_MS,
    check_limit,
    correction_for,
    moved,
    steps_for,
)
from ..sonic_guard.finishing.lip_sync.film import measure_film
from ..sonic_guard.finishing.lip_sync.measurement import LipSync, measure_clip
from ..sonic_guard.finishing.lip_sync.plot import draw_plot
from ..sonic_guard.finishing.pipeline import FinishRequest
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.messages.lipsync_messages import correction_lines, found_lines, kept_lines, sampled_lines
from .comfyui import finishing_nodes, host, images
from .comfyui.languages import errors_in_users_language, interface_language
from .comfyui.node_progress import BAR

_NO_AUDIO = "audio: there is no sound here, because a VIDEO came in. Its sound is in the output video."
_HIGHEST_FPS = 1000.0


class LipSyncNode(io.ComfyNode):
    """The sound of a talking head, moved to where its lips are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        video, pictures, report = finishing_nodes.outputs()
        return io.Schema(
            node_id="SonicGuardLipSync",
            display_name="Lip Sync (Sonic Guard)",
            category=finishing_nodes.CATEGORY,
            description="Measures by how many milliseconds the sound is late or early, and moves it. The pictures stay "
            "as they are. Where it is not sure, it says why and changes nothing.",
            inputs=[
                finishing_nodes.video_input("A VIDEO with its sound, or an IMAGE with its sound at audio."),
                io.Audio.Input("audio", optional=True, tooltip="The sound of an IMAGE. A VIDEO has its own."),
                io.Float.Input(
                    "fps", default=25.0, min=1.0, max=240.0, step=0.01, optional=True,
                    tooltip="Pictures a second of an IMAGE. A VIDEO has its own.",
                ),
                io.Float.Input(
                    "max_correction_ms", default=MAX_CORRECTION_MS, min=0.0, max=FARTHEST_MS, step=1.0, optional=True,
                    tooltip="Farthest that the sound is moved, in milliseconds. 0: only measure.",
                ),
            ],
            outputs=[
                video,
                pictures,
                io.Audio.Output(display_name="audio", tooltip="The moved sound, if an IMAGE came in."),
                report,
                io.Image.Output(display_name="plot", tooltip="How well lips and sound agree, by offset."),
            ],
        )  # fmt: skip

    @classmethod
    @errors_in_users_language
    def execute(
        cls, video: Any, audio: Any = None, fps: float = 25.0, max_correction_ms: float = MAX_CORRECTION_MS
    ) -> io.NodeOutput:
        """Measure, and move the sound."""
        language = interface_language()
        check_limit(max_correction_ms)  # before the video is measured
        if isinstance(video, torch.Tensor):
            return _in_memory(video, audio, fps, max_correction_ms, language)
        if audio is not None:
            raise FinishError("audio: a VIDEO has its own sound. Disconnect audio, or connect pictures to video.")
        return _file(video, max_correction_ms, language)


def _file(video: Any, max_correction_ms: float, language: str) -> io.NodeOutput:
    """A VIDEO in, a VIDEO out: the same object, if its sound stays where it is."""
    source = finishing_nodes.as_file(video)
    bar = host.progress_bar(BAR)

    def show(share: float) -> None:
        bar(round(BAR * share))

    film = measure_film(source, host.stop_if_interrupted, host.seldom(show))
    correction = correction_for(film.found, max_correction_ms)
    report = [
        *found_lines(film.found, language),
        *sampled_lines(film, language),
        *correction_lines(correction, language),
    ]
    result = video
    if correction.applied_ms:
        target = host.new_temporary("lip_sync", _suffix(source))
        steps = steps_for(film.footage, target)
        request = FinishRequest(source, steps, finishing_nodes.BETWEEN_NODES, correction.applied_ms / 1e3)
        report += kept_lines(finishing_nodes.finish_file(request, target, language), language)
        result = InputImpl.VideoFromFile(str(target))
    done = finishing_nodes.Result(result, None, "\n".join(report))
    return _output(done, host.blocked(_NO_AUDIO), film.found)


def _suffix(source: Path) -> str:
    """Of the moved video: its own where that can be written, otherwise one that takes any pictures."""
    return source.suffix.lower() if source.suffix.lower() in CONTAINERS else ".mkv"


def _in_memory(video: torch.Tensor, audio: Any, fps: Any, max_correction_ms: float, language: str) -> io.NodeOutput:
    """IMAGE and AUDIO in, the same out; the AUDIO is the same object, if it stays where it is."""
    if audio is None:
        raise FinishError(
            "audio: pictures have no sound of their own. Connect the sound that belongs to them to audio."
        )
    rate = _rate(fps)
    sound = media_audio.from_dict(audio)
    batch = images.as_batch(images.as_tensor(video))
    found = measure_clip(_pictures(batch), rate, sound, check=host.stop_if_interrupted)
    correction = correction_for(found, max_correction_ms)
    report = "\n".join([*found_lines(found, language), *correction_lines(correction, language)])
    return _output(finishing_nodes.Result(None, video, report), _moved(audio, correction.applied_ms), found)


def _rate(fps: Any) -> float:
    if isinstance(fps, bool) or not isinstance(fps, int | float | Fraction) or not 0 < fps <= _HIGHEST_FPS:
        raise FinishError(f"fps: {brief(fps)} is not a frame rate. Give the number of pictures a second, such as 25.")
    return float(fps)


def _pictures(batch: torch.Tensor) -> Iterator[np.ndarray]:
    """The pictures as 8-bit RGB, one after the other."""
    bar = host.progress_bar(len(batch))
    for number, picture in enumerate(batch):
        yield images.as_rgb(picture)
        bar(number + 1)


def _moved(audio: Mapping[str, Any], by_ms: float) -> Mapping[str, Any]:
    """A ComfyUI AUDIO, every sound of its batch moved."""
    if not by_ms:
        return audio
    waveform = torch.as_tensor(audio["waveform"])
    result = torch.from_numpy(moved(waveform.detach().cpu().float().numpy(), audio["sample_rate"], by_ms))
    return {**audio, "waveform": result}


def _output(done: finishing_nodes.Result, audio: Any, found: LipSync) -> io.NodeOutput:
    video, pictures, report = done.outputs
    return io.NodeOutput(video, pictures, audio, report, images.from_rgb(draw_plot(found)))
