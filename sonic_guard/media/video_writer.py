"""Write a video as its frames are made: host memory does not grow with its length.

A `VideoWriter` takes groups of frames in order and encodes them at once; the sound goes in beside them, as far as the
pictures have come, and ends with the last one to the sample. Read and join in `videofile`.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec import Codec, CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from ..atomic_files import begin, commit, errors_about, fault, temp_for
from ..errors import OutputError, brief
from .audio import Sound
from .video_contents import contents

BT709 = 1
"""Number of BT.709 in the tags of streams: primaries, transfer and matrix alike."""
RGB_MATRIX = 0
"""Number of the matrix that leaves RGB alone."""
TV_RANGE, FULL_RANGE = 1, 2
FALLBACK_HZ = 48_000
"""What sound of a rate that the encoder does not take is resampled to."""
_SURROUND = {3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""What so many channels are as a rule: an AUDIO does not say."""
AAC_BITS = 96_000
"""Bits a second and channel: transparent for speech."""


class Format(NamedTuple):
    """A kind of video file."""

    name: str
    suffix: str
    container: str
    """libav's name of the container."""
    video: str
    """libav's encoder of the pictures."""
    pixels: str
    """Pixel format in the file."""
    audio: str
    samples: str
    """Format of the sound's samples in the file."""

    @property
    def deep(self) -> bool:
        """Whether a channel has more than 8 bits."""
        return "10" in self.pixels

    @property
    def rgb(self) -> bool:
        """Whether the pixels are stored as they are, not as brightness and colour."""
        return "yuv" not in self.pixels

    @property
    def tags(self) -> dict[str, int]:
        """What tells a player how the colours are meant, so that all players show the same."""
        space, bounds = (RGB_MATRIX, FULL_RANGE) if self.rgb else (BT709, TV_RANGE)
        return {"color_primaries": BT709, "color_trc": BT709, "colorspace": space, "color_range": bounds}


H264 = Format("h264", ".mp4", "mp4", "libx264", "yuv420p", "aac", "fltp")
"""Plays everywhere."""
FFV1 = Format("ffv1", ".mkv", "matroska", "ffv1", "bgr0", "flac", "s32")
"""Lossless: every pixel as an 8-bit IMAGE has it, sound at 24 bits."""
PRORES = Format("prores", ".mov", "mov", "prores_ks", "yuv422p10le", "pcm_s24le", "s32")
"""ProRes 422 HQ, for editing."""
_ALL = (H264, FFV1, PRORES)
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""How much pains H.264's encoder takes, fastest first."""


def formats() -> dict[str, Format]:
    """The formats this build of PyAV can write, by name."""
    return {kind.name: kind for kind in _ALL if _has(kind.video) and _has(kind.audio)}


@dataclass(frozen=True)
class Encoding:
    """How pictures are stored. Raises `OutputError` for what this build, or any, cannot do."""

    format: str = H264.name
    crf: int = 18
    """H.264's quality, 1 … 51: lower is better and larger, 18 cannot be told from the source, 23 is half the size.

    0 would be a profile that many players refuse.
    """
    preset: str = "medium"
    """One of `PRESETS`: slower is smaller."""

    def __post_init__(self) -> None:
        if self.format not in (known := formats()):
            raise OutputError(f"format: this build of PyAV cannot write {brief(self.format)}, only {', '.join(known)}.")
        if isinstance(self.crf, bool) or not isinstance(self.crf, int) or not 1 <= self.crf <= 51:
            raise OutputError(f"crf: {brief(self.crf)} is not a whole number from 1 to 51.")
        if self.preset not in PRESETS:
            raise OutputError(f"preset: there is no {brief(self.preset)}; choose one of {', '.join(PRESETS)}.")

    @property
    def kind(self) -> Format:
        """The format itself."""
        return formats()[self.format]

    @property
    def options(self) -> dict[str, str]:
        """What the encoder is told."""
        return {
            H264.name: {"crf": str(self.crf), "preset": self.preset},
            FFV1.name: {"level": "3", "g": "1", "slices": "9"},  # with 4 it refuses 20 megapixels
            PRORES.name: {"profile": "3", "vendor": "apl0"},
        }[self.format]

    def set_up(self, context: Any, width: int, height: int, fps: Fraction) -> None:
        """Tell the codec `context` of the pictures what is to come."""
        context.width, context.height, context.pix_fmt = width, height, self.kind.pixels
        context.time_base = 1 / fps
        context.thread_type = "AUTO"  # libav's own choice, slices, makes larger files
        for tag, value in self.kind.tags.items():
            setattr(context, tag, value)

    def try_out(self, width: int, height: int, fps: Fraction) -> None:
        """Raise `OutputError` if the encoder refuses such pictures: H.264's takes up to 16,384 pixels a side."""
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
    """A video file under way, with or without sound; a context that leaves a whole file or none.

    Raises `OutputError` wherever the disk or libav fail, when the name is taken, and when the finished file does not
    hold the frames that went in.
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
    ) -> None:
        """Begin the file `target`. `sound` is cut or filled up with silence to the length of the pictures.

        With `faststart` a player can begin before it has the whole MP4 or MOV; the file is then written twice.
        `accept` is given the finished file before it gets its name; what it raises leaves none. By default the file
        must hold the frames that went in.
        """
        self.target = target.absolute()  # libav takes the start of a name such as "take:2.mp4" for a protocol
        self.kind = kind
        self.fps = fps
        self.frames = 0
        """Pictures that went in so far."""
        self._overwrite = overwrite
        self._accept = accept or self._has_all
        temp = begin(self.target, overwrite=overwrite)
        options = {"movflags": "+faststart"} if faststart and kind.container in ("mp4", "mov") else {}
        with errors_about(self.target):
            self.container = av.open(str(temp), "w", format=kind.container, options=options)
        self._sound = sound
        self._track: _SoundTrack | None = None

    def add_sound(self) -> None:
        """Make the stream of the sound, if there is one: after that of the pictures, before the first packet."""
        if self._sound is not None:
            with errors_about(self.target):
                self._track = _SoundTrack(self.container, self._sound, self.kind, self.fps)

    def mux(self, packets: list[Packet]) -> None:
        """Write encoded pictures, and the sound as far as `frames` has come."""
        with errors_about(self.target):
            self.container.mux(packets)
            if self._track:
                self.container.mux(self._track.until(self.frames))

    def flush(self) -> list[Packet]:
        """What the encoder of the pictures still holds at the end."""
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
            with suppress(OSError):  # where an open file can be removed, libav need not finish gigabytes for nothing
                temp_for(self.target).unlink(missing_ok=True)
            with suppress(OSError, FFmpegError):  # already closed, or the error that is on its way is the one to tell
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
        self._accept(temp_for(self.target))
        commit(self.target, overwrite=self._overwrite)

    def _has_all(self, path: Path) -> None:
        written = contents(path, self.target).frames
        if written != self.frames:
            raise fault(self.target, f"{written} of {self.frames} frames arrived. Check the disk and run again.")


class VideoWriter(Output):
    """Encodes pictures as they come.

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
    ) -> None:
        """Begin the file `target`, whose suffix is the caller's; frames follow each other at `fps` a second."""
        self.encoding = encoding or Encoding()
        super().__init__(
            target, self.encoding.kind, fps, sound, overwrite=overwrite, faststart=faststart, accept=accept
        )
        self._stream: Any = None
        self._reformatter = VideoReformatter()  # one for all frames: to set it up takes longer than to use it

    def write(self, frames: Any) -> None:
        """Append `frames`, all of one size with those before: see `pictures`."""
        for picture in pictures(frames, 16 if self.kind.deep else 8):
            stream = self._stream or self._begin(picture.shape[1], picture.shape[0])
            if picture.shape[:2] != (stream.height, stream.width):
                size = f"{picture.shape[1]}×{picture.shape[0]}"
                raise fault(self.target, f"a frame of {size} in a video of {stream.width}×{stream.height}.")
            with errors_about(self.target):
                packets = stream.encode(self._frame(picture))
            self.frames += 1
            self.mux(packets)

    def flush(self) -> list[Packet]:
        """What the encoder still holds."""
        with errors_about(self.target):
            return self._stream.encode(None) if self._stream else []

    def _begin(self, width: int, height: int) -> Any:
        with errors_about(self.target):
            stream: Any = self.container.add_stream(self.kind.video, rate=self.fps, options=self.encoding.options)
        self.encoding.set_up(stream.codec_context, width, height, self.fps)
        self._stream = stream
        self.add_sound()
        return stream

    def _frame(self, picture: np.ndarray) -> VideoFrame:
        frame = VideoFrame.from_ndarray(picture, format="rgb48le" if self.kind.deep else "rgb24")
        frame = self._reformatter.reformat(
            frame,
            format=self.kind.pixels,
            dst_colorspace=None if self.kind.rgb else Colorspace.ITU709,
            interpolation=Interpolation.AREA,  # each stored colour is the mean of its pixels
        )
        for tag, value in self.kind.tags.items():
            if hasattr(frame, tag):  # the older PyAV, the fewer; of encoders, only ProRes looks here
                setattr(frame, tag, value)
        frame.pts, frame.time_base = self.frames, 1 / self.fps
        return frame


def pictures(frames: Any, bits: int = 8) -> Iterator[np.ndarray]:
    """One frame after the other, uint8 [H, W, 3] (uint16 with `bits` 16).

    `frames` is a torch tensor on any device or a numpy array, ``[k, 3, H, W]`` or ``[k, H, W, 3]``, uint8 or
    floating-point with 0 … 1 (beyond that it is clipped). Raises `OutputError` for other shapes and types and for NaN.
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
        if not np.isfinite(frame.min() + frame.max()):  # either carries a NaN along
            raise OutputError("frames: the network made pictures of NaN. Load Sonic with dtype bf16 or fp32.")
        scaled = np.clip(frame.astype(np.float32, copy=False), 0, 1) * top
        yield np.ascontiguousarray(np.rint(scaled)).astype(np.uint8 if bits == 8 else np.uint16)


class _SoundTrack:
    """The sound of a video, encoded as far as the pictures have come."""

    def __init__(self, container: Any, sound: Sound, kind: Format, fps: Fraction) -> None:
        self._sound, self._fps = sound, fps
        self._layout = "stereo" if sound.channels == 2 or sound.channels in _SURROUND else "mono"
        rates = Codec(kind.audio, "w").audio_rates
        rate = sound.sample_rate if not rates or sound.sample_rate in rates else FALLBACK_HZ
        self._stream: Any = container.add_stream(kind.audio, rate=rate, layout=self._layout, format=kind.samples)
        if kind.audio == "aac":
            self._stream.bit_rate = AAC_BITS * min(sound.channels, 2)
        self._done = 0

    def until(self, frames: int) -> list[Packet]:
        """Packets of the sound up to the end of picture number `frames`, to the nearest sample."""
        rate = self._sound.sample_rate
        stop = (2 * frames * rate * self._fps.denominator + self._fps.numerator) // (2 * self._fps.numerator)
        if stop == self._done:
            return []
        samples = self._sound.waveform[:, self._done : stop]
        if not samples.size:
            samples = np.zeros((2 if self._layout == "stereo" else 1, 0), np.float32)  # the sound has ended
        elif len(samples) in _SURROUND:
            samples = _in_stereo(samples, rate)
        elif len(samples) > 2:
            samples = samples.mean(axis=0, keepdims=True)
        missing = stop - self._done - samples.shape[1]
        block = np.pad(samples, ((0, 0), (0, missing))) if missing else samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, self._done, Fraction(1, rate)
        self._done = stop
        return self._stream.encode(frame)

    def flush(self) -> list[Packet]:
        """What the encoder still holds."""
        return self._stream.encode(None)


def _in_stereo(samples: np.ndarray, rate: int) -> np.ndarray:
    """Surround sound [channels, samples] mixed down by libav: [2, samples]."""
    mixer = AudioResampler(format="fltp", layout="stereo", rate=rate)
    interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
    frame = AudioFrame.from_ndarray(interleaved, format="flt", layout=_SURROUND[len(samples)])
    frame.sample_rate = rate
    mixed = [part.to_ndarray() for part in (*mixer.resample(frame), *mixer.resample(None))]
    return np.concatenate(mixed, axis=1).clip(-1, 1)


def _has(encoder: str) -> bool:
    try:
        Codec(encoder, "w")
    except ValueError:  # UnknownCodecError is one
        return False
    return True
