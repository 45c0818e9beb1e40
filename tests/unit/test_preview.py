"""Before the run: the same as the nodes themselves would give, without running them; and stated assumptions."""

from dataclasses import replace

import pytest

from sonic_guard.comfy.api_graph import MAX_NODES
from sonic_guard.errors import (
    AudioError,
    BudgetError,
    FaceError,
    FileNameError,
    GraphError,
    JobError,
    PictureError,
    PresetError,
    UnknownNameError,
)
from sonic_guard.job import Dtype
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.plan_messages import assumption
from sonic_guard.planning.advice import Where
from sonic_guard.planning.capacity import Verdict
from sonic_guard.preview.evaluation import KINDS, job_for
from tests.support.graph_runs import Run, foresee
from tests.support.graphs import after_preflight, machine, node, preflight, sources, trio, write_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("input"))


@pytest.fixture
def here(folder):
    return machine(folder)


def job(graph, asked, here, target="auto"):
    return foresee(graph, asked, here, target).judged.plan.job


def core(job):
    """All of a job that memory and time follow from."""
    return (
        job.frame_size, job.latent_frames, job.window, job.dtype, job.steps, job.interpolate, job.min_resolution,
        job.dynamic_scale, job.vae_dtype,
    )  # fmt: skip


def downgraded(**inputs):
    settings = {
        "image": ["1", 0], "min_resolution": 768, "duration": 5.0, "fps": 25.0, "dtype": "fp32",
        "use_interframe": True, "inference_steps": 40, "target_card": "12 GiB", "policy": "lossless_first",
        "reserve": 0.1, "language": "en",
    }  # fmt: skip
    links = {"min_resolution": 0, "duration": 1, "fps": 2, "dtype": 3, "use_interframe": 4, "inference_steps": 5}
    sonic_nodes = trio(**{name: ["3", slot] for name, slot in links.items()})
    return sources() | {"3": node("SonicGuardAutoDowngrade", **settings | inputs)} | sonic_nodes


def of_preset(**inputs):
    names = ("min_resolution", "duration", "inference_steps", "dynamic_scale", "fps", "dtype", "use_interframe")
    sonic_nodes = trio(**{name: ["3", slot] for slot, name in enumerate(names)})
    return sources() | {"3": node("SonicGuardPreset", **inputs)} | sonic_nodes


def measured(**inputs):
    ears = node("SonicGuardAudioDuration", **{"audio": ["2", 0], "cut_silence": False, "use_interframe": True} | inputs)
    return sources(audio="quiet.wav") | {"3": ears} | trio(audio=["3", 3], duration=["3", 0])


def cropped(aspect):
    eyes = node("SonicGuardFaceBox", image=["1", 0], aspect=aspect, face_index=0, face_box="")
    return sources(image="sub/wide.jpg") | {"3": eyes} | trio(image=["3", 0])


def risked():
    settings = {"min_resolution": 512, "duration": 5.0, "fps": 25.0, "dtype": "fp16", "use_interframe": True}
    wall = node(
        "SonicGuardOOMRisk", image=["1", 0], target_card="4 GiB", stop=False, reserve=0.1, language="en", **settings
    )
    return sources() | {"3": wall} | trio(image=["3", 0])


@pytest.mark.parametrize(
    "graph",
    [
        sources() | trio(),
        sources("sub/wide.jpg") | trio(min_resolution=448, dtype="bf16", fps=12.5, use_interframe=False),
        sources(audio="quiet.wav") | trio(duration=4.05),
        after_preflight(),
        after_preflight(preset="hd", target_card="24 GiB"),
        after_preflight(preset="minimal", aspect="9:16", target_card="32 GiB"),
        after_preflight(preset="hd", target_card="8 GiB", policy="lossless_first"),
        after_preflight(preset="hd", target_card="6 GiB", on_risk="warn"),
        after_preflight(aspect="1:1", face_box="100, 50, 300, 250"),
        after_preflight() | sources("sub/wide.jpg", "quiet.wav"),
        after_preflight(aspect="16:9", cut_silence=True) | sources("sub/wide.jpg", "quiet.wav"),
        after_preflight() | sources(audio="short.wav"),
        after_preflight(aspect="none", reserve=0.5, target_card="16 GiB"),
        downgraded(),
        downgraded(policy="article", target_card="64 GiB"),
        of_preset(preset="minimal", audio=["2", 0]),
        of_preset(preset="hd"),
        measured(),
        measured(cut_silence=True),
        measured(use_interframe=False),
        cropped("1:1"),
        cropped("9:16"),
        risked(),
    ],
)
def test_it_is_the_run_that_the_nodes_lead_to(graph, nodes, folder, here):
    foreseen = job(graph, "7", here)
    real = Run(graph, nodes, folder).job("7")
    assert core(foreseen) == core(real)
    assert foreseen.duration_s == pytest.approx(real.duration_s, abs=1 / 8000)


@pytest.mark.parametrize("asked", ["5", "6", "7"])
def test_each_of_sonics_nodes_shows_the_same_run(asked, here):
    graph = after_preflight(preset="hd", target_card="10 GiB")
    assert foresee(graph, asked, here)[:2] == foresee(graph, "7", here)[:2]
    assert foresee(graph, asked, here).assumed == ()


def test_what_links_bring_into_each_of_sonics_nodes(here):
    graph = after_preflight()
    planned = job(graph, "3", here)
    brought = {asked: foresee(graph, asked, here).linked for asked in ("5", "6", "7")}
    assert all(foresee(graph, asked, here).linked_loaders == {"5": brought["5"]} for asked in ("6", "7"))
    numbers = [value for one in brought.values() for value in one.values()]
    assert brought["5"] == {"dtype": planned.dtype, "use_interframe": planned.interpolate}
    assert brought["6"]["min_resolution"] == planned.min_resolution
    assert brought["7"] == {
        "inference_steps": planned.steps,
        "dynamic_scale": planned.dynamic_scale,
        "fps": planned.fps,
    }
    assert all(isinstance(value, bool | int | float | str) for value in numbers)


def test_of_an_unknown_node_nothing_is_said(here):
    graph = sources() | {"9": node("Elsewhere")} | trio(inference_steps=["9", 0])
    assert foresee(graph, "7", here).linked == {}


def test_preflight_shows_its_plan(here):
    requested = after_preflight(preset="hd", target_card="10 GiB")
    planned, kept = (
        foresee(requested, "3", here),
        foresee(requested | preflight(preset="hd", on_risk="warn"), "3", here),
    )
    assert planned.judged.plan.changes
    assert planned.judged.plan.fits
    assert core(planned.judged.plan.job) == core(job(requested, "7", here))
    assert kept.judged.plan.job.min_resolution == 1024
    assert (kept.judged.plan.risk.verdict, kept.judged.where) == (Verdict.FAIL, Where.ON_RISK)


@pytest.mark.parametrize(
    ("graph", "asked", "target", "card", "where"),
    [
        (sources() | trio(), "7", "auto", "RTX 4060 8GB", Where.SONIC_NODES),
        (sources() | trio(), "7", "24 GiB", "24 GiB", Where.SONIC_NODES),
        (after_preflight(), "7", "auto", "12 GiB", Where.SONIC_NODES),
        (after_preflight(on_risk="stop"), "7", "auto", "12 GiB", Where.ON_RISK),
        (after_preflight(), "7", "24 GiB", "24 GiB", Where.SONIC_NODES),
        (after_preflight(), "3", "24 GiB", "12 GiB", Where.SONIC_NODES),
        (after_preflight(target_card="auto", policy="article"), "3", "auto", "RTX 4060 8GB", Where.POLICY),
        (risked(), "3", "auto", "4 GiB", Where.THIS_NODE),
        (downgraded(policy="article"), "3", "auto", "12 GiB", Where.POLICY),
    ],
)
def test_it_is_judged_for_the_card_of_the_node_in_front(graph, asked, target, card, where, here):
    judged = foresee(graph, asked, here, target).judged
    assert (judged.plan.budget.card, judged.where) == (card, where)


LOADER_ONLY = {"5": trio()["5"]}
NO_SAMPLER = {key: value for key, value in (sources() | trio(min_resolution=640)).items() if key != "7"}


@pytest.mark.parametrize(
    ("graph", "asked", "assumed"),
    [
        (sources() | trio(), "7", []),
        (sources() | trio(min_resolution=["9", 0]), "7", [("value", "min_resolution", 512)]),
        (sources() | trio(fps=["9", 0]) | {"9": node("SomeFloat", value=30)}, "7", [("value", "fps", 25.0)]),
        (trio(), "7", [("sound", "", 10.0), ("picture",)]),
        (trio(duration=4.0), "7", [("sound", "", 4.0), ("picture",)]),
        (trio(image=["9", 0]) | sources() | {"9": node("Draw", image=["1", 0])}, "7", [("picture",)]),
        (NO_SAMPLER, "6", [("default", "fps", 25.0), ("default", "inference_steps", 25)]),
        (preflight(), "3", [("picture",), ("sound", "", 10.0), ("face",)]),
        (after_preflight() | {"1": node("Webcam")}, "7", [("picture",), ("face",)]),
        (sources() | preflight(image=["8", 0]) | {"8": node("ImageScaleBy", image=["1", 0], scale_by=0.5)}, "3",
         [("face",)]),
        (measured(cut_silence=True) | preflight(audio=["8", 3], cut_silence=True)
         | {"8": node("SonicGuardAudioDuration", audio=["2", 0], cut_silence=False, use_interframe=True)}, "3",
         [("silence",)]),
        (sources() | {"3": node("SonicGuardPreset", preset="fast", audio=["9", 0])} | trio(duration=["3", 1]), "7",
         [("sound", "", 10.0)]),
        ({"3": node("SonicGuardOOMRisk")}, "3", [
            ("default", "target_card", "auto"), ("default", "reserve", 0.1), ("picture",),
            ("default", "duration", 10.0), ("default", "min_resolution", 512), ("default", "fps", 25.0),
            ("default", "dtype", "fp16"), ("default", "use_interframe", True),
        ]),
        (LOADER_ONLY, "5", [
            ("default", "duration", 10.0), ("sound", "", 10.0), ("picture",), ("default", "min_resolution", 512),
            ("default", "fps", 25.0), ("default", "inference_steps", 25),
        ]),
    ],
)  # fmt: skip
def test_what_is_not_known_is_assumed_and_reported(graph, asked, assumed, here):
    foreseen = foresee(graph, asked, here)
    assert [tuple(each)[: len(expected)] for each, expected in zip(foreseen.assumed, assumed, strict=True)] == assumed
    assert all(assumption(*each, lang=lang) for each in foreseen.assumed for lang in LANGUAGES)


def test_settings_that_are_there_are_kept_among_assumptions(here):
    assert job(NO_SAMPLER, "6", here).min_resolution == 640
    assert job(LOADER_ONLY | {"5": trio(dtype="fp32")["5"]}, "5", here).dtype is Dtype.FP32


@pytest.mark.parametrize(
    ("kind", "inputs", "size"),
    [
        ("ImageScale", {"width": 640, "height": 320, "crop": "center"}, (640, 320)),
        ("ImageScale", {"width": 0, "height": 256}, (256, 256)),
        ("ImageScale", {"width": 100, "height": 0}, (100, 100)),
        ("ImageScale", {"width": 0, "height": 0}, (512, 512)),
        ("ImageScaleBy", {"scale_by": 1.5}, (768, 768)),
        ("ImageScaleToTotalPixels", {"megapixels": 1.0}, (1024, 1024)),
        ("ImageScaleToTotalPixels", {"megapixels": 0.5, "resolution_steps": 64}, (704, 704)),
        ("ImageCrop", {"width": 300, "height": 200, "x": 10, "y": 10}, (300, 200)),
        ("ImageCrop", {"width": 600, "height": 600, "x": 112, "y": 400}, (400, 112)),
        ("Reroute", {}, (512, 512)),
    ],
)
def test_pictures_changed_on_the_way(kind, inputs, size, here):
    link = {"" if kind == "Reroute" else "image": ["1", 0]}
    graph = sources() | {"9": node(kind, **link, **inputs)} | trio(image=["9", 0])
    found = job(graph, "7", here)
    assert (found.width, found.height) == size


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("PrimitiveInt", 640, "min_resolution"),
        ("PrimitiveFloat", 12.5, "fps"),
        ("PrimitiveBoolean", False, "use_interframe"),
        ("PrimitiveString", "bf16", "dtype"),
        ("PrimitiveStringMultiline", "fp32", "dtype"),
    ],
)
def test_numbers_and_words_from_other_nodes(kind, value, name, here):
    graph = sources() | {"9": node(kind, value=value)} | trio(**{name: ["9", 0]})
    fields = {"use_interframe": "interpolate"}
    assert getattr(job(graph, "7", here), fields.get(name, name)) == value


def test_a_preset_of_the_users_own(folder, here):
    (folder / "presets").mkdir(exist_ok=True)
    (folder / "presets" / "mine.json").write_text('{"name": "mine", "min_resolution": 192}', encoding="utf-8")
    assert job(after_preflight(preset="mine"), "3", here).min_resolution == 192


def ring(length):
    """Reroutes in a circle, with a sampler in front."""
    chain = {f"r{i}": node("Reroute", **{"": [f"r{(i + 1) % length}", 0]}) for i in range(length)}
    return sources() | chain | trio(fps=["r0", 0])


@pytest.mark.parametrize(
    ("graph", "asked", "error", "words"),
    [
        (ring(1), "7", GraphError, "circle"),
        (ring(150), "7", GraphError, "circle"),
        (trio(image=["7", 0]), "7", GraphError, "circle"),
        (sources(), "8", GraphError, "there is no node '8'"),
        (sources(), "1", GraphError, "nothing to predict for a LoadImage"),
        ([], "1", GraphError, "expected an object of nodes"),
        (None, "1", GraphError, "expected an object of nodes"),
        ({"1": 5}, "1", GraphError, "node 1 is not an object"),
        ({"1": {"class_type": "SONICSampler", "inputs": []}}, "1", GraphError, "inputs of node 1"),
        ({"1": {"inputs": {}}}, "1", GraphError, "class_type of node 1"),
        ({"": node("SONICSampler")}, "", GraphError, "a node's id"),
        ({str(i): node("X") for i in range(MAX_NODES + 1)}, "1", GraphError, "201 nodes"),
        (sources() | trio(min_resolution="big"), "7", GraphError, "min_resolution: expected a number, got 'big'"),
        (sources() | trio(min_resolution=True), "7", GraphError, "min_resolution: expected a number, got True"),
        (sources() | trio(min_resolution=512.5), "7", GraphError, "min_resolution: expected a whole number"),
        (sources() | trio(min_resolution=[1, 2, 3]), "7", GraphError, "min_resolution: expected a number"),
        (sources() | trio(min_resolution=None), "7", GraphError, "min_resolution: expected a number"),
        (sources() | trio(fps=float("nan")), "7", GraphError, "fps: the number is too large, or none"),
        (sources() | trio(fps=float("inf")), "7", GraphError, "fps: the number is too large, or none"),
        (sources() | trio(inference_steps=10**400), "7", GraphError, "inference_steps: the number is too large"),
        (sources() | trio(use_interframe="yes"), "7", GraphError, "use_interframe: expected true or false"),
        (sources() | trio(dtype="fp8"), "7", GraphError, "dtype: there is no 'fp8'; choose one of fp16, bf16, fp32"),
        (sources() | trio(image=["2", 0]), "7", GraphError, "image: expected a link to a picture"),
        (sources() | trio(image="portrait.png"), "7", GraphError, "image: expected a link to a picture"),
        (sources() | preflight(preset="x" * 1000), "3", GraphError, "preset: expected a text of at most"),
        (sources() | preflight(on_risk="pray"), "3", GraphError, "on_risk: there is no 'pray'"),
        (sources() | preflight(aspect="4:3"), "3", GraphError, "aspect: there is no '4:3'"),
        ({f"{i}": node("SonicGuardOOMRisk", image=[f"{i + 1}", 0]) for i in range(30)}, "0", GraphError,
         "more than 20"),
        (sources() | {"9": node("ImageScaleBy", image=["1", 0], scale_by=0.0)} | trio(image=["9", 0]), "7", GraphError,
         "0×0 pixels is not a possible size"),
        (sources() | trio(min_resolution=64), "7", None, ""),
        (sources() | trio(min_resolution=10**6), "7", JobError, "min_resolution"),
        (sources() | trio(duration=0.0), "7", JobError, "duration"),
        (sources() | trio(fps=-1.0), "7", JobError, "fps"),
        (sources("no face.png") | preflight(), "3", FaceError, "no face found"),
        (sources() | preflight(face_index=7), "3", FaceError, "face number 7"),
        (sources() | preflight(face_box="1, 2"), "3", FaceError, "expected x1, y1, x2, y2"),
        (sources("broken.png") | trio(), "7", PictureError, "broken.png"),
        (sources(audio="portrait.png") | trio(), "7", AudioError, "portrait.png"),
        (sources("../x.png") | trio(), "7", FileNameError, "'../x.png'"),
        (sources() | preflight(preset="turbo"), "3", UnknownNameError, "there is no 'turbo'"),
        (sources() | preflight(target_card="RTX 9999"), "3", BudgetError, "RTX 9999"),
        (sources() | preflight(reserve=2.0), "3", BudgetError, "reserve: 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported(graph, asked, error, words, here):
    if error is None:
        assert foresee(graph, asked, here)
        return
    with pytest.raises(error) as caught:
        foresee(graph, asked, here)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_broken_preset_is_not_a_missing_one(folder, here):
    (folder / "presets").mkdir(exist_ok=True)
    (folder / "presets" / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(PresetError, match=r"^bad\.json: ") as caught:
        foresee(after_preflight(preset="bad"), "3", here)
    assert str(folder) not in str(caught.value), "a page must not learn where the folder is"


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.write_text("no folder"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("nothing"),
        lambda path: path.joinpath("mine.json").mkdir(parents=True),
    ],
    ids=["none", "file", "circle", "broken link", "folder in it"],
)
def test_built_in_presets_work_whatever_the_presets_folder_is(tmp_path, here, make):
    presets = tmp_path / "presets"
    make(presets)
    here = replace(here, user_presets=lambda: presets)
    assert job(after_preflight(preset="minimal"), "3", here).min_resolution == 384
    with pytest.raises(UnknownNameError, match="there is no 'mine'"):
        foresee(after_preflight(preset="mine"), "3", here)


def test_a_prediction_looks_at_its_own_preset_only_and_sees_it_edited(tmp_path, here, monkeypatch):
    here = replace(here, user_presets=lambda: tmp_path)
    for number in range(3000):
        (tmp_path / f"p{number}.json").write_text("{", encoding="utf-8")
    listed = []
    monkeypatch.setattr("os.scandir", listed.append)
    for side in (192, 256, 192):
        (tmp_path / "mine.json").write_text(f'{{"name": "mine", "min_resolution": {side}}}', encoding="utf-8")
        assert job(after_preflight(preset="mine"), "3", here).min_resolution == side
    assert job(after_preflight(preset="minimal"), "3", here).min_resolution == 384
    assert listed == []


def test_a_file_that_plays_no_part_is_not_looked_at(here):
    """The sound of a node whose picture alone is used; a picture after an unknown node."""
    graph = sources(audio="ghost.wav") | trio(image=["1", 0], audio=["9", 0])
    graph |= {"9": node("Mixer", audio=["2", 0])}
    assert foresee(graph, "7", here).assumed[0].key == "sound"


def test_a_long_chain_is_no_trouble(here):
    chain = {f"r{i}": node("Reroute", **{"": [f"r{i + 1}", 0]}) for i in range(5000)}
    chain["r5000"] = node("PrimitiveInt", value=640)
    prompt = sources() | chain | trio(min_resolution=["r0", 0])
    found = job_for(prompt, "7", here)
    assert found
    assert found.min_resolution == 640


@pytest.mark.parametrize("asked", ["5", "6", "7"])
def test_the_job_of_a_whole_prompt(asked, here):
    prompt = after_preflight() | {
        "8": node("CreateVideo", images=["7", 0], audio=["3", 11], fps=["3", 12]),
        "9": node("SaveVideo", video=["8", 0], filename_prefix="video/SonicGuard"),
        "10": node("KSampler", seed=5, steps=20, model=["4", 0]),
    }
    assert job_for(prompt, asked, here) == job(after_preflight(), "7", here)


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [({}, "7"), (sources("ghost.png") | trio(), "7"), (sources() | trio(), "1"), (ring(3), "7"), ({"7": 5}, "7")],
)
def test_no_job_where_it_cannot_be_determined(prompt, asked, here):
    assert job_for(prompt, asked, here) is None


def test_every_input_that_matters_is_one_of_the_nodes(nodes):
    for kind, (needs, _) in KINDS.items():
        if kind in nodes:
            assert set(needs) <= {slot.id for slot in nodes[kind].GET_SCHEMA().inputs}
