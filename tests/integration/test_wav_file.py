"""WAV files that lose nothing, read back with libav."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest

from sonic_guard.errors import OutputError
from sonic_guard.media.audio import Sound
from sonic_guard.media.audio_file import load, probe
from sonic_guard.media.wav_file import BLOCK, write_wav
from tests.support import installed


def noise(channels, samples):
    """Beyond ±1 too: a float has no clipping."""
    return (3 * np.random.default_rng(channels + samples).standard_normal((channels, samples))).astype(np.float32)


@pytest.mark.parametrize("rate", [1000, 8000, 44_100, 768_001])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 24])
@pytest.mark.parametrize("samples", [1, BLOCK, BLOCK + 1])
def test_every_sample_comes_back_as_it_was(tmp_path, channels, samples, rate):
    sound = Sound(noise(channels, samples), rate)
    write_wav(tmp_path / "a.wav", sound)
    again = load(tmp_path / "a.wav")
    assert again.sample_rate == rate
    assert np.array_equal(again.waveform, sound.waveform)
    assert probe(tmp_path / "a.wav").codec == "pcm_f32le"


def test_samples_need_not_lie_side_by_side_nor_be_float32(tmp_path):
    waveform = noise(2, 200)[::-1, ::2].astype(np.float64)
    write_wav(tmp_path / "a.wav", Sound(waveform, 8000))
    assert np.array_equal(load(tmp_path / "a.wav").waveform, waveform)


def test_a_sound_without_samples_is_a_file_without_samples(tmp_path):
    write_wav(tmp_path / "a.wav", Sound(noise(2, 0), 8000))
    with av.open(str(tmp_path / "a.wav")) as file:
        assert file.streams.audio[0].rate == 8000
        assert not list(file.decode(audio=0))


def test_what_was_there_is_replaced(tmp_path):
    for samples in (5000, 100):
        write_wav(tmp_path / "a.wav", Sound(noise(1, samples), 8000))
    assert probe(tmp_path / "a.wav").samples == 100


def test_a_name_that_libav_would_take_for_a_protocol_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_wav(Path("take:2.wav"), Sound(noise(1, 100), 8000))
    assert probe(tmp_path / "take:2.wav").samples == 100


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OutputError, match="there is no folder .*nowhere. Create it, or choose another"):
        write_wav(tmp_path / "nowhere" / "a.wav", Sound(noise(1, 100), 8000))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
def test_on_a_full_disk_nothing_is_left_and_the_error_reports_what_to_do(tmp_path):
    """In a process that may write no file of more than 64 KB: the system refuses the rest as a full disk does."""
    script = """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from sonic_guard.errors import OutputError
        from sonic_guard.media.audio import Sound
        from sonic_guard.media.wav_file import write_wav

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        try:
            write_wav(Path(sys.argv[1]), Sound(np.ones((1, 1 << 20), np.float32), 8000))
        except OutputError as error:
            print(error)
    """
    target = tmp_path / "a.wav"
    command = [sys.executable, "-c", textwrap.dedent(script), str(target)]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert "a.wav: there is no space left on this disk. Free some" in result.stdout, result.stderr
    assert not target.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_reported(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="write-protected"):
        write_wav(tmp_path / "a.wav", Sound(noise(1, 100), 8000))


def test_above_4_gib_it_is_an_rf64_with_every_sample(tmp_path):
    """4.1 GiB of 64 channels of one expanded value: the sound itself takes no memory."""
    if (free := os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize) < 12 << 30:
        pytest.skip(f"{free >> 30} GiB are free here, and this test wants 12")
    steps = np.arange(64, dtype=np.float32) / 64
    samples = int(4.1 * (1 << 30) / 4 / len(steps))
    target = tmp_path / "big.wav"
    try:
        write_wav(target, Sound(np.broadcast_to(steps[:, None], (len(steps), samples)), 48_000))
        with target.open("rb") as file:
            assert file.read(4) == b"RF64"
            file.seek(-4 * len(steps), os.SEEK_END)
            assert np.array_equal(np.frombuffer(file.read(), "<f4"), steps)
        assert probe(target).samples == samples
    finally:
        target.unlink(missing_ok=True)
