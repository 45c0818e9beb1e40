"""Writes a video while its frames are made: host memory does not grow with its length.

A `VideoWriter` takes groups of frames in order and encodes them at once. The sound is written up to the latest
picture, and ends with the last one, to the sample. `video_file` reads and joins videos.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import av
import numpy as np
from av.codec import Codec, CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from ..atomic_files import begin, commit, errors_about, fault, temp_for
from ..errors import OutputError, brief
from .audio import Sound
from .video_contents import contents
from .video_sound import SoundTrack

BT709 = 1
"""BT.709 in the colour tags of streams (ITU-T H.273): the same code for primaries, transfer and matrix."""
RGB_MATRIX = 0
"""The identity matrix in the colour tags of streams (ITU-T H.273), for RGB."""
TV_RANGE, FULL_RANGE = 1, 2


class Format(NamedTuple):
    """A video file format: container, encoders and pixel format."""

    name: str
    suffix: str
    container: str
    """libav's name of the container."""
    video: str
    """libav's name of the video encoder."""
    pixels: str
    """Pixel format in the file."""
    audio: str
    """libav's name of the audio encoder."""
    samples: str
    """Sample format of the sound in the file."""

    @property
    def deep(self) -> bool:
        """Whether a colour channel has more than 8 bits."""
        return "10" in self.pixels

    @property
    def rgb(self) -> bool:
        """Whether the pixels are stored as RGB, not as luma and chroma."""
        return "yuv" not in self.pixels

    @property
    def tags(self) -> dict[str, int]:
        """The colour tags of a stream, so that all players show the same colours."""
        space, bounds = (RGB_MATRIX, FULL_RANGE) if self.rgb else (BT709, TV_RANGE)
        return {"color_primaries": BT709, "color_trc": BT709, "colorspace": space, "color_range": bounds}


H264 = Format("h264", ".mp4", "mp4", "libx264", "yuv420p", "aac", "fltp")
"""Plays everywhere."""
FFV1 = Format("ffv1", ".mkv", "matroska", "ffv1", "bgr0", "flac", "s32")
"""Lossless for 8-bit pictures; sound at 24 bits."""
PRORES = Format("prores", ".mov", "mov", "prores_ks", "yuv422p10le", "pcm_s24le", "s32")
"""ProRes 422 HQ, for editing."""
_ALL = (H264, FFV1, PRORES)
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Presets of the H.264 encoder, the fastest and largest first."""


def formats() -> dict[str, Format]:
    """The formats this build of PyAV can write, by name."""
    return {kind.name: kind for kind in _ALL if _has(kind.video) and _has(kind.audio)}


@dataclass(frozen=True)
class Encoding:
    """Encoder settings. Raises `OutputError` for settings that are invalid or not supported by this build of PyAV."""

    format: str = H264.name
    crf: int = 18
    """H.264's constant rate factor, 1 … 51: lower is better and larger. 18 is visually lossless, 23 half the size.

    0 is excluded: it needs a profile that many players do not support.
    """
    preset: str = "medium"
    """One of `PRESETS`: slower is smaller."""

    def __post_init__(self) -> None:
        known = formats()
        if not isinstance(self.format, str) or self.format not in known:
            raise OutputError(f"format: this build of PyAV cannot write {brief(self.format)}, only {', '.join(known)}.")
        if isinstance(self.crf, bool) or not isinstance(self.crf, int) or not 1 <= self.crf <= 51:
            raise OutputError(f"crf: {brief(self.crf)} is not a whole number from 1 to 51.")
        if not isinstance(self.preset, str) or self.preset not in PRESETS:
            raise OutputError(f"preset: there is no {brief(self.preset)}; choose one of {', '.join(PRESETS)}.")

    @property
    def kind(self) -> Format:
        """The format itself."""
        return formats()[self.format]

    @property
    def options(self) -> dict[str, str]:
        """Options of the encoder, as libav takes them."""
        return {
            H264.name: {"crf": str(self.crf), "preset": self.preset},
            FFV1.name: {"level": "3", "g": "1", "slices": "9"},  # with 4 slices it fails at 20 megapixels
            PRORES.name: {"profile": "3", "vendor": "apl0"},
        }[self.format]

    def set_up(self, context: Any, width: int, height: int, fps: Fraction) -> None:
        """Configure the codec `context` for pictures of `width` × `height` pixels at `fps` per second."""
        context.width, context.height, context.pix_fmt = width, height, self.kind.pixels
        context.time_base = 1 / fps
        context.thread_type = "AUTO"  # libav's default, slice threading, makes larger files
        for tag, value in self.kind.tags.items():
            setattr(context, tag, value)

    def try_out(self, width: int, height: int, fps: Fraction) -> None:
        """Raise `OutputError` if the encoder does not support this size: H.264's takes up to 16,384 pixels a side."""
        context: Any = CodecContext.create(self.kind.video, "w")
        self.set_up(context, width, height, fps)
        context.options = self.options
        try:
            context.open()
        except FFmpegError as error:
            others = ", ".join(name for name in formats() if name != self.format)
            raise OutputError(
                f"format: {self.format} takes no pictures of {width}×{height} ({error.strerror}). "
                f"Choose another ({others}), or lower min_resolution."
            ) from error


class Output:
    """A video file being written, with or without sound; a context manager that leaves a complete file or none.

    Raises `OutputError` if the disk or libav fails, if the name is in use, and if the finished file does not hold all
    the frames written.
    """

    def __init__(
        self,
        target: Path,
        kind: Format,
        fps: Fraction,
        sound: Sound | None = None,
        *,
        overwrite: bool = False,
        faststart: bool = True,
        accept: Callable[[Path], object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Begin the file `target`. `sound` is cut, or padded with silence, to the length of the pictures.

        With `faststart` a player can start before it has loaded all of an MP4 or MOV; the file is then written twice.
        `accept` receives the finished file before it is renamed to `target`; an exception from it leaves no file. By
        default it checks that the file holds all frames. `tags` are the container's, such as a title or a workflow.
        """
        self.target = target.absolute()  # libav reads a relative name such as "take:2.mp4" as a protocol
        self.kind = kind
        self.fps = fps
        self.frames = 0
        """Pictures written so far."""
        self._overwrite = overwrite
        self._accept = accept  # never a method of its own: a cycle would keep the encoder until a collection
        temp = begin(self.target, overwrite=overwrite)
        flags = f"{'+faststart' if faststart else ''}{'+use_metadata_tags' if tags else ''}"
        options = {"movflags": flags} if flags and kind.container in ("mp4", "mov") else {}
        with errors_about(self.target):
            self.container = av.open(str(temp), "w", format=kind.container, options=options)
        self.container.metadata.update(tags or {})
        self._sound = sound
        self._track: SoundTrack | None = None

    def add_sound(self) -> None:
        """Add the audio stream, if there is a sound: after the video stream, before the first packet."""
        if self._sound is not None:
            with errors_about(self.target):
                self._track = SoundTrack(self.container, self._sound, self.kind.audio, self.kind.samples, self.fps)

    def mux(self, packets: list[Packet]) -> None:
        """Write encoded pictures, and the sound up to the end of picture number `frames`."""
        with errors_about(self.target):
            self.container.mux(packets)
            if self._track:
                self.container.mux(self._track.until(self.frames))

    def flush(self) -> list[Packet]:
        """The packets that the video encoder still holds at the end."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(OSError):  # removed first where the system allows it, so that libav does not finish the file
                temp_for(self.target).unlink(missing_ok=True)
            with suppress(OSError, FFmpegError):  # already closed, or the first error is the one to report
                self.container.close()
            temp_for(self.target).unlink(missing_ok=True)

    def _finish(self) -> None:
        if not self.frames:
            raise fault(self.target, "not a single frame was made.")
        self.mux(self.flush())
        with errors_about(self.target):
            if self._track:
                self.container.mux(self._track.flush())
            self.container.close()
        accept = self._accept or self._has_all
        accept(temp_for(self.target))
        commit(self.target, overwrite=self._overwrite)

    def _has_all(self, path: Path) -> None:
        written = contents(path, self.target).frames
        if written != self.frames:
            raise fault(self.target, f"{written} of {self.frames} frames arrived. Check the disk and run again.")


class VideoWriter(Output):
    """Encodes pictures when they are made.

    ``with VideoWriter(Path("clip.mp4"), Fraction(25), sound=sound) as video: video.write(frames)``
    """

    def __init__(
        self,
        target: Path,
        fps: Fraction,
        encoding: Encoding | None = None,
        sound: Sound | None = None,
        *,
        overwrite: bool = False,
        faststart: bool = True,
        accept: Callable[[Path], object] | None = None,
        time_base: Fraction | None = None,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        """Begin the file `target`, whose suffix the caller chooses; `fps` is in frames per second.

        `time_base`: seconds in a unit of the moments that `write` takes, if the frame rate varies.
        """
        self.encoding = encoding or Encoding()
        self._time_base = time_base or 1 / fps
        self._pixel_aspect = pixel_aspect
        super().__init__(
            target, self.encoding.kind, fps, sound, overwrite=overwrite, faststart=faststart, accept=accept
        )
        self._stream: Any = None
        self._reformatter = VideoReformatter()  # reused: its setup is slow

    def write(self, frames: Any, moment: int | None = None) -> None:
        """Append `frames`, in a format that `pictures` takes. All must have the size of the first.

        `moment`: the time of the first of them in units of `time_base`; without it, each follows the one before.
        """
        for picture in pictures(frames, 16 if self.kind.deep else 8):
            stream = self._stream or self._begin(picture.shape[1], picture.shape[0])
            if picture.shape[:2] != (stream.height, stream.width):
                size = f"{picture.shape[1]}×{picture.shape[0]}"
                raise fault(self.target, f"a frame of {size} in a video of {stream.width}×{stream.height}.")
            with errors_about(self.target):
                packets = stream.encode(self._frame(picture, self.frames if moment is None else moment))
            self.frames += 1
            self.mux(packets)

    def flush(self) -> list[Packet]:
        """The packets that the encoder still holds."""
        with errors_about(self.target):
            return self._stream.encode(None) if self._stream else []

    def _begin(self, width: int, height: int) -> Any:
        with errors_about(self.target):
            stream: Any = self.container.add_stream(self.kind.video, rate=self.fps, options=self.encoding.options)
        self.encoding.set_up(stream.codec_context, width, height, self.fps)
        stream.codec_context.time_base = self._time_base
        if self._pixel_aspect != 1:
            stream.codec_context.sample_aspect_ratio = self._pixel_aspect
        self._stream = stream
        self.add_sound()
        return stream

    def _frame(self, picture: np.ndarray, moment: int) -> VideoFrame:
        frame = VideoFrame.from_ndarray(picture, format="rgb48le" if self.kind.deep else "rgb24")
        frame = self._reformatter.reformat(
            frame,
            format=self.kind.pixels,
            dst_colorspace=None if self.kind.rgb else Colorspace.ITU709,
            interpolation=Interpolation.AREA,  # each stored colour is the mean of its pixels
        )
        for tag, value in self.kind.tags.items():
            if hasattr(frame, tag):  # older PyAV has fewer; only the ProRes encoder reads them here
                setattr(frame, tag, value)
        frame.pts, frame.time_base = moment, self._time_base
        return frame


def pictures(frames: Any, bits: int = 8) -> Iterator[np.ndarray]:
    """The frames one by one, uint8 [H, W, 3] (uint16 with `bits` 16).

    `frames` is a torch tensor on any device or a numpy array, ``[k, 3, H, W]`` or ``[k, H, W, 3]``, uint8 or
    floating-point in 0 … 1 (clipped). Raises `OutputError` for other shapes and types and for NaN.
    """
    if hasattr(frames, "detach"):
        frames = frames.detach()
        frames = (frames.float() if frames.is_floating_point() else frames).cpu().numpy()  # numpy has no bfloat16
    if not isinstance(frames, np.ndarray) or frames.ndim != 4 or 3 not in (frames.shape[1], frames.shape[3]):
        raise OutputError(
            f"frames: expected [k, 3, H, W] or [k, H, W, 3], got {getattr(frames, 'shape', type(frames))}."
        )
    if frames.dtype != np.uint8 and frames.dtype.kind != "f":
        raise OutputError(f"frames: expected uint8 or floating-point numbers, got {frames.dtype}.")
    top = (1 << bits) - 1
    for frame in frames if frames.shape[3] == 3 else frames.transpose(0, 2, 3, 1):
        if frame.dtype == np.uint8:
            yield np.ascontiguousarray(frame) if bits == 8 else frame.astype(np.uint16) * 257
            continue
        if not np.isfinite(frame.min() + frame.max()):  # both propagate NaN
            raise OutputError("frames: the network made pictures of NaN. Load Sonic with dtype bf16 or fp32.")
        scaled = np.clip(frame.astype(np.float32, copy=False), 0, 1) * top
        yield np.ascontiguousarray(np.rint(scaled)).astype(np.uint8 if bits == 8 else np.uint16)


def _has(encoder: str) -> bool:
    try:
        Codec(encoder, "w")
    except ValueError:  # UnknownCodecError is one
        return False
    return True
