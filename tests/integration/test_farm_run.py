"""A farm from one command, with servers that it starts: what comes out, whatever fails or dies on the way.

The servers are stand-ins that start at once. ``python -m bench.farm_chaos`` does the same with real ComfyUI servers.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace

import av
import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")

from PIL import Image

from sonic_guard.cli.commands import EXIT_NOT_ALL_MADE, EXIT_OK
from sonic_guard.media.video_contents import contents
from tests.support.farm_chaos import Kills, Setup, calm, digests, passes, read, states, storm, write_jobs
from tests.support.graphs import RATE, save_wav
from tests.support.installed import PACK

FAKE = PACK / "tests" / "support" / "fake_comfyui"
SMALL_CARD = {"device": {"name": "cuda:0 NVIDIA GeForce RTX 4060 : native", "type": "cuda"}, "total_bytes": 8 << 30}


def setup(folder, servers=2, **fields):
    return Setup(folder, FAKE, sys.executable, servers, **fields)


def report(out):
    return json.loads((out / "farm-report.json").read_text(encoding="utf-8"))


def by_name(out):
    return {each["names"][0]: each for each in report(out)["videos"]}


def run(made, out, *, resume=False, code=EXIT_OK):
    assert made.client(out, resume=resume).wait(240) == code, out.with_suffix(".log").read_text()[-3000:]


def test_kills_at_random_moments_change_nothing(tmp_path):
    """Of client, scheduler, workers and servers: each video once, the same bytes."""
    made = setup(tmp_path, call_s=0.5)
    write_jobs(made, 8, (0.6, 1.2))
    wanted, _, _ = calm(made)
    assert len(wanted) == 8
    seen = storm(made, wanted, Kills(8, pause_s=(0.3, 2.5), seed=3))
    assert not seen.faults
    assert seen.killed >= 8
    assert seen.passes - 8 * seen.farms <= seen.kills["server"], "only a server's death loses a video under way"


def test_what_fails_fails_alone_and_is_said(tmp_path):
    """A broken picture, a picture without a face, and a job that fits no card of the farm."""
    made = setup(tmp_path, 1, call_s=0.0, more=(("FARM_SERVER", json.dumps(SMALL_CARD)),))
    write_jobs(made, 2, (0.6, 0.8))
    folder = made.jobs.parent
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.full((256, 256, 3), 128, np.uint8)).save(folder / "grey.png")
    with made.jobs.open("a", encoding="utf-8") as file:
        file.write("broken.png,0.wav,broken,minimal,128,1,ultrafast,5,,1:1\n")
        file.write("grey.png,0.wav,no face,minimal,128,1,ultrafast,5,,1:1\n")
        file.write('portrait.jpg,0.wav,large,hd,2048,25,ultrafast,5,"99,99,300,300",1:1\n')
    out = tmp_path / "out"
    run(made, out, code=EXIT_NOT_ALL_MADE)
    found = by_name(out)
    assert {name: each["state"] for name, each in found.items()} == {
        "video 0": "done", "video 1": "done", "broken": "failed", "no face": "failed", "large": "refused",
    }  # fmt: skip
    assert "broken.png" in found["broken"]["reason"]
    assert "the smallest common card for it is RTX" in found["large"]["reason"]
    assert [found[name]["attempts"] for name in ("broken", "no face", "large")] == [0, 0, 0]
    assert passes(out) == len(digests(out)) == 2
    page = (out / "farm-report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "<script" not in page


def test_out_of_memory_goes_on_with_more_optimizations(tmp_path):
    server = {"errors": [["torch.OutOfMemoryError", "Allocation on device"], ["RuntimeError", "the card has gone"]]}
    made = setup(tmp_path, 1, call_s=0.0, more=(("FARM_SERVER", json.dumps(server)),))
    write_jobs(made, 1, (0.6, 0.8))
    out = tmp_path / "out"
    run(made, out)
    attempts = [(each["outcome"], each["option_index"]) for each in report(out)["attempts"]]
    assert attempts == [("out_of_memory", 0), ("server_failed", 1), ("done", 1)]


def test_again_makes_nothing_twice_and_a_new_row_once(tmp_path):
    made = setup(tmp_path, 1, call_s=0.0)
    write_jobs(made, 2, (0.6, 0.8))
    out = tmp_path / "out"
    run(made, out)
    (out / "video 0.mp4").unlink()
    with made.jobs.open("a", encoding="utf-8") as file:
        file.write('portrait.jpg,0.wav,new,minimal,128,1,ultrafast,99,"99,99,300,300",1:1\n')
        file.write('portrait.jpg,1.wav,twin,minimal,128,1,ultrafast,1,"99,99,300,300",1:1\n')
    run(made, out)
    assert passes(out) == 3
    found = digests(out)
    assert set(found) == {"video 0.mp4", "video 1.mp4", "new.mp4", "twin.mp4"}
    assert found["twin.mp4"] == found["video 1.mp4"]


def test_a_farm_is_cancelled_from_elsewhere_and_resumed(tmp_path):
    made = setup(tmp_path, 1, call_s=200.0)
    write_jobs(made, 3, (0.6, 0.8))
    out = tmp_path / "out"
    client = made.client(out, resume=False)
    deadline = time.monotonic() + 120
    while states(out).get("running") != 1:
        assert time.monotonic() < deadline, out.with_suffix(".log").read_text()
        time.sleep(0.1)
    command = [sys.executable, "-m", "sonic_guard", "farm"]
    subprocess.run([*command, "cancel", out], check=True, cwd=PACK)
    assert client.wait(60) == EXIT_OK, "what the user has cancelled is no failure"
    assert states(out) == {"cancelled": 3}
    shown = subprocess.run([*command, "status", out, "--json"], check=True, capture_output=True, cwd=PACK)
    assert json.loads(shown.stdout)["counts"]["cancelled"] == 3
    made = replace(made, call_s=0.0)
    subprocess.run(
        [*command, "resume", out, "--retry"], check=True, cwd=PACK, env=made.environment(out), capture_output=True
    )
    assert states(out) == {"done": 3}


LONG_S = 150.0
"""A voice that takes longer than an even share: it is made in parts."""


def write_long(made, *, more=(), seconds=LONG_S):
    """A job file with one long voice and `more` rows."""
    folder = made.jobs.parent
    folder.mkdir(parents=True)
    (folder / "portrait.jpg").write_bytes(made.portrait.read_bytes())
    numbers = np.random.default_rng(4)
    save_wav(folder / "long.wav", numbers.uniform(-9000, 9000, round(seconds * RATE)))
    save_wav(folder / "short.wav", numbers.uniform(-9000, 9000, round(2 * RATE)))
    columns = "image,audio,name,preset,min_resolution,inference_steps,encoder_preset,face_box,aspect,part_s,finish"
    rows = [f'portrait.jpg,{each[0]}.wav,{each[1]},minimal,128,1,ultrafast,"99,99,300,300",1:1,{each[2]},{each[3]}'
            for each in (("long", "long", "", ""), *more)]  # fmt: skip
    made.jobs.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")


def steps(out, name):
    return [(each["kind"], each["state"], each["attempts"]) for each in by_name(out)[name]["steps"]]


def test_a_long_voice_is_made_in_parts_on_several_cards_as_on_one(tmp_path):
    made = setup(tmp_path, 3, call_s=0.5)
    write_long(made, more=[("short", "short", "", "")])
    out = tmp_path / "out"
    run(made, out)
    assert steps(out, "long") == [("part", "done", 1), ("part", "done", 1), ("part", "done", 1), ("join", "done", 1)]
    assert steps(out, "short") == [("video", "done", 1)]
    attempts = report(out)["attempts"]
    assert len({each["server"] for each in attempts if each["predicted_s"] > 1}) == 3, "each part on its own card"
    assert not list((out / ".sonic-guard" / "videos").glob("*.zip")), "parts are not kept"
    # One server, and the same parts: the same file.
    longest = json.loads(states_of_parts(out)[0])["settings"]["part_s"]
    alone = setup(tmp_path / "alone", 1, call_s=0.0)
    write_long(alone)
    alone.jobs.write_text(made.jobs.read_text().replace("1:1,,", f"1:1,{longest},"))
    run(alone, tmp_path / "one")
    assert steps(tmp_path / "one", "long") == [("video", "done", 1)]
    assert digests(tmp_path / "one")["long.mp4"] == digests(out)["long.mp4"]


def states_of_parts(out):
    return [row[0] for row in read(out, "SELECT content FROM sonic_guard_farm_tasks WHERE kind = 'part'")]


def test_parts_can_be_switched_off(tmp_path):
    made = setup(tmp_path, 2, call_s=0.0, options=("--parts", "off"))
    write_long(made)
    out = tmp_path / "out"
    run(made, out)
    assert steps(out, "long") == [("video", "done", 1)]


def test_a_video_is_finished_on_the_cpu(tmp_path):
    made = setup(tmp_path, 1, call_s=0.0, options=("--finish", "fast"))
    write_long(
        made, more=[("short", "plain", "", "none"), ("short", "hd", "", "hd"), ("short", "fast", "", "")], seconds=3
    )
    out = tmp_path / "out"
    run(made, out)
    assert steps(out, "plain") == [("video", "done", 1)]
    assert [kind for kind, *_ in steps(out, "hd")] == ["video", "finish"]
    assert passes(out) == 2, "three videos of one voice, made once"
    frames = {name: contents(out / f"{name}.mp4").frames for name in ("plain", "hd", "fast")}
    assert len(set(frames.values())) == 1
    with av.open(str(out / "hd.mp4")) as container:
        assert container.streams.video[0].height == 1080
    assert {each["server"] for each in report(out)["attempts"] if not each["card"]} == {""}
    page = (out / "farm-report.html").read_text(encoding="utf-8")
    assert "cpu worker 1" in page


def test_kills_change_nothing_of_what_is_made_in_parts_and_finished(tmp_path):
    """Also of the worker that joins and finishes; a lost server costs at most one part."""
    made = setup(tmp_path, 2, call_s=1.0)
    write_long(made, more=[("long", "nice", "", "fast"), ("short", "short", "", "fast")])
    wanted, calm_passes, _ = calm(made)
    assert len(wanted) == 3
    seen = storm(made, wanted, Kills(10, pause_s=(0.3, 2.0), seed=5))
    assert not seen.faults
    assert seen.passes - calm_passes * seen.farms <= seen.kills["server"]


def test_a_part_that_fails_fails_its_video_alone(tmp_path):
    server = {"errors": [["x.sonic_guard.errors.FaceError", "image: no face found."]]}
    made = setup(tmp_path, 1, call_s=0.0, options=("--finish", "fast"), more=(("FARM_SERVER", json.dumps(server)),))
    write_long(made, more=[("short", "short", "", "")], seconds=70)
    out = tmp_path / "out"
    run(made, out, code=EXIT_NOT_ALL_MADE)
    found = by_name(out)
    assert found["long"]["state"] == "failed"
    assert found["long"]["reason"] == "image: no face found."
    assert found["short"]["state"] == "done"


def test_a_part_that_is_gone_or_damaged_is_made_again(tmp_path):
    made = setup(tmp_path, 2, call_s=0.0)
    write_long(made)
    out = tmp_path / "out"
    run(made, out)
    wanted = digests(out)
    for file in (out / ".sonic-guard" / "videos").iterdir():
        file.unlink()
    (out / "long.mp4").unlink()
    run(made, out, resume=True)
    assert digests(out) == wanted
    assert [attempts for *_, attempts in steps(out, "long")] == [2, 2, 2]
