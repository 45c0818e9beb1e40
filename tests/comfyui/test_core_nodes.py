"""For any settings, the preview of ComfyUI's own nodes gives what they give."""

import json
import subprocess
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sonic_guard.errors import SonicGuardError
from sonic_guard.media.audio_file import Pick
from sonic_guard.preview.node_inputs import Unknown
from tests.support import installed
from tests.support.foreign_nodes import foreseen, plain, sound, video
from tests.support.foreign_nodes import picture as a_picture
from tests.support.graphs import machine, node
from tests.support.sound_files import film_with_tracks

SIDE = st.integers(8, 400)
SIDE_OR_0 = st.just(0) | SIDE
PICTURE = st.builds(a_picture, SIDE, SIDE)
RATE = st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000])
SOUND = st.builds(sound, st.integers(1, 60_000), RATE)
SECONDS = st.floats(-4, 8, allow_nan=False).map(lambda seconds: round(seconds, 2))
METHOD = {"upscale_method": st.just("area")}
TWO_SOUNDS = {"audio1": SOUND, "audio2": SOUND}

CASES = {
    "EmptyImage": {"width": SIDE, "height": SIDE, "batch_size": st.just(1)},
    "ImageScale": {"image": PICTURE, "width": SIDE_OR_0, "height": SIDE_OR_0, "crop": st.just("center")} | METHOD,
    "ImageScaleBy": {"image": PICTURE, "scale_by": st.floats(0.01, 2)} | METHOD,
    "ImageScaleToTotalPixels": {"image": PICTURE, "megapixels": st.floats(0.01, 1), "resolution_steps":
                                st.integers(1, 64)} | METHOD,
    "ImageScaleToMaxDimension": {"image": PICTURE, "largest_size": SIDE} | METHOD,
    "ImageCrop": {"image": PICTURE, "width": SIDE, "height": SIDE, "x": SIDE_OR_0, "y": SIDE_OR_0},
    "ImageCropV2": {"image": PICTURE, "crop_region": st.fixed_dictionaries(
        {"x": SIDE_OR_0, "y": SIDE_OR_0, "width": SIDE, "height": SIDE})},
    "ImagePadForOutpaint": {"image": PICTURE, "left": SIDE_OR_0, "top": SIDE_OR_0, "right": SIDE_OR_0,
                            "bottom": SIDE_OR_0, "feathering": st.just(0)},
    "ResizeAndPadImage": {"image": PICTURE, "target_width": SIDE, "target_height": SIDE,
                          "padding_color": st.just("white"), "interpolation": st.just("area")},
    "ImageStitch": {"image1": PICTURE, "image2": PICTURE, "direction": st.sampled_from(["right", "down", "left", "up"]),
                    "match_image_size": st.booleans(), "spacing_width": st.integers(0, 9),
                    "spacing_color": st.just("white")},
    "ImageRotate": {"image": PICTURE, "rotation":
                    st.sampled_from(["none", "90 degrees", "180 degrees", "270 degrees"])},
    "ImageFlip": {"image": PICTURE, "flip_method": st.just("x-axis: vertically")},
    "ImageInvert": {"image": PICTURE},
    "ImageBatch": {"image1": PICTURE, "image2": PICTURE},
    "BatchImagesNode": {"images.image0": PICTURE, "images.image1": PICTURE},
    "RepeatImageBatch": {"image": PICTURE, "amount": st.integers(1, 3)},
    "ImageFromBatch": {"image": PICTURE, "batch_index": st.integers(-2, 2), "length": st.just(1)},
    "GetImageSize": {"image": PICTURE},
    "ImageBlend": {"image1": PICTURE, "image2": PICTURE, "blend_factor": st.just(0.5), "blend_mode": st.just("normal")},
    "ImageCompositeMasked": {"destination": PICTURE, "source": PICTURE, "x": st.just(0), "y": st.just(0),
                             "resize_source": st.just(True)},
    "SplitImageWithAlpha": {"image": PICTURE},
    "ResizeImagesByShorterEdge": {"images": PICTURE, "shorter_edge": SIDE},
    "ResizeImagesByLongerEdge": {"images": PICTURE, "longer_edge": SIDE},
    "CenterCropImages": {"images": PICTURE, "width": SIDE, "height": SIDE},
    "EmptyAudio": {"duration": st.floats(0.01, 9), "sample_rate": RATE, "channels": st.just(1)},
    "TrimAudioDuration": {"audio": SOUND, "start_index": SECONDS, "duration": SECONDS.map(abs)},
    "AudioConcat": TWO_SOUNDS | {"direction": st.sampled_from(["after", "before"])},
    "AudioMerge": TWO_SOUNDS | {"merge_method": st.just("add")},
    "AudioAdjustVolume": {"audio": SOUND, "volume": st.integers(-9, 9)},
    "AudioEqualizer3Band": {"audio": SOUND, "low_gain_dB": st.just(0.0), "low_freq": st.just(100), "mid_gain_dB":
                            st.just(0.0), "mid_freq": st.just(1000), "mid_q": st.just(0.7), "high_gain_dB":
                            st.just(0.0), "high_freq": st.just(5000)},
    "JoinAudioChannels": {"audio_left": SOUND, "audio_right": SOUND},
    "PrimitiveInt": {"value": st.integers(-9, 9)},
    "PrimitiveFloat": {"value": st.floats(-9, 9)},
    "PrimitiveString": {"value": st.just("fp16")},
    "PrimitiveBoolean": {"value": st.booleans()},
    "ComfySwitchNode": {"switch": st.booleans(), "on_false": PICTURE, "on_true": PICTURE},
    "ComfyNotNode": {"value": st.booleans()},
    "ComfyNumberConvert": {"value": st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.sampled_from(["7.5"])},
    "CustomCombo": {"choice": st.just("fp16"), "index": st.integers(0, 3)},
    "ResolutionSelector": {"aspect_ratio": st.sampled_from(["1:1 (Square)", "9:16 (Portrait Widescreen)"]),
                           "megapixels": st.floats(0.1, 4), "multiple": st.integers(8, 64)},
}  # fmt: skip
MANY = settings(max_examples=40, deadline=None, phases=[Phase.generate])
"""Without shrinking: each case is a message to another process."""
WAYS = {
    "scale dimensions": {"width": SIDE_OR_0, "height": SIDE_OR_0, "crop": st.just("center")},
    "scale by multiplier": {"multiplier": st.floats(0.01, 2)},
    "scale longer dimension": {"longer_size": SIDE},
    "scale shorter dimension": {"shorter_size": SIDE},
    "scale width": {"width": SIDE},
    "scale height": {"height": SIDE},
    "scale total pixels": {"megapixels": st.floats(0.01, 1)},
    "match size": {"match": PICTURE, "crop": st.just("center")},
    "scale to multiple": {"multiple": st.integers(1, 99)},
}
"""The ways of ResizeImageMaskNode, each with settings of its own."""


class Core:
    """A ComfyUI that runs single nodes in a process of its own."""

    def __init__(self, process):
        self._process = process
        self.kinds = frozenset(json.loads(process.stdout.readline() or "[]"))

    def run(self, kind, inputs):
        print(json.dumps(node(kind, **inputs)), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def core():
    comfyui, child = installed.comfyui(), installed.PACK / "tests" / "support" / "core_nodes_child.py"
    with subprocess.Popen(
        [installed.python(), child, comfyui], cwd=comfyui, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Core(process)
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return machine(tmp_path_factory.mktemp("input"))


def is_empty(value):
    """Whether a picture has no pixels, or a sound the one sample that older versions leave of it."""
    return 0 in value.get("picture", ()) or value.get("sound", (2,))[0] <= 1


def check(kind, inputs, core, here):
    """Each output that is foreseen is the real one; what is refused is refused, or empty."""
    inputs = dict(sorted(inputs.items()))  # a node gets them in order
    real = core.run(kind, inputs)
    try:
        outputs = foreseen(kind, inputs, here)
    except SonicGuardError:
        assert "error" in real or is_empty(real[0])
        return
    if "error" not in real:
        known = [(plain(each), given) for each, given in zip(outputs, real, strict=False) if each != Unknown()]
        assert known
        assert [pair for pair in known if pair[0] != pair[1]] == []


@pytest.mark.parametrize("kind", CASES)
def test_a_node_gives_what_was_foreseen(kind, core, here):
    if kind not in core.kinds:
        pytest.skip(f"this ComfyUI has no {kind}")

    @MANY
    @given(st.fixed_dictionaries(CASES[kind]))
    def holds(inputs):
        check(kind, inputs, core, here)

    holds()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_resize(way, core, here):
    if "ResizeImageMaskNode" not in core.kinds:
        pytest.skip("this ComfyUI has no ResizeImageMaskNode")
    more = {f"resize_type.{name}": values for name, values in WAYS[way].items()}

    @MANY
    @given(PICTURE, st.fixed_dictionaries(more))
    def holds(picture, inputs):
        fixed = {"input": picture, "resize_type": way, "scale_method": "area"}
        check("ResizeImageMaskNode", fixed | inputs, core, here)

    holds()


@pytest.mark.parametrize("seconds", [(3,), (1, 6), (6, 1), (1, 2, 4)])
def test_a_video_has_the_sound_of_one_of_its_tracks(core, tmp_path, seconds):
    """Since a VIDEO can be trimmed, of the last; before, of the first."""
    film = tmp_path / "film.mkv"
    film_with_tracks(film, *((each, 1) for each in seconds))
    here = replace(machine(tmp_path), video_track=Pick.LAST if "Video Slice" in core.kinds else 1)
    real = core.run("GetVideoComponents", {"video": video(film)})
    voice = foreseen("GetVideoComponents", {"video": video(film)}, here)[1]
    info = here.files.sound(voice.name, voice.track)
    assert real[1] == sound(info.samples, info.sample_rate)
