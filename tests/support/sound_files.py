"""Sound files: of one second in any codec, and of hours that take little space on the disk."""

import struct

import av
import numpy as np
from av.error import InvalidDataError
from av.stream import Disposition

from sonic_guard.media.containers import _ODD_TAGS

RATE = 16_000


def long_sound(file, size=4_000_000_000):
    """A WAV that takes seconds to count, and no space on the disk: it has a hole."""
    head = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    with file.open("wb") as wav:
        wav.write(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + head + b"data\xff\xff\xff\xff")
        wav.truncate(size)
    return (size - 44) / (2 * RATE)


def hours_of_silence(file, hours):
    """FLAC: some hundred bytes a second, which take as long to decode as any other."""
    block = av.AudioFrame.from_ndarray(np.zeros((1, 48_000 * 60), np.int16), format="s16", layout="mono")
    block.sample_rate = 48_000
    with av.open(str(file), "w") as container:
        stream = container.add_stream("flac", rate=48_000, layout="mono")
        for minute in range(60 * hours):
            block.pts = minute * 48_000 * 60
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))


def encode(file, codec, rate=44_100, sound=None, **options):
    """One second of `sound`, or of silence, in mono."""
    sound = np.zeros((1, rate), np.float32) if sound is None else sound
    with av.open(str(file), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def encode_tracks(file, *tracks, title="", codec="aac"):
    """A film without pictures whose audio tracks, mono at `RATE`, hold these sounds; `title` is the last one's."""
    with av.open(str(file), "w") as container:
        streams = [container.add_stream(codec, rate=RATE, layout="mono") for _ in tracks]
        streams[-1].metadata["title"] = title
        for stream, sound in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(np.float32(sound)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)


def film_with_tracks(file, *tracks, marked=None):
    """A film of two seconds with PCM tracks at `RATE`, (seconds, channels) each; that of index `marked` is default."""
    with av.open(str(file), "w") as container:
        video = container.add_stream("mpeg4", rate=4)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for index, (_, channels) in enumerate(tracks):
            streams.append(container.add_stream("pcm_s16le", rate=RATE, layout=("mono", "stereo")[channels - 1]))
            if index == marked:
                streams[-1].disposition = Disposition.default
        for shade in range(0, 160, 20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for stream, (seconds, channels) in zip(streams, tracks, strict=True):
            samples = np.full((1, round(seconds * RATE) * channels), 1000, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=stream.layout.name)
            frame.sample_rate, frame.pts = RATE, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])


def decoded_samples(path):
    """What Load Audio's loop would collect; it gives up at a damaged packet, this goes on as ffmpeg does."""
    samples = 0
    with av.open(str(path), **_ODD_TAGS) as container:
        for packet in container.demux(container.streams.audio[0]):
            try:
                samples += sum(frame.samples for frame in packet.decode())
            except InvalidDataError:
                continue
    return samples
