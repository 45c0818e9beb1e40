"""Which files a name may stand for; each is read once."""

import errno
import math
import os
import threading
import time
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from sonic_guard.errors import AudioError, FileNameError, PictureError, SlowFileError, UnknownNameError
from sonic_guard.media import audio_file, picture, silence
from sonic_guard.media.audio_tracks import Hearing
from sonic_guard.media.face import find_faces
from sonic_guard.preview import file_outcomes
from sonic_guard.preview import input_files as preview_files
from sonic_guard.preview.file_outcomes import Substitute, attempt
from sonic_guard.preview.input_files import Files, NotYetError, _CancelledError, resolve
from tests.support.graphs import write_wav
from tests.support.opened_files import opened_files
from tests.support.sound_files import long_sound

RATE = 16_000
ASTRONAUT = Image.fromarray(skimage.data.astronaut())


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "input"
    (home / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "input2").mkdir()
    (tmp_path / "input2" / "secret.png").write_bytes(b"secret")
    for name in ("a.png", "sub/b.png", "full　width name.png", "[odd].png"):
        (home / name).write_bytes(b"x")
    (home / "out.png").symlink_to(tmp_path / "secret.png")
    (home / "outside").symlink_to(tmp_path / "input2")
    (home / "inside.png").symlink_to(home / "a.png")
    (home / "loop.png").symlink_to(home / "loop.png")
    return home


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.png", "a.png"),
        ("sub/b.png", "sub/b.png"),
        ("./sub//b.png", "sub/b.png"),
        ("a.png [input]", "a.png"),
        ("sub/b.png [input]", "sub/b.png"),
        ("full　width name.png", "full　width name.png"),
        ("[odd].png", "[odd].png"),
        ("inside.png", "a.png"),
    ],
)
def test_names_of_files_in_the_folder(folder, name, file):
    assert resolve(folder, name) == (folder / file).resolve()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png", "sub/../../secret.png", "sub/..", "..", "../input2/secret.png", "/etc/passwd",
        "//server/a.png", "C:/a.png", "c:a.png", "C:\\a.png", "..\\secret.png", "sub\\b.png", "a.png\0", "a.png\n",
        "\x7f", "\ud800.png",
        "a.png [output]", "a.png [temp]", "a.png[output]", "a.png [output] [input]", "out.png", "outside/secret.png",
        "x" * 5000, "",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere(folder, name):
    with pytest.raises(FileNameError):
        resolve(folder, name)


@pytest.mark.parametrize(
    "name", ["b.png", "sub", ".", "a.png/x", "x" * 300, "loop.png", "sub/ghost/b.png", "a.png [x]"]
)
def test_names_of_nothing(folder, name):
    with pytest.raises(UnknownNameError):
        resolve(folder, name)


def test_whether_a_file_is_there(folder):
    files = Files(lambda: folder)
    assert files.has("sub/b.png")
    assert not files.has("sub")
    assert not files.has("ghost.png")
    with pytest.raises(FileNameError):
        files.has("../secret.png")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("input/a.png", "a.png"),
        ("input/sub/b.png", "sub/b.png"),
        ("./input/a.png", "a.png"),
        ("{folder}/sub/b.png", "sub/b.png"),
        ("input/../secret.png", "../secret.png"),
        ("input", None),
        ("a.png", None),
        ("output/a.png", None),
        ("../input/a.png", None),
        ("/etc/passwd", None),
        ("{folder}2/secret.png", None),
        ("https://x.org/input/a.png", None),
        ("", None),
    ],
)
def test_paths_as_names(folder, path, name):
    """A name is not checked here; `resolve` refuses one that leads out."""
    assert Files(lambda: folder).name_of(path.format(folder=folder)) == name


@settings(deadline=None)
@given(name=st.text() | st.text(alphabet="./\\a:~[]input ").map(lambda text: f"sub/{text}"))
def test_no_name_leads_out(tmp_path_factory, name):
    home = tmp_path_factory.getbasetemp() / "home"
    (home / "sub").mkdir(parents=True, exist_ok=True)
    try:
        path = resolve(home, name)
    except (FileNameError, UnknownNameError):
        return
    assert path.is_relative_to(home.resolve())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_plain_file_is_not_there(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(UnknownNameError):
        resolve(folder, "pipe.png")


@pytest.fixture
def media(tmp_path):
    ASTRONAUT.save(tmp_path / "face.png")
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    write_wav(tmp_path / "voice.wav", 3.0, quiet_s=0.5)
    write_wav(tmp_path / "silence.wav", 1.0, quiet_s=1.0)
    return tmp_path


def test_it_returns_what_the_library_returns(media):
    files = Files(lambda: media)
    assert files.size("face.png") == ASTRONAUT.size
    assert files.faces("face.png") == tuple(find_faces(picture.load(media / "face.png")))
    assert files.faces("plain.png") == ()
    assert files.sound("voice.wav").duration_s == 3.0
    assert files.voice_s("voice.wav") == silence.cut_silence(audio_file.load(media / "voice.wav")).duration_s
    assert files.voice_s("voice.wav") == pytest.approx(2.2, abs=0.02)


@pytest.mark.parametrize(
    ("ask", "name", "error"),
    [
        ("size", "broken.png", PictureError),
        ("faces", "broken.png", PictureError),
        ("size", "voice.wav", PictureError),
        ("sound", "face.png", AudioError),
        ("voice_s", "silence.wav", AudioError),
        ("sound", "ghost.wav", UnknownNameError),
    ],
)
def test_errors_come_again_and_do_not_name_the_folder(media, ask, name, error):
    files = Files(lambda: media)
    for _ in range(3):
        with pytest.raises(error) as caught:
            getattr(files, ask)(name)
        assert str(media) not in str(caught.value)


def test_a_changed_file_is_looked_at_again(media):
    files = Files(lambda: media)
    assert files.size("face.png") == (512, 512)
    ASTRONAUT.crop((0, 0, 400, 300)).save(media / "face.png")
    assert files.size("face.png") == (400, 300)


def test_many_at_once_look_once(media):
    files, answers, ask_now = Files(lambda: media), [], threading.Event()

    def ask():
        ask_now.wait(10)
        answers.append(files.faces("face.png"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    with opened_files() as opened:
        ask_now.set()
        for thread in threads:
            thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert opened.count(str(media / "face.png")) == 2  # once for its header, once for its pixels


@contextmanager
def busy_ears(files):
    """The thread that reads sounds is busy."""
    done = threading.Event()
    files._sounds.submit(done.wait)
    try:
        yield
    finally:
        done.set()


def test_a_caller_that_does_not_wait_gets_a_future(media):
    files = Files(lambda: media)
    with busy_ears(files), pytest.raises(NotYetError) as caught:
        files.without_waiting().sound("voice.wav")
    caught.value.future.result(timeout=10)
    assert files.without_waiting().sound("voice.wav").duration_s == 3.0


def test_it_forgets_what_was_asked_longest_ago(media):
    files = Files(lambda: media, capacity=2)
    hasty = files.without_waiting()
    files.sound("voice.wav")
    files.size("face.png")
    files.size("plain.png")
    assert hasty.size("face.png") == (512, 512)
    with busy_ears(files), pytest.raises(NotYetError):
        hasty.sound("voice.wav")


def test_a_sound_too_long_to_decode_keeps_its_silence(media, monkeypatch):
    monkeypatch.setattr(preview_files, "MAX_DECODED_BYTES", 3 * RATE * 4 - 1)
    assert Files(lambda: media).voice_s("voice.wav") is None


@pytest.mark.parametrize("scene", ["close", "small", "turned"])
def test_a_large_jpeg_is_looked_at_smaller_with_the_same_face(tmp_path, scene):
    """Within two pixels of the full picture's box."""
    rng = np.random.default_rng(7)
    canvas = Image.fromarray(rng.integers(60, 200, (300, 400, 3), dtype=np.uint8)).resize((4000, 3000))
    side, at = {"close": (3000, (500, 0)), "small": (1200, (2300, 900)), "turned": (2500, (700, 300))}[scene]
    canvas.paste(ASTRONAUT.resize((side, side)), at)
    exif = Image.Exif()
    if scene == "turned":
        canvas = canvas.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6
    canvas.save(tmp_path / "photo.jpg", quality=90, exif=exif)
    files = Files(lambda: tmp_path)
    assert files.size("photo.jpg") == (4000, 3000)
    (face, *_), (full, *_) = files.faces("photo.jpg"), find_faces(picture.load(tmp_path / "photo.jpg"))
    assert np.abs(np.subtract(face.box, full.box)).max() <= 2
    assert picture.load(tmp_path / "photo.jpg", enough=1280).shape == (1500, 2000, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_the_size_in_the_header_is_the_pictures(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{kind}"
    ASTRONAUT.crop((0, 0, 300, 200)).save(path, exif=exif)
    height, width, _ = picture.load(path).shape
    assert picture.read_size(path) == (width, height)


def test_enough_is_never_less_than_asked_for(tmp_path):
    ASTRONAUT.resize((2600, 1300)).save(tmp_path / "wide.jpg")
    long_sides = [max(picture.load(tmp_path / "wide.jpg", enough=side).shape) for side in (3000, 1301, 1300, 600, 1)]
    assert long_sides == [2600, 2600, 1300, 650, 325]


def waited_for(files, name):
    """Request the length of a sound and wait for it."""
    with pytest.raises(NotYetError) as caught:
        files.without_waiting().sound(name)
    return caught.value


def test_work_without_waiters_is_cancelled(media):
    seconds = long_sound(media / "long.wav")
    files = Files(lambda: media)
    waiting = waited_for(files, "long.wav")
    with waiting.wanted():
        assert not waiting.future.done()
    with pytest.raises((_CancelledError, CancelledError)):
        waiting.future.result(timeout=30)
    assert files.sound("voice.wav").duration_s == 3.0  # its turn has come
    assert files.sound("long.wav").duration_s == pytest.approx(seconds)  # a later request gets an answer


def test_queued_work_without_waiters_is_not_started(media):
    files = Files(lambda: media)
    with busy_ears(files):
        waiting = waited_for(files, "voice.wav")
        with waiting.wanted():
            pass
        assert waiting.future.cancelled()
    assert files.sound("voice.wav").duration_s == 3.0


def test_one_of_two_who_wait_may_leave(media):
    files = Files(lambda: media)
    with ExitStack() as stays:
        with busy_ears(files):
            first, second = waited_for(files, "voice.wav"), waited_for(files, "voice.wav")
            stays.enter_context(second.wanted())
            with first.wanted():
                pass
        assert second.future.result(timeout=10).found.duration_s == 3.0


def test_what_takes_too_long_to_count_is_what_the_header_claims(media, monkeypatch):
    seconds = long_sound(media / "long.wav")
    monkeypatch.setattr(preview_files, "LIMIT_S", 0.5)
    files = Files(lambda: media)
    info = files.sound("long.wav")
    assert (info.duration_s, info.counted) == (pytest.approx(seconds), False)
    assert files.voice_s("long.wav") is None


def test_no_face_is_looked_for_in_a_picture_that_takes_seconds_to_decode(media, monkeypatch):
    monkeypatch.setattr(preview_files, "MAX_SEARCHED_PIXELS", 512 * 512 - 1)
    files = Files(lambda: media)
    assert files.size("face.png") == (512, 512)
    assert files.faces("face.png") is None
    assert files.faces("plain.png") == ()


def test_a_face_search_ends_with_its_last_waiter(media, monkeypatch):
    monkeypatch.setattr(preview_files, "LIMIT_S", 0.0)
    assert Files(lambda: media).faces("plain.png") is None


def test_a_header_takes_milliseconds_or_is_given_up(media, monkeypatch):
    monkeypatch.setattr(preview_files, "HEADER_LIMIT_S", 0.0)
    with pytest.raises(SlowFileError, match=r"face\.png: to look through it takes more than 0 s.*a picture as PNG"):
        Files(lambda: media).size("face.png")


PAUSE_S = 0.3


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr(file_outcomes, "FIRST_PAUSE_S", PAUSE_S)


@pytest.fixture
def slow_at_first(media, monkeypatch, short_pauses):
    """Files on a disk that was asleep when the header of face.png was read."""
    files = Files(lambda: media)
    with monkeypatch.context() as asleep:
        asleep.setattr(preview_files, "HEADER_LIMIT_S", 0.0)
        with pytest.raises(SlowFileError):
            files.size("face.png")
    return files


def test_a_header_on_a_disk_that_was_asleep_is_read_after_a_pause(media, slow_at_first):
    files = slow_at_first
    with opened_files() as opened:
        for _ in range(50):
            with pytest.raises(SlowFileError):
                files.without_waiting().size("face.png")
    assert str(media / "face.png") not in opened, "asking again is cheap"
    time.sleep(PAUSE_S)
    assert files.size("face.png") == (512, 512)


def test_a_page_waits_for_the_second_attempt_at_an_error(slow_at_first):
    files = slow_at_first
    time.sleep(PAUSE_S)
    held = threading.Event()
    files._headers.submit(held.wait)
    with pytest.raises(NotYetError) as caught:
        files.without_waiting().size("face.png")
    held.set()
    caught.value.future.result(timeout=10)
    assert files.without_waiting().size("face.png") == (512, 512)


@pytest.mark.parametrize(
    ("ask", "name", "substitute", "value"),
    [
        ("hearing", "voice.wav", None, Hearing(1, silent=False, tracks=1)),
        ("voice_s", "voice.wav", None, pytest.approx(2.2, abs=0.02)),
        ("faces", "plain.png", None, ()),
    ],
)
def test_what_timed_out_is_replaced_when_it_is_known(media, monkeypatch, short_pauses, ask, name, substitute, value):
    files = Files(lambda: media)
    files.sound("voice.wav")
    with monkeypatch.context() as busy:
        busy.setattr(preview_files, "LIMIT_S", 0.0)
        assert getattr(files, ask)(name) is substitute
    hasty = files.without_waiting()
    assert getattr(hasty, ask)(name) is substitute
    time.sleep(PAUSE_S)
    ends_s = time.monotonic() + 10
    while (given := getattr(hasty, ask)(name)) is substitute:  # nobody waits meanwhile
        assert time.monotonic() < ends_s
        time.sleep(0.01)
    assert given == value


def test_a_length_that_a_header_claims_is_counted_later(media, monkeypatch, short_pauses):
    long_sound(media / "long.wav", 400_000_000)
    files = Files(lambda: media)
    with monkeypatch.context() as busy:
        busy.setattr(preview_files, "LIMIT_S", 0.05)
        assert not files.sound("long.wav").counted
    time.sleep(PAUSE_S)
    ends_s = time.monotonic() + 10
    while not files.without_waiting().sound("long.wav").counted:
        assert time.monotonic() < ends_s
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_could_not_be_opened_is_tried_again(media, short_pauses):
    files, file = Files(lambda: media), media / "face.png"
    file.chmod(0)
    with pytest.raises(PictureError, match="it may not be read"):
        files.size("face.png")
    file.chmod(0o600)
    time.sleep(PAUSE_S)
    assert files.size("face.png") == (512, 512)


def test_damage_does_not_pass(media, short_pauses):
    files = Files(lambda: media)
    (media / "cut.png").write_bytes((media / "face.png").read_bytes()[:20])
    for ask, name in (("size", "broken.png"), ("size", "cut.png"), ("sound", "face.png"), ("voice_s", "silence.wav")):
        with pytest.raises((PictureError, AudioError)):
            getattr(files, ask)(name)
    time.sleep(PAUSE_S)
    with opened_files() as opened:
        for ask, name in (
            ("size", "broken.png"),
            ("size", "cut.png"),
            ("sound", "face.png"),
            ("voice_s", "silence.wav"),
        ):
            with pytest.raises((PictureError, AudioError)):
                getattr(files, ask)(name)
    assert not [path for path in opened if path.startswith(str(media))]


def _slow():
    raise SlowFileError("slow")


def _gone():
    raise OSError(errno.EIO, "Input/output error")


def _unreadable():
    raise PictureError("cannot be read") from OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("fails", [_slow, _gone, _unreadable, lambda: Substitute(None)])
def test_the_pauses_grow_up_to_half_an_hour(media, fails):
    def pause_s(before):
        return attempt(fails, media / "face.png", before).until_s - time.monotonic()

    pauses = [pause_s(before) for before in (0, 1, 2, 3, 4, 5, 6, 7, 5000)]
    assert pauses == pytest.approx([5, 15, 45, 135, 405, 1215, 1800, 1800, 1800], abs=0.5)


@pytest.mark.parametrize("error", [PictureError("damaged"), UnidentifiedImageError("no picture"), ValueError("odd")])
def test_what_a_file_itself_has_caused_is_not_tried_again(media, error):
    def fails():
        raise PictureError("damaged") from error

    assert attempt(fails, media / "face.png", 0).until_s == math.inf
