"""The sounds that the Sonic wrapper brings: the header's count is the decoder's."""

from sonic_guard.media.audio_file import load, probe
from tests.support import installed
from tests.support.sound_files import decoded_samples


def test_the_wrappers_examples():
    for file in sorted((installed.sonic() / "examples" / "wav").iterdir()):
        info = probe(file)
        assert info.seconds == 10.0
        assert info.samples == decoded_samples(file) == load(file).samples
