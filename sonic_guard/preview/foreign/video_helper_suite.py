"""ComfyUI-VideoHelperSuite, by Kosinkadink: ``load_video_nodes.py``, ``nodes.py``, ``image_latent_nodes.py``."""

from collections.abc import Mapping

from ...media.audio_file import Pick
from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import UNKNOWN, Inputs, Picture, Voice
from .builders import PICTURE, Size, at_run, measures, passes, resized, samples_of
from .file_loaders import Find, file_at_path, loaded_picture, named_file
from .sound_rules import seeked

MULTIPLES: Mapping[str, int] = {"AnimateDiff": 8, "Mochi": 16, "LTXV": 32, "Hunyuan": 16, "Cosmos": 32, "Wan": 8}
"""Of what the sides of a picture are multiples, by the loader's `format`; for others, of 1."""


def to_custom(size: Size, width: int, height: int, multiple: int) -> tuple[int, int]:
    """A size of the user's own; a side of 0 follows from the other, and both are the file's if both are 0."""
    across, down = float(width), float(height)
    if width == height == 0:
        across, down = size.width, size.height
    elif height == 0:
        down = size.height * width / size.width
    elif width == 0:
        across = size.width * height / size.height
    return int(across / multiple + 0.5) * multiple, int(down / multiple + 0.5) * multiple


def sound(file: str, start: str, find: Find = named_file) -> Kind:
    """The loaders of sounds: the sound and its length. `file` and `start` are inputs."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        voice = Voice(find(inputs, file, context.machine.files), track=Pick.FFMPEG)
        after = _sought(voice, inputs.known(start, 0.0), inputs.known("duration", 0.0), inputs, context)
        return Outcome((after, context.measured(after, inputs).seconds))

    return Kind((file, start, "duration"), evaluate)


def video(find: Find = named_file, *, by_time: bool = False) -> Kind:
    """The loaders of videos: pictures, a count or a mask, sound, information. `by_time`: by ffmpeg, which seeks."""
    names = (
        "video", "custom_width", "custom_height", "force_rate", "frame_load_cap", "select_every_nth", "format", "vae",
        "start_time" if by_time else "skip_first_frames",
    )  # fmt: skip

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        file = find(inputs, "video", context.machine.files)
        return Outcome((_frame(inputs), UNKNOWN, _soundtrack(file, by_time, inputs, context), UNKNOWN))

    return Kind(names, evaluate)


def image_at_path(inputs: Inputs, context: Context) -> Outcome:
    """VHS_LoadImagePath; with a VAE it gives latents."""
    file = loaded_picture(inputs, "image", context, file_at_path)
    if inputs.has("vae"):
        return Outcome((UNKNOWN, UNKNOWN))
    size = to_custom(file, inputs.known("custom_width", 0), inputs.known("custom_height", 0), 1)
    return Outcome((file.sized(*size), UNKNOWN))


def _frame(inputs: Inputs) -> Picture | object:
    """A frame of a video, if its size is set: that of the file is known only when it is decoded."""
    width, height = inputs.known("custom_width", 0), inputs.known("custom_height", 0)
    if not (width and height) or inputs.has("vae"):
        return UNKNOWN
    multiple = MULTIPLES.get(inputs.known("format", "None"), 1)
    return Picture(*to_custom(Picture(width, height), width, height, multiple))


def _soundtrack(file: str, by_time: bool, inputs: Inputs, context: Context) -> Voice | object:
    """The sound of the frames that are loaded. Where that depends on the file's frame rate, it is unknown."""
    frames, step = inputs.known("frame_load_cap", 0), inputs.known("select_every_nth", 1)
    skipped = 0 if by_time else inputs.known("skip_first_frames", 0)
    rate = inputs.known("force_rate", 0.0)
    if (frames or skipped) and not rate:
        return UNKNOWN
    start_s = inputs.known("start_time", 0.0) if by_time else (skipped / rate if skipped else 0.0)
    return _sought(Voice(file, track=Pick.FFMPEG), start_s, frames * step / rate if frames else 0.0, inputs, context)


def _sought(voice: Voice, start_s: float, duration_s: float, inputs: Inputs, context: Context) -> Voice:
    """Part of a sound; all of it is still the file's."""
    if start_s <= 0 and duration_s <= 0:
        return voice
    before = samples_of(context.measured(voice, inputs))
    after = seeked(before, start_s, duration_s)
    return voice if after == before else after.voice()


def merged(size: Size, images_B: Size | None, merge_strategy: str) -> tuple[int, int]:  # noqa: N803  (the node's name)
    """VHS_MergeImages: the size of one of them. Where A is the larger, "match smaller" takes it as well."""
    if images_B is None:
        return size.width, size.height
    if merge_strategy == "match B":
        return images_B.width, images_B.height
    a_is_larger = size.width * size.height > images_B.width * images_B.height
    if merge_strategy == "match larger" and not a_is_larger:
        return images_B.width, images_B.height
    return size.width, size.height


VIDEO_HELPER_SUITE: Mapping[str, Kind] = {
    "VHS_LoadAudioUpload": sound("audio", "start_time"),
    "VHS_LoadAudio": sound("audio_file", "seek_seconds", file_at_path),
    "VHS_LoadVideo": video(),
    "VHS_LoadVideoPath": video(file_at_path),
    "VHS_LoadVideoFFmpeg": video(by_time=True),
    "VHS_LoadVideoFFmpegPath": video(file_at_path, by_time=True),
    "VHS_LoadImagePath": Kind(("image", "custom_width", "custom_height", "vae"), image_at_path),
    "VHS_MergeImages": resized(merged, image="images_A", images_B=PICTURE, merge_strategy="match A"),
    "VHS_SplitImages": measures(image="images", gives="image count image count"),
    "VHS_DuplicateImages": passes("images"),
    "VHS_SelectEveryNthImage": passes("images"),
    "VHS_SelectImages": passes("image"),
    "VHS_AudioToVHSAudio": passes("audio"),
    "VHS_VHSAudioToAudio": passes("vhs_audio"),
    **dict.fromkeys(
        ("VHS_LoadImages", "VHS_LoadImagesPath", "VHS_GetImageCount", "VHS_VideoInfo", "VHS_VideoInfoSource",
         "VHS_VideoInfoLoaded", "VHS_Unbatch", "VHS_SelectLatest", "VHS_VAEDecodeBatched"),
        at_run(),
    ),
}  # fmt: skip
