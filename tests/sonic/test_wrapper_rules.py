"""The rules in `job` and `media.frame_grid` against the wrapper's own code, run by the host's Python."""

import json
import subprocess
from pathlib import Path

import pytest

from sonic_guard.job import frame_size, latent_frames
from tests.support import installed

SIZES = [(w, h, r) for w in (97, 200, 331, 512) for h in (64, 150, 333, 517) for r in (128, 192, 320, 448)]
DURATIONS = [0.3, 0.5, 1.0, 3.04, 7.77, 31.0]
RATES = [16000, 22050, 44100, 48000]

ASK_THE_WRAPPER = """
import json, sys, types
import numpy, soundfile, torch
from PIL import Image
sys.path.insert(0, {repo!r})
from sonic_guard.devtools.sonic_checkout import open_checkout
checkout = open_checkout({sonic!r})
import importlib
package = checkout.sonic.__name__.rpartition(".")[0]
code = importlib.import_module(package + ".src.dataset.test_preprocess")
face = lambda image, maxface: (None, None, [(10.0, 10.0, 20.0, 20.0)])
features = lambda samples, **_: types.SimpleNamespace(input_features=torch.zeros(1, 80, 3000))
asked = json.load(sys.stdin)
sizes, frames = [], []
soundfile.write({wav!r}, numpy.zeros(16000, "float32"), 16000)
for width, height, resolution in asked["sizes"]:
    picture = Image.new("RGB", (width, height))
    data = code.image_audio_to_tensor(face, features, 1.0, {wav!r}, picture, image_size=resolution, area=1.1)
    sizes.append(list(data["ref_img"].shape[:0:-1]))
for rate, samples, seconds in asked["sounds"]:
    soundfile.write({wav!r}, numpy.zeros(samples, "float32"), rate)
    _, length = code.get_audio_feature({wav!r}, features, min(seconds, samples / rate))
    frames.append(length // 2)
print(json.dumps([sizes, frames]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    import sonic_guard

    repo = str(Path(sonic_guard.__file__).parent.parent)
    wav = str(tmp_path_factory.mktemp("wrapper") / "sound.wav")
    sounds = [(rate, round(rate * seconds), seconds) for rate in RATES for seconds in DURATIONS]
    script = ASK_THE_WRAPPER.format(repo=repo, sonic=str(installed.sonic()), wav=wav)
    result = subprocess.run(
        [str(installed.python()), "-c", script],
        input=json.dumps({"sizes": SIZES, "sounds": sounds}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_frame_sizes_are_the_wrapper_s(answers):
    ours = [frame_size(*asked) for asked in SIZES]
    assert [[size.width, size.height] for size in ours] == answers[0]


def test_latent_frames_are_the_wrapper_s(answers):
    assert [latent_frames(seconds) for _ in RATES for seconds in DURATIONS] == answers[1]
