"""Files of a park by content, in a folder and in a bucket of an S3-compatible server."""

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest

from sonic_guard.errors import FarmError, OutputError
from sonic_guard.messages.error_messages import error_text
from sonic_guard.park.files import FileStore, checked_name, digest_of_key, key_of
from tests.support import s3_server

BUCKET = "sonic-guard-tests"

SPAWN = multiprocessing.get_context("spawn")
"""Its processes get the environment of the moment, in which the server's keys are; a server of forks has an older."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The location of a bucket; the server is found by the environment, as users have it."""
    with (
        s3_server.running(tmp_path_factory.mktemp("s3") / "server.log") as variables,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        import s3fs

        files = s3fs.S3FileSystem()
        if not files.exists(BUCKET):
            files.mkdir(BUCKET)
        yield f"s3://{BUCKET}"


@pytest.fixture(params=["folder", "s3"])
def location(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def store(location):
    return FileStore(location)


KEY = f".sonic-guard/videos/{'0' * 64}"


def video(folder, name="clip.mp4", content=b"frames" * 1000):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1], ids=["empty", "byte", "chunk", "chunks"])
def test_what_is_stored_is_read_back_whole(store, tmp_path, size):
    content = os.urandom(size)
    stored = store.put(video(tmp_path, content=content))
    assert stored.size_bytes == size
    assert stored.digest == hashlib.sha256(content).hexdigest()
    store.get(stored.key, tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").read_bytes() == content


def test_a_large_file_goes_up_in_parts(s3, tmp_path):
    """S3 takes files of more than two chunks of 50 MB in parts."""
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        for number in range(110):
            file.write(bytes([number]) * (1 << 20))
    store = FileStore(f"{s3}/large")
    stored = store.put(path)
    assert store.size_bytes(stored.key) == 110 << 20
    store.get(stored.key, tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").read_bytes() == path.read_bytes()


def test_the_same_content_is_there_once(store, tmp_path):
    first = store.put(video(tmp_path, "one.mp4"))
    assert store.put(video(tmp_path, "two.MP4")) == first
    assert store.put(video(tmp_path, "three.mp4", b"other")) != first


def put_often(location, path, barrier):
    barrier.wait(60)
    for _ in range(5):
        FileStore(location).put(path)


def test_several_workers_store_the_same_at_once(location, tmp_path):
    path, barrier = video(tmp_path, content=os.urandom(3 << 20)), SPAWN.Barrier(3)
    workers = [SPAWN.Process(target=put_often, args=(location, path, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    store, stored = FileStore(location), FileStore(location).put(path)
    store.get(stored.key, tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").read_bytes() == path.read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_a_result_gets_a_name_and_keeps_it(store, tmp_path):
    stored = store.put(video(tmp_path))
    other = store.put(video(tmp_path, content=b"other"))
    for _ in range(2):
        store.publish(stored.key, "monday/早安.mp4")
    assert store.size_bytes("monday/早安.mp4") == stored.size_bytes
    with pytest.raises(OutputError, match="name of another file"):
        store.publish(other.key, "monday/早安.mp4")


def test_a_damaged_result_is_not_handed_out(tmp_path):
    store = FileStore(tmp_path / "store")
    stored = store.put(video(tmp_path))
    (tmp_path / "store" / stored.key).write_bytes(b"x" * stored.size_bytes)
    with pytest.raises(FarmError, match="another content"):
        store.get(stored.key, tmp_path / "back.mp4")
    assert not (tmp_path / "back.mp4").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_result_of_another_size_is_written_again(tmp_path):
    """As after a disk that was full when the machine went down."""
    store = FileStore(tmp_path / "store")
    stored = store.put(video(tmp_path))
    (tmp_path / "store" / stored.key).write_bytes(b"x")
    assert store.put(video(tmp_path)) == stored
    store.get(stored.key, tmp_path / "back.mp4")


def test_what_is_not_there_is_said(store, tmp_path):
    key = f".sonic-guard/videos/{'0' * 64}.mp4"
    assert store.size_bytes(key) is None
    with pytest.raises(OutputError, match=f"files: cannot use {key} in "):
        store.get(key, tmp_path / "back.mp4")
    with pytest.raises(OutputError):
        store.publish(key, "clip.mp4")
    assert store.size_bytes("clip.mp4") is None


def test_an_unknown_ending_is_left_out(store, tmp_path):
    assert "." not in store.put(video(tmp_path, "clip.évil")).key.rpartition("/")[2]


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../up.mp4", "a/../../b.mp4", "a//b.mp4", "./a.mp4", ".hidden", "a\\b.mp4", "C:/a.mp4",
     "nul", "COM1.mp4", "a.mp4 ", "a.", "a\nb.mp4", "a\x00b", "é" * 128, "/".join("abcdefghi"), ".sonic-guard/x.mp4",
     "\udcff.mp4", "s3://bucket/a.mp4"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(name, tmp_path):
    with pytest.raises(FarmError, match="is not usable as a name") as caught:
        FileStore(tmp_path).publish(f".sonic-guard/videos/{'0' * 64}.mp4", name)
    assert "不可用作名称" in error_text(caught.value, "zh")


@pytest.mark.parametrize("name", ["a.mp4", "a/b/c.mp4", "早安 1.mp4", "console.mp4", "a..b.mp4"])
def test_other_names_are_taken(name):
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "key", ["", "../x", f".sonic-guard/{'0' * 64}", f".sonic-guard/videos/{'0' * 63}",
            f"{KEY}.m/4", f"{KEY}\n", f"/{KEY}",
            f".sonic-guard/others/{'0' * 64}"],
)  # fmt: skip
def test_only_keys_of_the_store_are_read(key, tmp_path):
    with pytest.raises(FarmError, match="not the key of a result"):
        digest_of_key(key)
    with pytest.raises(FarmError, match="not the key of a result"):
        FileStore(tmp_path).get(key, tmp_path / "back.mp4")


def test_a_link_in_the_store_leads_nowhere(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    store = FileStore(tmp_path / "store")
    stored = store.put(video(tmp_path))
    (tmp_path / "store" / "monday").symlink_to(outside)
    with pytest.raises(FarmError, match="leads out of the folder store"):
        store.publish(stored.key, "monday/clip.mp4")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing"])
def test_only_plain_files_are_stored(kind, tmp_path):
    source = tmp_path / "source.mp4"
    {"folder": Path.mkdir, "pipe": os.mkfifo, "missing": lambda path: None}[kind](source)
    with pytest.raises(FarmError, match="source.mp4: "):
        FileStore(tmp_path / "store").put(source)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("ftp://host/folder", "'ftp' is no place for files"),
        ("https://bucket.s3.amazonaws.com/", "'https' is no place for files"),
        ("s3://", "is no place for files"),
        ("s3://bucket/../other", "is no place for files"),
        ("s3://KEY:SECRET@bucket/folder", "do not belong into an address"),
        ("s3://bucket/folder?token=SECRET", "do not belong into an address"),
    ],
)
def test_another_location_is_refused_without_showing_its_secrets(location, said):
    pytest.importorskip("s3fs", reason="S3 needs s3fs; see requirements-dev.txt")
    with pytest.raises(FarmError, match=said) as caught:
        FileStore(location)
    assert "SECRET" not in caught.value.text


def test_a_server_that_is_not_there_is_said_without_keys(monkeypatch, tmp_path):
    pytest.importorskip("s3fs", reason="S3 needs s3fs; see requirements-dev.txt")
    for name, value in {**s3_server.KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OutputError, match=r"files: cannot use \S+ in s3://bucket: \w+") as caught:
        FileStore("s3://bucket").put(video(tmp_path))
    assert not any(secret in caught.value.text for secret in s3_server.KEYS.values())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "store").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="write-protected"):
        FileStore(tmp_path / "store").put(video(tmp_path))


def test_a_folder_inside_of_a_file_is_said(tmp_path):
    path = video(tmp_path)
    with pytest.raises(OutputError, match="clip.mp4|no folder|could not be written"):
        FileStore(path / "store").put(path)


def put_on_a_full_disk(location, path, send):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        FileStore(location).put(path)
    except OutputError as error:
        send.send(error.text)


def test_a_disk_that_is_full_is_said_and_nothing_is_left(tmp_path):
    path = video(tmp_path, content=os.urandom(2 << 20))
    receive, send = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=put_on_a_full_disk, args=(str(tmp_path / "store"), path, send))
    child.start()
    child.join(120)
    assert receive.poll() and receive.recv().partition(": ")[2].startswith("there is no space left")
    assert not [each for each in (tmp_path / "store").rglob("*") if each.is_file()]


def test_a_file_that_changes_while_it_is_stored_does_not_appear(location, tmp_path, monkeypatch):
    """Its writer is still at work."""
    path = video(tmp_path)
    store, size_bytes = FileStore(location), FileStore.size_bytes

    def change_and_ask(self, key):
        path.write_bytes(b"other")
        return size_bytes(self, key)

    monkeypatch.setattr(FileStore, "size_bytes", change_and_ask)
    with pytest.raises(FarmError, match="another content"):
        store.put(path)
    monkeypatch.undo()
    assert store.size_bytes(key_of(hashlib.sha256(b"frames" * 1000).hexdigest(), ".mp4")) is None
