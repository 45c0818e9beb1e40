"""Files made to do harm: they are refused, or read for what they hold, in little time and memory.

What could hang, grow without end or end the process is opened in a process of its own, with a limit.
"""

import ast
import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from sonic_guard.errors import AudioError, OutputError, PictureError, SlowFileError
from sonic_guard.media import audio_file, containers, picture, riff_chunks, silence
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import frames, verify
from tests.support.picture_files import box, gradient, heic, meta, png
from tests.support.picture_files import chunk as png_chunk
from tests.support.sound_files import encode, hours_of_silence

PACK = Path(__file__).resolve().parents[2]
LIMIT_S = 60
"""After which an attempt counts as one that never ends."""
MOST_MEMORY_MIB = 200

_CHILD = """
import json, os, sys
from bench.host_peak import peak_bytes
from sonic_guard.errors import SonicGuardError
from sonic_guard.media import audio_file, picture, video_file
before = peak_bytes()
reads = {"sound": audio_file.probe, "load": audio_file.load, "video": video_file.verify, "picture": picture.read_size}
try:
    result = str(reads[sys.argv[1]](sys.argv[2]))
except SonicGuardError as error:
    result = f"{type(error).__name__}: {error}"
grown = (peak_bytes() - before) >> 20
json.dump({"result": result, "grown_mib": grown, "files": len(os.listdir("/proc/self/fd"))}, sys.stdout)
"""


def in_a_child(what, path):
    """The result of reading `path` as `what`, and its cost."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, what, str(path)], cwd=PACK, capture_output=True, timeout=LIMIT_S, check=True
    )
    return SimpleNamespace(**json.loads(done.stdout))


PLAYLISTS = {
    "names itself.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "goes on for ever.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{sound}\n",
    "another name.wav": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{sound}\n#EXT-X-ENDLIST\n",
    "list.mp3": "ffconcat version 1.0\nfile '{sound}'\n",
    "list of itself.wav": "ffconcat version 1.0\nfile '{name}'\n",
    "thousands.ffconcat": "ffconcat version 1.0\n" + "file '{sound}'\n" * 20_000,
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="audio/mp4" bandwidth="1"><BaseURL>file://{sound}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "smil.rm": '<smil><body><audio src="{sound}"/></body></smil>',
    "pipe.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{pipe}\n#EXT-X-ENDLIST\n",
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("what", ["sound", "load", "video"])
@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_list_of_other_files_is_refused(tmp_path, name, what):
    sound, pipe = tmp_path / "outside.wav", tmp_path / "pipe.wav"
    encode(sound, "pcm_s16le", 16_000)
    os.mkfifo(pipe)
    (tmp_path / name).write_text(PLAYLISTS[name].format(name=name, sound=sound, pipe=pipe))
    read = in_a_child(what, tmp_path / name)
    assert read.result.startswith(("AudioError: ", "OutputError: "))
    assert "not read here" in read.result or "cannot be read" in read.result or "could not be" in read.result
    assert read.grown_mib < MOST_MEMORY_MIB
    assert read.files < 20


def test_a_movie_whose_sound_lies_in_another_file_gives_none_of_it(tmp_path):
    """A QuickTime reference: the same tables, and the samples in another file."""
    whole, other = tmp_path / "whole.mov", tmp_path / "other.mov"
    encode(whole, "pcm_s16le", 16_000, np.full((1, 16_000), 0.5, np.float32))
    other.write_bytes(whole.read_bytes())
    alias = b"\0\0\0\x0calis\0\0\0\0"  # flags 0: not in this file
    data = whole.read_bytes()
    assert b"\0\0\0\x0curl \0\0\0\1" in data
    whole.write_bytes(data.replace(b"\0\0\0\x0curl \0\0\0\1", alias))
    read = in_a_child("sound", whole)
    assert "16000" in read.result or read.result.startswith("AudioError")  # by its own bytes, or not at all


@pytest.mark.parametrize("name", containers.CONTAINERS)
def test_libav_knows_every_container_by_its_name_here(name):
    assert any(name in each.split(",") for each in av.formats_available)


def test_what_shrinks_while_it_is_read_is_an_error(tmp_path):
    """Mapped into memory, it would end the process."""
    file = tmp_path / "voice.mp3"
    encode(file, "libmp3lame", sound=np.zeros((1, 44_100 * 60), np.float32))
    whole, failed = file.read_bytes(), 0
    stop = threading.Event()

    def write():  # as an upload under the same name does
        while not stop.is_set():
            for data in (b"", whole[:50_000], whole):
                file.write_bytes(data)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(150):
            try:
                audio_file.probe(file)
            except AudioError:
                failed += 1
    finally:
        stop.set()
        writing.join()
    assert failed  # else it was never read while it changed
    file.write_bytes(whole)
    assert audio_file.probe(file).samples == pytest.approx(44_100 * 60, abs=2000)


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "mkv"])
def test_a_short_read_is_reported(tmp_path, kind):
    file = tmp_path / f"voice.{kind}"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 44_100 * 30)).astype(np.float32)
    encode(file, {"mp3": "libmp3lame", "wav": "pcm_s16le"}.get(kind, "flac"), sound=noise)
    cut = iter([*[None] * 2, 1000])

    def check():
        if size := next(cut, None):
            os.truncate(file, size)

    with pytest.raises(AudioError, match="it was changed while it was read"):
        audio_file.probe(file, check=check)


def test_what_is_appended_while_it_is_read_is_not_seen(tmp_path):
    file = tmp_path / "voice.wav"
    encode(file, "pcm_s16le", 16_000)

    def check():
        with file.open("ab") as more:
            more.write(bytes(10_000))

    assert audio_file.probe(file, check=check).samples == 16_000


def riff(*parts, rate=16_000, samples=4000, kind=b"RIFF"):
    head = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVE" + chunk(b"fmt ", head) + b"".join(parts) + chunk(b"data", bytes(2 * samples))
    return kind + struct.pack("<I", len(body)) + body


def chunk(name, data, size=None):
    return name + struct.pack("<I", len(data) if size is None else size) + data


CLAIMS = {
    "text in a list": riff(chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a" * 1000, 0x7FFF0000), 0x7FFF0010)),
    "a list": riff(chunk(b"LIST", b"INFO" + bytes(40), 0x7FFF0000)),
    "a broadcast header": riff(chunk(b"bext", b"a" * 602, 0x7FFF0000)),
    "an unknown chunk": riff(chunk(b"iXML", b"a" * 602, 0x7FFF0000)),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_chunk_that_claims_gigabytes_costs_none(tmp_path, name):
    (tmp_path / "tag.wav").write_bytes(CLAIMS[name])
    read = in_a_child("sound", tmp_path / "tag.wav")
    assert "it is damaged: its chunk" in read.result
    assert read.grown_mib < MOST_MEMORY_MIB


HONEST = {
    "plain": riff(),
    "with a tag": riff(chunk(b"LIST", b"INFO" + chunk(b"INAM", b"name\0\0"))),
    "recording that was never finished": riff()[:-8008] + b"data\xff\xff\xff\xff" + bytes(8000),
    "recording that has not begun to be finished": riff()[:-8008] + b"data\0\0\0\0" + b"\xff\x7f" * 4000,
    "tag cut off after the sound": riff() + chunk(b"LIST", b"INFO", 5000),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_chunks_are_read(tmp_path, name):
    (tmp_path / "voice.wav").write_bytes(HONEST[name])
    assert audio_file.probe(tmp_path / "voice.wav").samples == 4000


@pytest.mark.parametrize("start", [b"ID3\3", b"fLaC", b"OggS", b"", b"RIFF"])
def test_chunks_are_looked_for_in_their_own_kind_of_file(start):
    data = start + b"\xff" * 100
    content = SimpleNamespace(size=len(data), read_at=lambda offset, count: data[offset : offset + count])
    assert bool(riff_chunks.fault(content)) == (start == b"RIFF")


def test_a_rate_no_voice_has_is_refused_at_once(tmp_path):
    """libav hands out a 25th of a second at a time: at 1 Hz a sample, and 50 MB take a minute."""
    (tmp_path / "slow.wav").write_bytes(riff(rate=1, samples=20_000_000))
    begun = time.monotonic()
    with pytest.raises(AudioError, match="its sample rate of 1 Hz is outside 1,000"):
        audio_file.probe(tmp_path / "slow.wav")
    assert time.monotonic() - begun < 10  # and not a minute


def synchsafe(size):
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def cover(side):
    """An ID3 tag with a GIF that claims `side` pixels a side."""
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    gif += b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\0;"
    frame = b"\0image/gif\0\3\0" + gif
    frame = b"APIC" + struct.pack(">I", len(frame)) + b"\0\0" + frame
    return b"ID3\3\0\0" + synchsafe(3 * len(frame)) + 3 * frame


def test_a_cover_is_not_decoded(tmp_path):
    """libav looks into every stream while it opens a file: three such covers would cost 2.9 GB."""
    encode(tmp_path / "voice.mp3", "libmp3lame")
    samples = audio_file.probe(tmp_path / "voice.mp3").samples
    (tmp_path / "voice.mp3").write_bytes(cover(16_000) + (tmp_path / "voice.mp3").read_bytes())
    read = in_a_child("sound", tmp_path / "voice.mp3")
    assert f"samples={samples}" in read.result
    assert read.grown_mib < MOST_MEMORY_MIB


def test_only_decoders_of_sound_look_into_a_sound_file():
    kinds = {av.codec.Codec(name, "r").type for name in containers.sound_decoders()}
    assert kinds == {"audio"}
    assert {"aac", "flac", "mp3", "opus", "pcm_s16le", "vorbis"} <= set(containers.sound_decoders())


def patched(data, box, *changes):
    """`data` with other numbers in the first box of that name: (offset after the name, number)."""
    data, at = bytearray(data), data.index(box) + 4
    for offset, number in changes:
        struct.pack_into(">I", data, at + offset, number)
    return bytes(data)


TABLES = {  # what is changed in an M4A (of fragments: in its trun)
    "a size for all": (False, b"stsz", [(4, 1), (8, 40_000_000)]),
    "lasting": (False, b"stts", [(8, 40_000_000)]),
    "fragments": (True, b"trun", [(0, 0), (4, 40_000_000)]),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_claims_millions_of_samples_costs_nothing(tmp_path, name):
    fragments, box, changes = TABLES[name]
    file = tmp_path / "voice.m4a"
    encode(file, "aac", **({"movflags": "frag_keyframe+empty_moov"} if fragments else {}))
    assert audio_file.probe(file).samples
    file.write_bytes(patched(file.read_bytes(), box, *changes))
    read = in_a_child("sound", file)
    assert "it is damaged: its tables claim 40,000,0" in read.result
    assert read.grown_mib < MOST_MEMORY_MIB


@pytest.mark.parametrize(
    "table",
    [
        box(b"iloc", b"\2\0\0\0", b"\x44\0", struct.pack(">I", 200_000_000)),
        box(b"iinf", b"\1\0\0\0", struct.pack(">I", 200_000_000)),
        box(b"free", bytes(3 << 20)) + box(b"iloc", b"\2\0\0\0", b"\x44\0", struct.pack(">I", 200_000_000)),
    ],
    ids=["places", "names", "far in"],
)
@pytest.mark.parametrize("what", ["picture", "sound"])
def test_a_heic_that_claims_millions_of_items_costs_nothing(tmp_path, what, table):
    (tmp_path / "photo.heic").write_bytes(meta(table) + box(b"mdat", bytes(64)))
    read = in_a_child(what, tmp_path / "photo.heic")
    assert "it is damaged: its tables claim 200,000,000 entries" in read.result
    assert read.grown_mib < MOST_MEMORY_MIB


def qoi(width, height):
    return b"qoif" + struct.pack(">II", width, height) + b"\3\0" + b"\xfd" * 60 + bytes(7) + b"\1"


@pytest.mark.parametrize(
    "data",
    [
        qoi(30_000, 30_000),
        b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(12) + b"\0\1" + bytes(99),
        heic(gradient()).replace(struct.pack(">II", 64, 64), struct.pack(">II", 30_000, 30_000)),
        png(gradient(), *[png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 << 20)))] * 20),
        png(gradient(), png_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(500 << 20)))),
    ],
    ids=["QOI", "PSD", "HEIC", "texts", "profile"],
)
def test_a_picture_that_unpacks_to_gigabytes_costs_nothing(tmp_path, data):
    (tmp_path / "photo.png").write_bytes(data)
    assert in_a_child("picture", tmp_path / "photo.png").grown_mib < MOST_MEMORY_MIB


def test_tables_of_uncompressed_sound_may_have_a_line_for_a_byte_pair(tmp_path):
    encode(tmp_path / "voice.mov", "pcm_s16le", 8000, np.zeros((1, 8_000_000), np.float32))
    assert audio_file.probe(tmp_path / "voice.mov").samples == 8_000_000


def jpeg(parts=0, scans=1, fill=0):
    """A JPEG of 8×8 pixels whose header has more `parts`, `scans` and bytes of `fill`."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 200).save(buffer, "JPEG")
    data = buffer.getvalue()
    at = data.index(b"\xff\xda")
    head, scan = data[:at], data[at:-2]
    return head[:2] + b"\xff" * fill + b"\xff\xe5\0\2" * parts + head[2:] + scan * scans + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg(parts=10_001), "more than 10,000 parts"),
        (jpeg(scans=51), "more than 50 scans"),
        (jpeg(fill=1 << 20), "long runs of fill bytes"),
    ],
    ids=["parts", "scans", "fill"],
)
def test_a_jpeg_that_takes_minutes_is_refused(tmp_path, data, message):
    (tmp_path / "photo.jpg").write_bytes(data)
    for read in (picture.read_size, picture.load):
        with pytest.raises(PictureError, match=message):
            read(tmp_path / "photo.jpg")


def test_an_honest_jpeg_is_read(tmp_path):
    (tmp_path / "plain.jpg").write_bytes(jpeg(parts=100, fill=10) + b"a film after it \xff\xda" * 100)
    assert picture.read_size(tmp_path / "plain.jpg") == (8, 8)
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "progressive.jpg", progressive=True, quality=95)
    assert picture.load(tmp_path / "progressive.jpg").shape == (300, 400, 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_decoding_a_picture_stops_when_it_is_cancelled(tmp_path, kind):
    noise = np.random.default_rng(1).integers(0, 255, (1200, 900, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture", kind)
    for read in (picture.read_size, picture.load):
        asked = []
        read(tmp_path / "picture", check=lambda asked=asked: asked.append(1))
        for last in range(1, len(asked) + 1):
            calls = []

            def check(calls=calls, last=last):
                calls.append(1)
                if len(calls) == last:
                    raise InterruptedError("enough")

            with pytest.raises(InterruptedError, match="enough"):
                read(tmp_path / "picture", check=check)


def test_the_search_for_silence_stops_when_it_is_cancelled():
    sound = Sound(np.zeros((1, 16_000 * 60), np.float32), 16_000)
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 3:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        silence.find_silence(sound, check=check)


@pytest.mark.parametrize(
    ("rate", "message"), [(1, "sample rate of 1 Hz"), (1_000_000_000, "sample rate of 1000000000 Hz")]
)
def test_a_claim_is_held_against_the_same_limits(tmp_path, rate, message):
    data = bytearray(riff(samples=4000))
    struct.pack_into("<II", data, 24, rate, 2 * rate % (1 << 32))
    (tmp_path / "claim.wav").write_bytes(bytes(data))
    with pytest.raises(AudioError, match=f"sample rate of {rate} Hz"):
        audio_file.claimed(tmp_path / "claim.wav")


def test_a_claim_of_more_than_any_job_may_have_is_refused(tmp_path):
    with (tmp_path / "long.wav").open("wb") as file:
        file.write(riff(samples=0, rate=1000)[:-4] + b"\xff\xff\xff\xff")
        file.truncate(4_000_000_000)
    with pytest.raises(AudioError, match="longer than 100 hours"):
        audio_file.claimed(tmp_path / "long.wav")


def test_work_stops_when_it_is_cancelled(tmp_path):
    hours_of_silence(tmp_path / "long.flac", 2)
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 50:
            raise InterruptedError("enough")

    for read in (audio_file.probe, audio_file.load):
        asked.clear()
        with pytest.raises(InterruptedError, match="enough"):
            read(tmp_path / "long.flac", check=check)


def test_a_caller_with_a_time_limit_gets_the_length_in_the_header(tmp_path, monkeypatch):
    hours_of_silence(tmp_path / "long.flac", 1)
    monkeypatch.setattr(audio_file, "COUNT_LIMIT_S", 0.0)
    with pytest.raises(SlowFileError, match=r"long\.flac: to look through it takes more than"):
        audio_file.probe(tmp_path / "long.flac")
    monkeypatch.undo()
    claim = audio_file.claimed(tmp_path / "long.flac")
    assert (claim.duration_s, claim.counted) == (3600, False)
    assert (claim.sample_rate, claim.channels, claim.codec) == (48_000, 1, "flac")


def test_a_header_that_reports_nothing_is_no_claim(tmp_path):
    with av.open(str(tmp_path / "live.mkv"), "w", options={"live": "1"}) as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="does not say how long"):
        audio_file.claimed(tmp_path / "live.mkv")
    assert audio_file.probe(tmp_path / "live.mkv").samples == 16_000


def test_a_file_read_for_ever_is_given_up(tmp_path, monkeypatch):
    encode(tmp_path / "voice.wav", "pcm_s16le", 16_000)
    monkeypatch.setattr(containers, "ALWAYS_READ_BYTES", 0)
    monkeypatch.setattr(containers, "MAX_READ_FACTOR", 0.5)
    with pytest.raises(AudioError, match="without an end"):
        audio_file.probe(tmp_path / "voice.wav")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(/tmp/started) (w) file closefile showpage\n"


@pytest.mark.parametrize("name", ["portrait.png", "portrait.eps", "portrait.jpg"])
def test_a_picture_starts_no_program(tmp_path, name):
    """Pillow gives PostScript to Ghostscript, whatever the file's name."""
    (tmp_path / name).write_bytes(POSTSCRIPT)
    for read in (picture.read_size, picture.load):
        with pytest.raises(PictureError, match="this is not a picture"):
            read(tmp_path / name)


def test_every_format_that_is_meant_is_read(tmp_path):
    for kind in picture._formats():
        Image.new("RGB", (40, 30), "red").save(tmp_path / "picture", kind)
        assert picture.load(tmp_path / "picture").shape == (30, 40, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("what", ["sound", "load", "video", "picture"])
def test_a_pipe_is_not_waited_for(tmp_path, what):
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe cannot be read twice" in in_a_child(what, tmp_path / "pipe").result


def test_a_video_that_is_cut_off_while_it_is_read_is_an_error(tmp_path):
    file = tmp_path / "film.mkv"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=64, height=64)
        noise = np.random.default_rng(1)
        for _ in range(40):
            picture_ = noise.integers(0, 255, (64, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_, format="rgb24")))
        container.mux(stream.encode(None))
    assert verify(file).frames == 40
    iterator = frames(file)
    next(iterator)
    os.truncate(file, 100_000)
    with pytest.raises(OutputError, match="changed while it was read"):
        list(iterator)


def calls(path):
    """Every call in a module, as it is written."""
    return [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]


def test_media_is_opened_in_no_other_way():
    """A file that is opened elsewhere is not protected from playlists, pipes and programs."""
    for path in sorted(path for part in ("sonic_guard", "nodes") for path in (PACK / part).rglob("*.py")):
        if "trace" in path.parts:  # not published, and opens no media
            continue
        assert "mmap" not in path.read_text("utf-8"), path
        for call in calls(path):
            match ast.unparse(call.func), [ast.unparse(each) for each in call.args]:
                case "av.open", [_, "'w'"]:
                    pass
                case "av.open" | "Image.open", _:
                    assert path.name in ("containers.py", "picture.py"), f"{path}:{call.lineno}"
                case "AudioSegment.from_file" | "cv2.imread" | "cv2.VideoCapture" | "librosa.load", _:
                    pytest.fail(f"{path}:{call.lineno}")
