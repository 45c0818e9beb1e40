"""The sounds that the Sonic wrapper brings: the header's count is the decoder's."""

import av
from av.error import InvalidDataError

from sonic_guard.media.audio_file import load, probe
from sonic_guard.media.containers import _ODD_TAGS
from tests.support import installed


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


def test_the_wrappers_examples():
    for file in sorted((installed.sonic() / "examples" / "wav").iterdir()):
        info = probe(file)
        assert info.seconds == 10.0
        assert info.samples == decoded_samples(file) == load(file).samples
