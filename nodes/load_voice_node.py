"""Load Voice: any audio track of a file, and sounds that ComfyUI's Load Audio refuses."""

import mimetypes
import os
from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError, brief
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import audio_file, audio_tracks
from ..sonic_guard.messages.error_messages import error_text
from ..sonic_guard.messages.sound_messages import silence_text
from ..sonic_guard.operations.input_values import is_whole, text
from ..sonic_guard.preview.input_files import resolve
from .comfyui import host, shared_inputs
from .comfyui.languages import errors_in_users_language, interface_language

MAX_TRACK = 99


class LoadVoice(io.ComfyNode):
    """A sound from a file of the input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return io.Schema(
            node_id="SonicGuardLoadVoice",
            display_name="Load Voice (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Loads an audio track of an audio or video file, also where the voice is not in the first "
            "track, and reports a silent one. It reads files that Load Audio refuses: 8-bit sound, damaged parts, "
            "tags in old encodings.",
            inputs=[
                io.Combo.Input(
                    "audio",
                    options=_sound_files(),
                    upload=io.UploadType.audio,
                    tooltip="An audio or video file of the input folder.",
                ),
                io.Int.Input(
                    "track", default=1, min=1, max=MAX_TRACK, tooltip="Audio track of a file that has several."
                ),
            ],
            outputs=[io.Audio.Output(display_name="audio", tooltip="For Preflight, Audio Duration or SONIC_PreData.")],
        )

    @classmethod
    def fingerprint_inputs(cls, audio: str = "", **_: Any) -> str:
        """When the file was changed, so that another of the same name is read again; empty if there is none."""
        try:
            status = resolve(host.input_folder(), audio).stat()
        except (SonicGuardError, OSError):
            return ""
        return f"{status.st_size} {status.st_mtime_ns}"

    @classmethod
    def validate_inputs(cls, audio: str | None = None) -> bool | str:
        """Replaces ComfyUI's check against the menu: the file may have been added since."""
        if audio is None:  # it comes over a link
            return True
        try:
            resolve(host.input_folder(), audio)
        except SonicGuardError as error:
            return error_text(error, interface_language())
        return True

    @classmethod
    @errors_in_users_language
    def execute(cls, audio: str, track: int) -> io.NodeOutput:
        """Read the track, and listen to it."""
        if not is_whole(track):
            raise SonicGuardError(f"track: expected a whole number, got {brief(track)}.")
        path = resolve(host.input_folder(), text("audio", audio))
        sound = audio_file.load(path, track=track, check=host.stop_if_interrupted)
        lines = [f"{sound.duration_s:.2f} s"]
        hearing = audio_tracks.listen(path, track, check=host.stop_if_interrupted)
        if warning := silence_text(hearing, interface_language()):
            lines.append(warning)
        return io.NodeOutput(media_audio.to_dict(sound), ui={"text": ("\n".join(lines),)})


def _sound_files() -> list[str]:
    """The files of the input folder that are sounds or videos by their names, as Load Audio lists them."""
    try:
        names = os.listdir(host.input_folder())
    except (ImportError, OSError):  # no ComfyUI, or no folder yet
        return []
    return sorted(name for name in names if (mimetypes.guess_type(name)[0] or "").startswith(("audio/", "video/")))
