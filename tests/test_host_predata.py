"""SONIC_PreData itself in a real ComfyUI, on the torchaudio that is there: from a picture and a voice to the video.

Its networks have random weights (`tests/hostpack`). With TorchCodec and without: `test_predata`.
"""

import av

from sonic_guard.media.videofile import frames
from sonic_guard.run import Outcome
from tests.test_host_lean import file_of, long_video, node, runs, small, voice

SECONDS = 1.2
LATENTS = int(SECONDS * 12.5)


def test_the_stock_nodes_end_with_a_video(host):
    graph = {
        "small": small(hears=True, seed=21),
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio=voice(host.base / "input" / "heard.wav", SECONDS)),
        "data": node(
            "SONIC_PreData", clip_vision=["small", 2], vae=["small", 3], audio=["voice", 0], image=["picture", 0],
            weight_dtype=["small", 4], min_resolution=128, duration=SECONDS, expand_ratio=0.5,
        ),
        "frames": node(
            "SONICSampler", model=["small", 0], data_dict=["data", 0], seed=1, inference_steps=1, dynamic_scale=1.0,
            fps=25.0,
        ),
        "video": node("CreateVideo", images=["frames", 0], fps=25.0, audio=["voice", 0]),
        "saved": node("SaveVideo", video=["video", 0], filename_prefix="video/stock", format="auto", codec="auto"),
    }  # fmt: skip
    result = host.run(graph)
    assert result["status"]["status_str"] == "success", result["status"]
    (shown,) = result["outputs"]["saved"]["images"]
    file = host.base / "output" / shown["subfolder"] / shown["filename"]
    assert sum(1 for _ in frames(file)) == 2 * LATENTS - 1
    with av.open(str(file)) as container:
        assert container.streams.audio
    (run,) = runs(host, 1)
    assert (run.outcome, run.job.latent_frames) == (Outcome.DONE, LATENTS)
    assert list(run.stages) == ["predata", "denoise", "decode", "interpolate"]


def test_a_long_video_hears_too_and_leaves_no_sound_behind(host):
    before = set((host.base / "input").iterdir())
    name = voice(host.base / "input" / "heard too.wav", SECONDS)
    result = host.run(long_video(name, prefix="video/heard", hears=True, seed=22))
    assert result["status"]["status_str"] == "success", result["status"]
    assert sum(1 for _ in frames(file_of(host, result))) == 2 * LATENTS - 1
    assert {file.name for file in set((host.base / "input").iterdir()) - before} == {name}
