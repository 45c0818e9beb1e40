"""`language: auto`: what ComfyUI's users have saved decides, then the page that asked last."""

import importlib
import json

import pytest

from tests.support.node_inputs import NO_FACE, PORTRAIT, sound

SIZE = {"image": PORTRAIT, "min_resolution": 768, "target_card": "32 GiB"}
TOO_MUCH = SIZE | {"target_card": "6 GiB"}
TOO_SHORT = SIZE | {"duration": 0.25}
ON_NO_CARD = {"image": PORTRAIT, "audio": sound(5.0), "target_card": "1 GiB"}


@pytest.fixture
def languages(pack, user_folder):
    return importlib.import_module(f"{pack.__name__}.nodes.comfyui.languages")


@pytest.fixture
def save(user_folder):
    """Saves settings as ComfyUI's page does, for a user."""

    def save(settings, user="default"):
        folder = user_folder / user
        folder.mkdir(exist_ok=True)
        (folder / "comfy.settings.json").write_text(json.dumps(settings), encoding="utf-8")

    return save


@pytest.mark.parametrize(
    ("saved", "page", "language"),
    [
        ({"Comfy.Locale": "zh"}, None, "zh"),
        ({"Comfy.Locale": "zh-TW"}, None, "zh"),
        ({"Comfy.Locale": "en"}, None, "en"),
        ({"Comfy.Locale": "ja"}, None, "en"),
        ({"Comfy.Locale": "zha"}, None, "en"),
        ({"Comfy.Locale": 5}, None, "en"),
        ({"Comfy.Locale": "en"}, "zh", "en"),
        ({"Comfy.Locale": "zh"}, "en", "zh"),
        ({}, None, "en"),
        ({}, "zh", "zh"),
        (None, "zh", "zh"),
        (None, None, "en"),
    ],
)
def test_the_language_of_the_interface(languages, save, saved, page, language):
    if saved is not None:
        save(saved)
    if page is not None:
        languages.heard_from_page(page)
    assert languages.interface_language() == language


def test_the_last_page_counts(languages):
    languages.heard_from_page("zh")
    languages.heard_from_page("en")
    assert languages.interface_language() == "en"


@pytest.mark.parametrize(
    ("chosen", "locale", "word"),
    [("auto", "zh", "放得下"), ("auto", "en", "Fits"), ("en", "zh", "Fits"), ("zh", "en", "放得下")],
)
def test_a_report_is_in_the_chosen_language_or_that_of_the_interface(run_node, save, chosen, locale, word):
    save({"Comfy.Locale": locale})
    assert run_node("SonicGuardOOMRisk", language=chosen, **SIZE)["report"].startswith(word)


@pytest.mark.parametrize(
    ("node", "inputs", "english", "chinese"),
    [
        ("SonicGuardFaceBox", {"image": NO_FACE}, "image: no face found.", "image：没有检测到人脸。"),
        ("SonicGuardAudioDuration", {"audio": 5}, "audio: expected", "audio：需要 ComfyUI 的 AUDIO，实际是 int。"),
        ("SonicGuardPreset", {"preset": "turbo"}, "preset: there is no", "预设：没有 'turbo'。现有："),
        ("SonicGuardOOMRisk", {"image": NO_FACE, "language": "fr"}, "language: there", "language：没有 'fr'；可选："),
        ("SonicGuardOOMRisk", {"image": NO_FACE, "dtype": "x"}, "dtype: there is no", "dtype：没有 'x'；可选："),
        ("SonicGuardOOMRisk", TOO_MUCH, "Will run out of memory", "显存会不足"),
        ("SonicGuardAutoDowngrade", TOO_SHORT, "Will fail at a hard limit", "会因硬性限制而失败："),
        ("SonicGuardPreflight", ON_NO_CARD, "Will run out of memory", "显存会不足"),
    ],
)
@pytest.mark.parametrize("locale", ["en", "zh"])
def test_an_error_of_a_node_is_in_the_language_of_the_interface(
    run_node, save, refusal, locale, node, inputs, english, chinese
):
    save({"Comfy.Locale": locale})
    with pytest.raises(refusal) as caught:
        run_node(node, **inputs)
    assert str(caught.value).startswith(chinese if locale == "zh" else english)
    assert caught.value.text.startswith(english)


def test_an_error_of_a_node_is_in_the_language_chosen_on_it(run_node, save, refusal):
    save({"Comfy.Locale": "zh"})
    with pytest.raises(refusal, match=r"image: expected an IMAGE"):
        run_node("SonicGuardOOMRisk", image=5, language="en")


def test_what_is_refused_before_a_run_is_so_too(nodes, save):
    save({"Comfy.Locale": "zh"})
    for node in ("SonicGuardOOMRisk", "SonicGuardTalkingHead"):
        assert "显卡表中没有 'RTX 3061'" in nodes[node].validate_inputs(target_card="RTX 3061")


def test_every_method_that_fails_for_the_user_is_translated(nodes):
    for node in nodes.values():
        for name in ("execute", "check_lazy_status"):
            method = vars(node).get(name)
            assert method is None or hasattr(method.__func__, "__wrapped__"), f"{node.__name__}.{name}"
