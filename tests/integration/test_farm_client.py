"""A call to one server: what it asks of it, and what it makes of every answer. The server is a stand-in."""

import asyncio
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web

from sonic_guard.cli import farm_commands, main
from sonic_guard.comfy.talking_head_prompt import HEAD, NODES, Loaded, talking_head_prompt
from sonic_guard.comfy.workflow_file import TALKING_HEAD_INPUTS
from sonic_guard.errors import FarmError
from sonic_guard.optimizations import Mode
from sonic_guard.park import local_comfyui
from sonic_guard.park.call_pipe import CANCEL
from sonic_guard.park.comfyui_client import TOKEN, LackingError, check_url, connected
from sonic_guard.park.content import file_digest, object_path
from sonic_guard.park.job_plans import card_budget, widgets
from sonic_guard.park.jobs import JobSettings
from sonic_guard.park.local_comfyui import running_servers
from sonic_guard.park.outcomes import Outcome
from sonic_guard.park.server_call import Call
from tests.support.fake_comfyui import FakeComfyUi
from tests.support.farm_calls import start
from tests.support.graphs import write_wav

SECONDS, FRAMES = 1.0, 23
TASK = "0123456789abcdef0123456789abcdef"


@contextmanager
def running(fake):
    """The server's address."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []

    async def start():
        runner = web.AppRunner(fake.app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.extend([runner, runner.addresses[0][1]])
        ready.set()

    def run():
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(found[0].cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def fake(tmp_path):
    return FakeComfyUi(tmp_path / "server")


@pytest.fixture
def url(fake):
    with running(fake) as address:
        yield address


@pytest.fixture
def call(tmp_path, url):
    image, audio = tmp_path / "p.png", tmp_path / "v.wav"
    image.write_bytes(b"picture")
    write_wav(audio, SECONDS)
    loaded = Loaded("", "", 1, "svd.safetensors", "unet.pth", True, "fp16")
    prefix = f"sonic_guard_farm/{TASK}-0"
    return Call(
        TASK, 0, url, image, audio, file_digest(image), file_digest(audio), loaded,
        widgets(JobSettings(), Mode.AUTO, prefix), tmp_path / "out", ".mp4", FRAMES,
    )  # fmt: skip


def made(call, after=None, **environment):
    """Run the call to its end; `after` gets the pipe. Returns the end and the shares that were reported."""
    pipe, messages = start(call, environment), []
    if after:
        after(pipe)
    while not messages or isinstance(messages[-1], float):
        assert pipe.poll(60)
        messages.append(pipe.recv())
    return messages[-1], messages[:-1]


def test_a_video_is_made_fetched_and_kept_by_its_content(fake, call):
    fake.make_s = 3.0
    ended, shares = made(call)
    assert ended.outcome is Outcome.DONE
    video = object_path(call.out, ended.digest, ".mp4")
    assert (file_digest(video), video.stat().st_size) == (ended.digest, ended.size_bytes)
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert not list(video.parent.glob(".*")), "nothing half is left"


def test_the_server_is_only_read_but_for_its_queue_and_uploads(fake, call):
    made(call)
    changes = {path for method, path in fake.seen if method != "GET"}
    assert changes == {"/upload/image", "/prompt"}


def test_what_is_done_is_not_asked_for_again(fake, call):
    first, _ = made(call)
    fake.seen.clear()
    assert made(call)[0] == replace(first, used_bytes=None)
    assert not fake.seen


def test_what_a_call_that_died_has_queued_is_found_by_the_next(fake, call):
    """It died after the video was made, or while it was being made."""
    first, _ = made(call)
    for file in (call.out / ".sonic-guard" / "videos").iterdir():
        file.unlink()
    assert made(call)[0] == first
    assert len(fake.made) == 1
    fake.history.clear()
    again = replace(call, tries=1)
    fake.make_s = 1.0
    threads = [threading.Thread(target=made, args=(each,)) for each in (again, again)]
    for file in (call.out / ".sonic-guard" / "videos").iterdir():
        file.unlink()
    threads[0].start()
    wait_for(lambda: fake.queue)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert len(fake.made) == 2


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


ERRORS = [
    ("torch.OutOfMemoryError", "Allocation on device", Outcome.OUT_OF_MEMORY),
    ("sonic_guard.errors.NoFallbackLeftError", "memory ran out", Outcome.OUT_OF_MEMORY),
    ("RuntimeError", "CUDA error: out of memory", Outcome.OUT_OF_MEMORY),
    ("x.sonic_guard.errors.SonicGuardError", "Will run out of memory: denoise, 3.0 GiB over budget.", Outcome.NO_ROOM),
    ("x.sonic_guard.errors.LeaseError", "lease: waited too long.", Outcome.NO_ROOM),
    ("x.sonic_guard.errors.FaceError", "image: no face found.", Outcome.JOB_FAILED),
    ("x.sonic_guard.errors.PictureError", "image: damaged.", Outcome.JOB_FAILED),
    ("x.sonic_guard.errors.OutputError", "no space left", Outcome.SERVER_FAILED),
    ("RuntimeError", "CUDA error: device-side assert triggered", Outcome.SERVER_FAILED),
]


@pytest.mark.parametrize(("kind", "text", "outcome"), ERRORS)
def test_an_error_of_the_server_says_what_to_do_next(fake, call, kind, text, outcome):
    fake.errors.append((kind, text))
    ended, _ = made(call)
    assert (ended.outcome, ended.text) == (outcome, text)


def test_a_server_without_the_pack_is_not_used(fake, url, call):
    fake.nodes = NODES[:-1]
    ended, _ = made(call)
    assert ended.outcome is Outcome.SERVER_FAILED
    assert "node SonicGuardTalkingHead not found" in ended.text

    async def facts():
        async with connected(url) as client:
            return await client.facts()

    with pytest.raises(LackingError, match=r"lacks Sonic Guard \(nodes SonicGuardTalkingHead\)"):
        asyncio.run(facts())


def test_a_token_comes_from_the_environment_and_is_never_shown(fake, call):
    fake.token = "very-secret"  # noqa: S105
    ended, _ = made(call)
    assert (ended.outcome, "status 401" in ended.text) == (Outcome.SERVER_FAILED, True)
    ended, _ = made(call, **{TOKEN: "very-secret"})
    assert ended.outcome is Outcome.DONE
    assert "very-secret" not in repr((ended, call))


def test_a_video_that_is_not_whole_does_not_count(fake, call):
    ended, _ = made(replace(call, frames=FRAMES + 2))
    assert (ended.outcome, ended.text) == (
        Outcome.SERVER_FAILED, f"the video has {FRAMES} frames, and {FRAMES + 2} were expected",
    )  # fmt: skip
    assert not list((call.out / ".sonic-guard" / "videos").iterdir())


def test_an_input_that_has_changed_is_not_sent(fake, call):
    call.audio.write_bytes(b"another")
    ended, _ = made(call)
    assert "v.wav: the file has been changed since the farm began" in ended.text
    assert not fake.made


def test_an_input_that_is_gone_fails_its_job_alone(call):
    call.image.unlink()
    ended, _ = made(call)
    assert (ended.outcome, "p.png" in ended.text) == (Outcome.JOB_FAILED, True)


def test_outputs_that_cannot_be_written_are_no_fault_of_the_job(call):
    call.out.mkdir()
    (call.out / ".sonic-guard").write_bytes(b"a file")
    assert made(call)[0].outcome is Outcome.OUTPUT_FAILED


def test_where_there_is_no_server(call):
    ended, _ = made(replace(call, server="http://127.0.0.1:9"))
    assert ended.outcome is Outcome.SERVER_DIED


def test_a_cancelled_video_is_taken_off_the_server(fake, call):
    fake.make_s = 20.0

    def cancel(pipe):
        wait_for(lambda: fake.queue)
        pipe.send(CANCEL)

    ended, _ = made(call, cancel)
    assert ended.outcome is Outcome.CANCELLED
    wait_for(lambda: not fake.queue)
    assert not fake.made


@pytest.mark.parametrize(
    ("stalls", "outcome", "text"),
    [
        ("until interrupted", Outcome.SERVER_FAILED, "so it was interrupted"),
        ("for ever", Outcome.SERVER_STUCK, "and it does not stop"),
    ],
)
def test_a_server_that_makes_no_progress_is_not_waited_for(fake, call, stalls, outcome, text):
    fake.stalls = stalls
    ended, shares = made(replace(call, patience_s=3.0))
    assert (ended.outcome, ended.text.partition(", ")[2]) == (outcome, text)
    assert max(shares) == 0.5
    assert call.prompt_id in fake.interrupted


def test_a_video_may_wait_for_longer_than_the_patience_while_others_end(fake, call):
    fake.make_s = 1.0
    pipes = []
    for number in range(3):
        pipes.append(start(replace(call, task=f"{number:032x}"), {}))
        wait_for(lambda: len(fake.queue) + len(fake.history) == len(pipes))
    ended, _ = made(replace(call, patience_s=2.0))
    assert ended.outcome is Outcome.DONE
    assert len(fake.made) == 4
    for pipe in pipes:
        pipe.close()


def test_the_servers_of_this_machine_are_found_and_get_no_token(fake, url, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "x")
    guarded = FakeComfyUi(tmp_path / "guarded", **{"token": "x"})
    with running(FakeComfyUi(tmp_path / "no pack", nodes=NODES[:-1])) as no_pack, running(guarded) as closed:
        ports = [int(each.rpartition(":")[2]) for each in (no_pack, closed, url)]
        assert running_servers([9, *ports]) == (url,)
    assert guarded.seen, "it was asked, and refused who had no token"


def test_a_farm_that_is_not_told_of_any_comfyui_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(farm_commands, "PORTS", (9,))
    arguments = ["farm", "run", "jobs.csv", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "Start it, or give --comfyui FOLDER" in capsys.readouterr().err
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    assert local_comfyui.comfyui_folder() == tmp_path
    assert main([*arguments, "--local"]) == 2
    assert "jobs.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--servers", "http://127.0.0.1:9", "--cards", "5"], "give --comfyui FOLDER"),
        (["--comfyui", ".", "--comfyui-args", "'open"], "--comfyui-args: a quotation does not end."),
    ],
)
def test_options_that_cannot_be_meant_so_are_refused(options, fault, tmp_path, capsys):
    assert main(["farm", "run", "jobs.csv", "--out", str(tmp_path / "out"), *options]) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--cpu-workers", "--cpu-servers"])
@pytest.mark.parametrize("number", ["0", "-1", "a", "1.5"])
def test_numbers_of_processes_begin_with_one(option, number, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["farm", "run", "jobs.csv", "--out", str(tmp_path), f"{option}={number}"])
    assert f"expected a number from 1, got {number}" in capsys.readouterr().err


def test_a_redirect_is_not_followed(tmp_path, call):
    """It would carry the token to another server."""
    other = FakeComfyUi(tmp_path / "other")
    with running(other) as target:
        app = web.Application()

        async def redirect(request):
            raise web.HTTPTemporaryRedirect(target + request.path)

        app.router.add_route("*", "/{path:.*}", redirect)
        fake = FakeComfyUi(tmp_path)
        fake.app = lambda: app
        with running(fake) as url:
            assert made(replace(call, server=url), **{TOKEN: "x"})[0].outcome is Outcome.SERVER_FAILED
    assert not other.seen


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8188", "ftp://h", "file:///etc/passwd", "http://", "http://u:secret@h", "http://h?x=1", "http://h:x",
     "http://" + 600 * "h"],
)  # fmt: skip
def test_an_address_is_plain(url):
    with pytest.raises(FarmError) as raised:
        check_url(url)
    assert "secret" not in str(raised.value)


def test_the_graph_has_the_nodes_inputs():
    """All that Sonic Talking Head needs, and nothing else; what is optional is left out."""
    graph = talking_head_prompt(Loaded("p", "v", 1, "c", "s", True, "fp16"), widgets(JobSettings(), Mode.AUTO, "x"))
    assert {each["class_type"] for each in graph.values()} == set(NODES)
    assert set(graph[HEAD]["inputs"]) == {slot.name for slot in TALKING_HEAD_INPUTS} - {
        "plan",
        "upscale_model",
        "overlapped_decode",
    }


@pytest.mark.parametrize(
    ("name", "device", "card"),
    [
        ("cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync", "cuda", "RTX 4090 24GB"),
        ("cuda:1 NVIDIA Unknown 77 : native", "cuda", "NVIDIA Unknown 77 24 GiB"),
        ("cpu", "cpu", "CPU 24 GiB"),
    ],
)
def test_a_servers_card_is_known_by_its_name(name, device, card):
    from sonic_guard.park.comfyui_client import Facts

    assert card_budget(Facts("0.33", device, name, 24564 << 20, 1 << 30)).card == card
