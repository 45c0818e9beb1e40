"""Right values of nodes of other packs, as their own code gave them; and how what is not known goes on and is said.

ComfyUI's own nodes are compared with the real ones in ``tests/comfyui/test_core_nodes.py``.
"""

from dataclasses import replace

import pytest

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import FileNameError, GraphError
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.messages import plan_texts
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.plan_messages import assumption
from sonic_guard.planning.capacity import Verdict
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import KINDS, evaluate, job_for
from sonic_guard.preview.node_inputs import Cause, Unknown
from tests.support.foreign_nodes import foreseen, picture, plain, sound
from tests.support.graph_runs import foresee
from tests.support.graphs import after_preflight, machine, node, preflight, sources, trio, write_files, write_wav
from tests.support.sound_files import film_with_tracks

PORTRAIT = picture(512, 512)
WIDE = picture(1280, 825)
RUN = Unknown(Cause.RUN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = write_files(tmp_path_factory.mktemp("input"))
    write_wav(home / "speech.wav", 4.79)
    film_with_tracks(home / "film.mkv", (1, 1), (3, 2), (2, 1))
    return home


@pytest.fixture
def here(folder):
    return machine(folder)


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs"),
    [
        # ComfyUI-KJNodes
        ("ImageResizeKJv2", {"image": WIDE, "width": 576, "height": 1024}, [picture(576, 1024), 576, 1024]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 576, "height": 1024, "keep_proportion": "resize"},
         [picture(576, 370), 576, 370]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 576, "height": 1024, "keep_proportion": "pad"},
         [picture(576, 1024), 576, 1024]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 500, "height": 500, "keep_proportion": "pad", "divisible_by": 64},
         [picture(448, 512), 448, 512]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 0, "height": 512, "keep_proportion": "pad"},
         [picture(794, 512), 794, 512]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 512, "height": 512, "keep_proportion": "crop"},
         [picture(512, 512), 512, 512]),
        ("ImageResizeKJv2", {"image": WIDE, "width": 512, "height": 512, "keep_proportion": "total_pixels"},
         [picture(636, 410), 636, 410]),
        ("ImageResizeKJ", {"image": WIDE, "width": 576, "height": 1024, "keep_proportion": True, "divisible_by": 16},
         [picture(576, 368), 576, 368]),
        ("ImageResizeKJ", {"image": WIDE, "width": 9, "height": 9, "get_image_size": PORTRAIT}, [PORTRAIT, 512, 512]),
        ("ImagePadKJ", {"image": PORTRAIT, "left": 8, "right": 8, "top": 0, "bottom": 64, "extra_padding": 2},
         [picture(532, 580)]),
        ("ImagePadKJ", {"image": PORTRAIT, "left": 8, "target_width": 600, "target_height": 700}, [picture(600, 700)]),
        ("ImagePadForOutpaintTargetSize", {"image": WIDE, "target_width": 576, "target_height": 1024},
         [picture(576, 1024)]),
        ("ImageConcanate", {"image1": PORTRAIT, "image2": WIDE, "direction": "right"}, [picture(1306, 512)]),
        ("ImageConcanate", {"image1": PORTRAIT, "image2": WIDE, "direction": "down", "match_image_size": False},
         [picture(1280, 1337)]),
        ("ImageConcatMulti", {"image_1": PORTRAIT, "image_2": WIDE, "inputcount": 3}, [picture(2304, 825)]),
        ("GetImageSizeAndCount", {"image": WIDE}, [WIDE, 1280, 825]),
        ("AddLabel", {"image": PORTRAIT, "height": 48, "direction": "up"}, [picture(512, 560)]),
        ("ImageCropByMask", {"image": PORTRAIT}, []),
        ("LazySwitchKJ", {"switch": False, "on_true": WIDE, "on_false": PORTRAIT}, [PORTRAIT]),
        ("FloatConstant", {"value": 12.5000004}, [12.5]),
        ("AudioConcatenate", {"audio1": sound(8000, 16000), "audio2": sound(4000, 16000)}, [sound(12000, 16000)]),
        # rgthree-comfy
        ("Image Resize (rgthree)", {"image": WIDE, "width": 512, "height": 512, "fit": "contain"},
         [picture(512, 330), 512, 330]),
        ("Image Resize (rgthree)", {"image": WIDE, "width": 50, "height": 0, "measurement": "percentage"},
         [picture(639, 412), 639, 412]),
        ("Image Resize (rgthree)", {"image": WIDE, "width": 512, "height": 512, "fit": "pad"}, [PORTRAIT, 512, 512]),
        ("Image Inset Crop (rgthree)", {"image": WIDE, "left": 10, "right": 10, "measurement": "Percentage"},
         [picture(1024, 825)]),
        ("Image or Latent Size (rgthree)", {"input": WIDE}, [1280, 825]),
        ("Any Switch (rgthree)", {"any_02": WIDE, "any_03": PORTRAIT}, [WIDE]),
        ("Power Primitive (rgthree)", {"type": "INT (new)", "value": "640.9"}, [640]),
        ("Power Primitive (rgthree)", {"type": "BOOLEAN", "value": "none"}, [False]),
        ("Context (rgthree)", {"images": WIDE, "seed": 7}, [..., *[...] * 6, WIDE, 7]),
        # Impact Pack
        ("ImpactSwitch", {"select": 2, "input1": PORTRAIT, "input2": WIDE}, [WIDE, ..., 2]),
        ("ImageMaskSwitch", {"select": 3, "images1": PORTRAIT, "images3_opt": WIDE}, [WIDE]),
        ("ImpactConditionalBranch", {"cond": True, "tt_value": WIDE, "ff_value": PORTRAIT}, [WIDE]),
        ("ImpactInversedSwitch", {"select": 2, "input": WIDE}, [Unknown(Cause.NOTHING), WIDE]),
        ("ImpactMinMax", {"mode": False, "a": 512, "b": 768}, [512]),
        ("ImpactValueReceiver", {"typ": "FLOAT", "value": "12.5"}, [12.5]),
        ("ImpactImageInfo", {"value": WIDE}, [..., 825, 1280]),
        ("ImpactMakeImageBatch", {"image1": WIDE, "image2": PORTRAIT}, [WIDE]),
        # ComfyUI_essentials
        ("ImageResize+", {"image": WIDE, "width": 576, "height": 1024, "method": "keep proportion"},
         [picture(576, 371), 576, 371]),
        ("ImageResize+", {"image": WIDE, "width": 576, "height": 1024, "method": "fill / crop", "multiple_of": 64},
         [picture(576, 1024), 576, 1024]),
        ("ImageResize+", {"image": WIDE, "width": 512, "height": 512, "method": "pad"}, [PORTRAIT, 512, 512]),
        ("ImageResize+", {"image": PORTRAIT, "width": 900, "height": 900, "condition": "downscale if bigger"},
         [PORTRAIT, 512, 512]),
        ("ImageCrop+", {"image": WIDE, "width": 600, "height": 600, "position": "center", "x_offset": 400},
         [picture(540, 600)]),
        ("ImageTile+", {"image": PORTRAIT, "rows": 2, "cols": 1, "overlap": 0.5}, [picture(512, 384), 512, 384]),
        ("ImageFlip+", {"image": WIDE, "axis": "x"}, [WIDE]),
        ("SimpleMathSlider+", {"value": 0.5, "min": 10.0, "max": 20.0, "rounding": 1}, [15.0, 15]),
        ("SimpleCondition+", {"evaluate": 1, "on_true": 640, "on_false": 320}, [640]),
        # VideoHelperSuite
        ("VHS_MergeImages", {"images_A": PORTRAIT, "images_B": WIDE, "merge_strategy": "match larger"}, [WIDE]),
        ("VHS_MergeImages", {"images_A": WIDE, "images_B": PORTRAIT, "merge_strategy": "match smaller"}, [WIDE]),
        ("VHS_SplitImages", {"images": WIDE, "split_index": 1}, [WIDE, ..., WIDE]),
        # WAS Node Suite
        ("Image Resize", {"image": WIDE, "mode": "resize", "resize_width": 500, "resize_height": 500},
         [picture(504, 504)]),
        ("Image Resize", {"image": WIDE, "mode": "rescale", "rescale_factor": 0.33}, [picture(422, 272)]),
        ("Constant Number", {"number_type": "integer", "number": 640.7}, [640, 640.7, 640]),
    ],
)  # fmt: skip
def test_a_node_gives(kind, inputs, outputs, here):
    given = [plain(each) for each in foreseen(kind, inputs, here)]
    assert [pair for pair in zip(given, outputs, strict=False) if pair[1] not in (..., pair[0])] == []
    assert len(given) >= len(outputs)


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs"),
    [
        ("LoadImage", {"image": "sub/wide.jpg"}, [WIDE]),
        ("LoadAndResizeImage", {"image": "sub/wide.jpg", "resize": False}, [WIDE, ..., 1280, 825]),
        ("LoadAndResizeImage", {"image": "sub/wide.jpg", "resize": True, "width": 512, "height": 512,
                                "keep_proportion": True, "divisible_by": 8}, [picture(512, 328), ..., 512, 328]),
        ("ImageReceiver", {"image": "portrait.png", "save_to_workflow": False}, [PORTRAIT]),
        ("ImageReceiver", {"image": "portrait.png", "save_to_workflow": True}, [RUN]),
        ("Image Load", {"image_path": "input/sub/wide.jpg"}, [WIDE]),
        ("VHS_LoadImagePath", {"image": "input/sub/wide.jpg", "custom_width": 640, "custom_height": 0},
         [picture(640, 413)]),
        ("VHS_LoadImagePath", {"image": ' "input/portrait.png" '}, [PORTRAIT]),
        ("VHS_LoadAudioUpload", {"audio": "speech.wav", "start_time": 0.0, "duration": 0.0}, [..., 4.79]),
        ("VHS_LoadAudioUpload", {"audio": "speech.wav", "start_time": 1.5, "duration": 2}, [sound(32000, 16000), 2.0]),
        ("VHS_LoadAudioUpload", {"audio": "speech.wav", "start_time": 4, "duration": 2.0},
         [sound(12640, 16000), 0.79]),
        ("VHS_LoadAudio", {"audio_file": "input/speech.wav", "seek_seconds": 0.79}, [sound(64000, 16000), 4.0]),
        ("VHS_LoadVideo", {"video": "speech.wav", "custom_width": 500, "custom_height": 300, "format": "Mochi"},
         [picture(496, 304), ..., ...]),
        ("VHS_LoadVideo", {"video": "speech.wav", "frame_load_cap": 48, "skip_first_frames": 24, "force_rate": 24},
         [RUN, ..., sound(32000, 16000)]),
        ("VHS_LoadVideo", {"video": "speech.wav", "frame_load_cap": 48}, [RUN, ..., RUN]),
        ("VHS_LoadVideoFFmpegPath", {"video": "input/speech.wav", "start_time": 4.0}, [RUN, ..., sound(12640, 16000)]),
    ],
)  # fmt: skip
def test_a_loader_gives(kind, inputs, outputs, here):
    given = [plain(each) for each in evaluate(parse_graph({"1": node(kind, **inputs)}), "1", here).outcome.outputs]
    assert [pair for pair in zip(given, outputs, strict=False) if pair[1] not in (..., pair[0])] == []


@pytest.mark.parametrize(
    ("kind", "inputs", "output"),
    [
        ("ResolutionSelector", {"aspect_ratio": "7:5 (New)", "megapixels": 1.0}, RUN),
        ("PrimitiveBoundingBox", {"x": ["9", 0], "y": 0, "width": 64, "height": 64}, Unknown(Cause.BEYOND)),
        ("PrimitiveBoundingBox", {"x": 8}, {"x": 8, "y": 0, "width": 512, "height": 512}),
        ("ImpactSwitch", {"select": float("inf"), "input1": 5}, None),
    ],
)
def test_what_a_later_version_or_half_a_graph_has_stops_no_prediction(kind, inputs, output, here):
    graph = parse_graph({"1": node(kind, **inputs)})
    if output is None:
        with pytest.raises(GraphError, match="select: the number is too large, or none"):
            evaluate(graph, "1", here)
    else:
        assert evaluate(graph, "1", here).outcome.outputs[0] == output


def test_paths_into_the_input_folder_are_names_of_its_files(here, folder):
    inputs = {"audio_file": str(folder / "speech.wav")}
    assert evaluate(parse_graph({"1": node("VHS_LoadAudio", **inputs)}), "1", here).outcome.outputs[1] == 4.79


CASES = {
    "VideoHelperSuite's upload": node("VHS_LoadAudioUpload", audio="speech.wav", start_time=0, duration=0),
    "VideoHelperSuite's path": node("VHS_LoadAudio", audio_file="input/speech.wav"),
}


@pytest.mark.parametrize("loader", CASES.values(), ids=CASES)
def test_the_length_of_a_voice_is_the_files(loader, here):
    seen = foresee(sources() | {"2": loader} | trio(duration=99_999.0), "7", here)
    assert (seen.judged.plan.job.duration_s, seen.assumed) == (4.79, ())


LOAD_VIDEO = {"8": node("LoadVideo", file="film.mkv"), "9": node("GetVideoComponents", video=["8", 0])}


@pytest.mark.parametrize(
    ("nodes", "link", "changed", "seconds"),
    [
        ({"9": node("LoadAudio", audio="film.mkv")}, ["9", 0], {}, 1.0),
        (LOAD_VIDEO, ["9", 1], {}, 2.0),
        (LOAD_VIDEO, ["9", 1], {"video_track": 1}, 1.0),
        ({"9": node("VHS_LoadVideo", video="film.mkv")}, ["9", 2], {}, 3.0),
        ({"9": node("VHS_LoadAudioUpload", audio="film.mkv")}, ["9", 0], {}, 3.0),
    ],
    ids=["Load Audio", "Load Video", "Load Video of ComfyUI 0.3.64", "VideoHelperSuite's video", "its audio"],
)
def test_each_loader_takes_another_track_of_a_film(here, nodes, link, changed, seconds):
    seen = foresee(sources() | nodes | trio(audio=link, duration=99_999.0), "7", replace(here, **changed))
    assert (seen.judged.plan.job.duration_s, seen.assumed) == (seconds, ())


def test_a_trimmed_sound_is_as_long_as_it_is_cut(here):
    cut = {"9": node("TrimAudioDuration", audio=["2", 0], start_index=0.0, duration=2.0)}
    seen = foresee(sources() | cut | trio(audio=["9", 0]), "7", here)
    assert (seen.judged.plan.job.duration_s, seen.assumed) == (2.0, ())


def test_a_resized_picture_decides_on_the_frames(here):
    resize = node("ImageResizeKJv2", image=["1", 0], width=576, height=1024, keep_proportion="stretch", divisible_by=2)
    seen = foresee(sources() | {"9": resize} | trio(image=["9", 0]), "7", here, "RTX 3060 12GB")
    assert (str(seen.judged.plan.job.frame_size), seen.assumed) == ("512×896", ())
    assert answer(seen, CardHistory())["verdict"] == "fail"


def test_values_go_through_contexts_and_switches(here):
    graph = sources("sub/wide.jpg") | {
        "20": node("Context (rgthree)", images=["1", 0]),
        "21": node("Context Big (rgthree)", base_ctx=["20", 0], steps=["25", 0]),
        "22": node("Context Switch (rgthree)", ctx_01=["26", 0], ctx_02=["21", 0]),
        "23": node("Context Merge Big (rgthree)", ctx_01=["22", 0], ctx_02=["27", 0]),
        "24": node("ImpactSwitch", select=["28", 0], input1=["1", 0], input2=["23", 7]),
        "25": node("PrimitiveInt", value=12),
        "26": node("Context (rgthree)"),
        "27": node("Context (rgthree)", seed=["25", 0]),
        "28": node("INTConstant", value=2),
    }
    seen = foresee(graph | trio(image=["24", 0], inference_steps=["23", 9]), "7", here)
    job = seen.judged.plan.job
    assert (job.width, job.height, job.steps, seen.assumed) == (1280, 825, 12, ())


@pytest.mark.parametrize(
    ("switch", "settings"),
    [
        ("ComfySwitchNode", {"switch": True, "on_true": ["1", 0], "on_false": ["8", 0]}),
        ("ImpactSwitch", {"select": 1, "input1": ["1", 0], "input2": ["8", 0]}),
    ],
)
def test_what_a_switch_does_not_choose_is_not_looked_at(switch, settings, here):
    graph = sources() | {"8": node("LoadImage", image="broken.png"), "9": node(switch, **settings)}
    assert foresee(graph | trio(image=["9", 0]), "7", here).judged.plan.job.width == 512


UNKNOWN_NODE = {"9": node("Webcam")}
GRAPHS = {
    "a picture of a node that nobody knows": (
        sources() | UNKNOWN_NODE | trio(image=["9", 0]), ("picture", Cause.NODE, "Webcam")),
    "behind other nodes": (
        sources() | UNKNOWN_NODE | {"10": node("ImageScaleBy", image=["9", 0], scale_by=2.0),
                                    "11": node("Any Switch (rgthree)", any_01=["10", 0])} | trio(image=["11", 0]),
        ("picture", Cause.NODE, "Webcam")),
    "behind a node of this pack": (
        UNKNOWN_NODE | sources() | {"10": node("SonicGuardFaceBox", image=["9", 0], aspect="1:1", face_index=0,
                                               face_box="")} | trio(image=["10", 0]),
        ("picture", Cause.NODE, "Webcam")),
    "scaled by a number that nobody knows": (
        sources() | UNKNOWN_NODE | {"10": node("ImageScale", image=["1", 0], width=["9", 0], height=512)}
        | trio(image=["10", 0]), ("picture", Cause.NODE, "Webcam")),
    "a sound of a node that nobody knows": (
        sources() | UNKNOWN_NODE | trio(audio=["9", 0]), ("sound", Cause.NODE, "Webcam")),
    "a setting of a node that nobody knows": (
        sources() | UNKNOWN_NODE | trio(min_resolution=["9", 0]), ("value", Cause.NODE, "Webcam")),
    "a switch that nobody knows": (
        sources() | UNKNOWN_NODE | {"10": node("ComfySwitchNode", switch=["9", 0], on_true=["1", 0], on_false=["1", 0])}
        | trio(image=["10", 0]), ("picture", Cause.NODE, "Webcam")),
    "a crop that a mask decides on": (
        sources() | {"10": node("ImageCropByMask", image=["1", 0])} | trio(image=["10", 0]),
        ("picture", Cause.RUN, "")),
    "no picture chosen": (sources("") | trio(), ("picture", Cause.NOTHING, "")),
    "no picture connected": (
        {key: each for key, each in (sources() | trio()).items() if key != "1"}, ("picture", Cause.BEYOND, "")),
    "a picture that is gone": (sources("ghost.png") | trio(), ("picture", Cause.LOST, "ghost.png")),
    "a sound that is gone": (sources(audio="ghost.wav") | trio(), ("sound", Cause.LOST, "ghost.wav")),
    "a sound elsewhere on the disk": (
        sources() | {"2": node("VHS_LoadAudio", audio_file="/music/speech.wav")} | trio(),
        ("sound", Cause.OUTSIDE, "speech.wav")),
    "a sound on the web": (
        sources() | {"2": node("VHS_LoadAudio", audio_file="https://x.org/a.mp3")} | trio(),
        ("sound", Cause.OUTSIDE, "a.mp3")),
    "the path that the node starts with": (
        sources() | {"2": node("VHS_LoadAudio", audio_file="input/")} | trio(), ("sound", Cause.NOTHING, "")),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "reason"), GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("target", ["4 GiB", "80 GiB"])
def test_a_run_that_rests_on_an_assumption_is_unknown(graph, reason, target, here):
    seen = foresee(graph, "7", here, target)
    assert [(each.key, each.cause, each.source) for each in seen.assumed] == [reason]
    for lang in LANGUAGES:
        given = answer(seen, CardHistory(), lang)
        assert (given["verdict"], given["verdict_text"]) == ("unknown", plan_texts.UNKNOWN[LANGUAGES.index(lang)])
        assert given["peak_bytes"] > 0
        assert len(given["assumed"]) == 1
        assert reason[2] in given["assumed"][0]
    assert job_for(graph, "7", here) is None, "the history learns from what is known only"


def test_a_first_graph_without_files_is_told_what_to_choose(here):
    seen = foresee(sources("", "") | preflight(), "3", here)
    said = answer(seen, CardHistory())
    assert said["verdict"] == "unknown"
    assert said["assumed"][:2] == [
        "no picture is chosen yet: a square picture is assumed", "no sound is chosen yet: 10 s of audio are assumed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("graph", "asked"),
    [
        ({key: each for key, each in (sources() | trio()).items() if key != "7"}, "6"),
        (sources() | preflight(image=["8", 0]) | {"8": node("ImageFlip", image=["1", 0])}, "3"),
        (after_preflight(cut_silence=True) | {"2": node("TrimAudioDuration", audio=["12", 0], duration=3.0),
                                              "12": node("LoadAudio", audio="voice.wav")}, "7"),
    ],
    ids=["a sampler's defaults", "a face's place", "silence that is not cut"],
)  # fmt: skip
def test_an_assumption_that_does_not_decide_leaves_the_verdict(graph, asked, here):
    seen = foresee(graph, asked, here, "80 GiB")
    assert seen.assumed
    assert not seen.unknown
    assert answer(seen, CardHistory())["verdict"] in set(Verdict)


def test_a_size_that_is_set_needs_no_known_picture(here):
    resize = node("ImageResizeKJv2", image=["9", 0], width=576, height=1024, keep_proportion="crop", divisible_by=2)
    seen = foresee(sources() | UNKNOWN_NODE | {"10": resize} | trio(image=["10", 0]), "7", here)
    assert (str(seen.judged.plan.job.frame_size), seen.assumed) == ("512×896", ())


@pytest.mark.parametrize(
    ("duration", "assumed_s"), [(4.0, 4.0), (120.0, 120.0), (99_999.0, 10.0)], ids=["short", "long", "all of it"]
)
def test_the_length_of_an_unknown_sound(duration, assumed_s, here):
    seen = foresee(sources() | UNKNOWN_NODE | trio(audio=["9", 0], duration=duration), "7", here)
    assert seen.judged.plan.job.duration_s == assumed_s


@pytest.mark.parametrize(
    ("graph", "error", "words"),
    [
        ({"9": node("TrimAudioDuration", audio=["2", 0], start_index=9.0, duration=2.0)} | trio(audio=["9", 0]),
         GraphError, "nothing is left"),
        ({"9": node("ImageResizeKJv2", image=["1", 0], width=1, height=1, divisible_by=64)} | trio(image=["9", 0]),
         GraphError, "0×0 pixels"),
        ({"9": node("ImageScale", image=["1", 0], width="big", height=1)} | trio(image=["9", 0]),
         GraphError, "width: expected a number"),
        ({"9": node("ResolutionSelector", aspect_ratio="1:1", megapixels=-1.0, multiple=8)}
         | trio(min_resolution=["9", 0]), GraphError, "not possible"),
        ({"9": node("ComfyNumberConvert", value="wide")} | trio(fps=["9", 0]), GraphError, "expected a number"),
        ({"9": node("VHS_LoadAudio", audio_file="input/../../secret.wav")} | trio(audio=["9", 0]), FileNameError,
         "not a file in the input folder"),
        ({"9": node("LoadImage", image=5)} | trio(image=["9", 0]), FileNameError, "expected the name of a file"),
    ],
)  # fmt: skip
def test_settings_that_a_node_would_refuse(graph, error, words, here):
    with pytest.raises(error, match=words):
        foresee(sources() | graph, "7", here)


def test_every_cause_has_a_sentence():
    assert {name.partition(" ")[0] for name in plan_texts.CAUSES} == {str(cause) for cause in Cause}
    for key in plan_texts.ASSUMPTIONS:
        for cause in Cause:
            for lang in LANGUAGES:
                assert assumption(key, "fps", 25.0, cause, "Webcam", lang)


def test_no_two_tables_name_the_same_node():
    from sonic_guard.preview import foreign

    tables = [value for name, value in vars(foreign).items() if name.isupper() and name != "FOREIGN"]
    assert sum(map(len, tables)) == len(foreign.FOREIGN)
    assert set(foreign.FOREIGN) < set(KINDS)
