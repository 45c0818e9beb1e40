"""What is no plain file is refused by its kind at once, without waiting for a pipe."""

import os
import socket
import threading

import pytest

from sonic_guard.errors import MAX_ERROR_TEXT, PictureError, SonicGuardError, first_of
from sonic_guard.plain_files import MAX_SHOWN, open_plain, plain_file, shown

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and sockets in the file system are POSIX's")
WAYS = [plain_file, open_plain]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plain_file_is_given_by_its_whole_path_and_opened(here):
    (here / "a.png").write_bytes(b"picture")
    (here / "link.png").symlink_to("a.png")
    assert plain_file("a.png", PictureError, "a picture") == here / "a.png"
    for name in ("a.png", here / "a.png", "link.png"):
        with open_plain(name, PictureError, "a picture") as file:
            assert file.read() == b"picture"
            assert file.seek(0) == 0
            if os.name == "posix":
                assert os.get_blocking(file.fileno())
                assert not os.get_inheritable(file.fileno())


def _folder(path):
    path.mkdir()


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))  # its name may have 107 bytes


def _broken_link(path):
    path.symlink_to("nothing")


def _circle(path):
    path.symlink_to(path)


def _link_to_pipe(path):
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_folder, "this is a folder, not a picture."),
        pytest.param(_pipe, "a pipe cannot be read twice: save it to a file.", marks=posix),
        pytest.param(_link_to_pipe, "a pipe cannot be read twice: save it to a file.", marks=posix),
        pytest.param(_socket, "this is a socket, not a picture.", marks=posix),
        (_broken_link, "this is a link to a file that is not there. Choose the file itself."),
        (_circle, "this is a link that leads in a circle. Choose the file itself."),
        (lambda path: None, "there is no such file. Check the path."),
    ],
)
def test_what_is_no_plain_file_is_named_as_what_it_is(here, way, make, message):
    make(here / "a.png")
    with pytest.raises(PictureError) as caught:
        way("a.png", PictureError, "a picture")
    assert str(caught.value) == f"a.png: {message}"
    assert caught.value.path == here / "a.png"


@posix
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/zero", "zero: this is a device, not a picture."),
        ("/dev/tty", "tty: this is a device, not a picture."),
        ("/dev/null/a.png", "a.png: there is no such file. Check the path."),
        ("/", "/: this is a folder, not a picture."),
        ("a\0b.png", r"a\x00b.png: this is not the name of a file. Check the path."),
        ("a\ud800.png", r"a\ud800.png: this is not the name of a file. Check the path."),
        ("x" * 5000, "x" * MAX_SHOWN + "…: no file has so long a name. Check the path."),
    ],
)
def test_impossible_names_and_devices_are_sentences(here, way, path, message):
    with pytest.raises(PictureError) as caught:
        way(path, PictureError, "a picture")
    assert str(caught.value) == message


@posix
def test_what_a_shell_makes_of_a_command_in_brackets_is_a_pipe():
    read_end, write_end = os.pipe()
    try:
        with pytest.raises(PictureError, match="a pipe cannot be read twice: save it to a file"):
            plain_file(f"/dev/fd/{read_end}", PictureError, "a picture")
    finally:
        os.close(read_end)
        os.close(write_end)


@posix
def test_a_file_that_becomes_a_pipe_between_check_and_opening_does_not_block(here, monkeypatch):
    (here / "a.png").write_bytes(b"picture")
    look = os.stat

    def look_then_swap(path, *more, **options):
        status = look(path, *more, **options)
        (here / "a.png").unlink()
        os.mkfifo(here / "a.png")
        return status

    messages = []

    def attempt():
        with pytest.raises(PictureError) as caught:
            open_plain("a.png", PictureError, "a picture")
        messages.append(str(caught.value))

    monkeypatch.setattr(os, "stat", look_then_swap)
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(30)
    monkeypatch.undo()
    assert messages == ["a.png: a pipe cannot be read twice: save it to a file."]


@posix
@pytest.mark.parametrize("way", WAYS)
def test_a_folder_that_may_not_be_entered_is_reported(here, way):
    (here / "closed").mkdir()
    (here / "closed" / "a.png").touch()
    (here / "closed").chmod(0)
    before = os.geteuid()
    try:
        if before == 0:  # who may enter everything
            os.seteuid(65534)
        with pytest.raises(PictureError, match=r"a\.png: it may not be read\. Change its permissions"):
            way(here / "closed" / "a.png", PictureError, "a picture")
    finally:
        os.seteuid(before)
        (here / "closed").chmod(0o700)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/ann/pictures/a.png", "a.png"),
        ("a\nb.png", r"a\nb.png"),
        ("a\x1b[2Jb.png", r"a\x1b[2Jb.png"),
        (b"a\xff.png".decode("utf-8", "surrogateescape"), r"a\udcff.png"),
        ("a\u202egnp.png", r"a\u202egnp.png"),
        ("人像.png", "人像.png"),
        ("Screenshot at 9.41\u202fAM.png", "Screenshot at 9.41\u202fAM.png"),
        ("人\u3000像.png", "人\u3000像.png"),
    ],
)
def test_a_name_is_shown_without_its_folder_and_in_one_line(path, name):
    assert shown(path) == name


def test_of_a_long_list_the_first_are_reported_and_the_others_counted():
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(dict.fromkeys("abc"), 2) == "a, b … (and 1 more)"
    assert first_of([str(number) for number in range(5002)], 2, " ") == "0 1 … (and 5,000 more)"


def test_no_error_is_longer_than_a_page_of_text():
    assert str(SonicGuardError("a" * MAX_ERROR_TEXT)) == "a" * MAX_ERROR_TEXT
    text = str(PictureError("b" * 1_000_000))
    assert text == "b" * MAX_ERROR_TEXT + f"… (characters left out: {1_000_000 - MAX_ERROR_TEXT:,})"
