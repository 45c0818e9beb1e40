"""What a farm does not do: leave the machine unasked, overwrite files, or show other people's texts as HTML."""

import pytest

pytest.importorskip("aiohttp")

from sonic_guard.cli.farm_report import report_page
from sonic_guard.errors import FarmError, OutputError
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.park.content import file_digest, is_whole, keep, made_before, objects_folder, publish
from sonic_guard.park.dask_link import Security, check_address
from sonic_guard.park.journal_tables import AttemptRow, TaskRow, TaskState
from sonic_guard.park.outcomes import Outcome
from sonic_guard.park.report import FarmReport

TLS = Security("ca.pem", "cert.pem", "key.pem")


@pytest.mark.parametrize(
    ("address", "security", "is_taken"),
    [
        ("tcp://127.0.0.1:8786", None, True),
        ("tcp://localhost:8786", None, True),
        ("tcp://[::1]:8786", None, True),
        ("tls://farm.example:8786", TLS, True),
        ("tls://farm.example:8786", None, False),
        ("tcp://10.0.0.5:8786", None, False),
        ("tcp://10.0.0.5:8786", TLS, False),
        ("tcp://0.0.0.0:8786", None, False),
        ("tcp://127.0.0.1.evil.example:8786", None, False),
        ("ws://127.0.0.1:8786", None, False),
        ("127.0.0.1:8786", None, False),
        ("", None, False),
    ],
)
def test_dask_leaves_this_machine_with_tls_only(address, security, is_taken):
    if is_taken:
        assert check_address(address, security) == address
    else:
        with pytest.raises(FarmError, match="^scheduler: "):
            check_address(address, security)


def test_a_file_of_the_cluster_that_is_not_there_is_said(tmp_path):
    """Instead of waiting for a scheduler that cannot be reached without it."""
    known = tmp_path / "ca.pem"
    known.touch()
    Security(*3 * [str(known)]).check()
    with pytest.raises(FarmError, match="key.pem: there is no such file"):
        Security(str(known), str(known), str(tmp_path / "key.pem")).check()


@pytest.fixture
def video(tmp_path):
    """A video that was made: its folder and digest."""
    temp = objects_folder(tmp_path) / ".half"
    temp.write_bytes(b"video")
    digest = file_digest(temp)
    keep(tmp_path, temp, "task", digest, 5, ".mp4")
    return tmp_path, digest


def test_a_video_gets_its_name_once_and_again(video):
    out, digest = video
    assert made_before(out, "task", ".mp4") == (digest, 5)
    publish(out, "name", digest, ".mp4")
    assert (out / "name.mp4").read_bytes() == b"video"
    publish(out, "name", digest, ".mp4")
    publish(out, "twin", digest, ".mp4")
    assert sorted(each.name for each in out.iterdir()) == [".sonic-guard", "name.mp4", "twin.mp4"]


def test_another_file_of_the_name_is_left_alone(video):
    out, digest = video
    (out / "name.mp4").write_bytes(b"mine!")
    with pytest.raises(OutputError, match="name of another file"):
        publish(out, "name", digest, ".mp4")
    assert (out / "name.mp4").read_bytes() == b"mine!"


@pytest.mark.parametrize("note", ["", "[]", "{}", '["../../x", 5]', '["x"]', "\x00"])
def test_a_damaged_note_is_none(video, note):
    out, _ = video
    (objects_folder(out) / "task.made").write_text(note)
    assert made_before(out, "task", ".mp4") is None


def test_a_video_of_another_size_is_not_whole(video):
    out, digest = video
    assert is_whole(out, digest, 5, ".mp4")
    assert not is_whole(out, digest, 6, ".mp4")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_shows_texts_as_texts(lang):
    evil = '<script>alert("1")</script>'
    task = TaskRow("t", 0, {}, TaskState.FAILED, 1, (), evil, "", 0, evil, (evil,))
    attempt = AttemptRow(evil, evil, evil, 0, 1, 1.0, "t", 100.0, 160.0, None, Outcome.SERVER_FAILED, evil)
    page = report_page(FarmReport([task], [attempt]), lang)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "1:00" in page
