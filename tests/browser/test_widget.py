"""The page's part in a real browser: the files of web/ against a stand-in for ComfyUI (tests/browser/web/standin)."""

import time

import pytest

from tests.support import chromium as chrome
from tests.support import page_server

CARD = ".sonic-guard"
THEMES = ("dark", "light")


@pytest.fixture(scope="module")
def browser():
    with chrome.chromium() as running:
        yield running


@pytest.fixture
def server():
    one = page_server.Server()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def page(browser, server):
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(10_000)
    messages = chrome.complaints(page)
    page.goto(server.url)
    page.wait_for_function("window.ready")
    yield page
    page.close()
    assert not messages


def add(page, kind="SonicGuardOOMRisk", saved=None, **values):
    """A new node in the graph; its id."""
    put = "([kind, values, saved]) => app.addNode(kind, { inputs: [['image', 'IMAGE']], values, saved }).id"
    return page.evaluate(put, [kind, values, saved])


def card(page, node=1):
    """The card of the node with that id; where it is on the page does not matter."""
    return page.locator(".node").nth(node - 1).locator(CARD)


def row(page, stage, node=1):
    return card(page, node).locator(f"[data-stage={stage}]")


def say(page, kind, news):
    page.evaluate("([kind, news]) => api.say(kind, news)", [f"sonic_guard.{kind}", news])


def setting(page, name, value):
    page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])


def shows(locator, text):
    """Wait until it does."""
    locator.filter(has_text=text).first.wait_for()


# ---- before a run


def test_a_prediction_is_drawn(page, server):
    add(page, min_resolution=512)
    shows(card(page), "Will run out of memory")
    text = card(page).inner_text()
    for part in (
        "Sonic VRAM · RTX 4060 8GB",
        "denoise, 2.5 GiB over",
        "budget 7.2 of 8.0 GiB",
        "448 reduces the peak to",
    ):
        assert part in text
    assert [row.get_attribute("data-stage") for row in card(page).locator(".row").all()] == list(page_server.STAGES)
    assert server.questions[0] == {
        "graph": {"1": {"class_type": "SonicGuardOOMRisk", "inputs": {"min_resolution": 512}}},
        "node": "1",
        "language": "en",
        "target_card": "auto",
    }


def test_bars_are_as_long_as_their_figures(page):
    add(page, min_resolution=512)
    shows(card(page), "Will run out")
    answer = page_server.answer({"graph": {"1": {"inputs": {}}}, "node": "1", "language": "en"})
    stage = next(stage for stage in answer["stages"] if stage["stage"] == "denoise")
    kinds = ("weights", "window", "clip", "overhead")
    widths = [row(page, "denoise").locator(f".{kind}").bounding_box()["width"] for kind in kinds]
    assert [width / sum(widths) for width in widths] == pytest.approx(
        [stage[kind] / stage["required"] for kind in kinds], abs=0.02
    )


def test_every_change_is_followed(page, server, record_property):
    """Each is shown, in order. The delay is reported, and only a generous limit is asserted."""
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    times = [
        page.evaluate(
            """(value) => new Promise((done) => {
              const shown = new MutationObserver(() => {
                if (!document.querySelector(".notes").textContent.includes(`${value}×${value}`)) return;
                shown.disconnect();
                done(performance.now() - start);
              });
              const all = { subtree: true, childList: true, characterData: true };
              shown.observe(document.querySelector(".sonic-guard"), all);
              const input = document.querySelector("input");
              const start = performance.now();
              input.value = value;
              input.dispatchEvent(new Event("input", { bubbles: true }));
            })""",
            value,
        )
        for value in range(320, 960, 64)
    ]
    asked = [question["graph"]["1"]["inputs"]["min_resolution"] for question in server.questions]
    assert asked == [512, *range(320, 960, 64)]
    record_property("ms_from_change_to_redraw", [round(time) for time in times])
    assert max(times) < 2000


def test_a_change_without_any_input_is_found_too(page):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate("() => { app.graph.nodes[0].widgets[0].value = 640; }")
    shows(card(page), "640×640")


def test_a_change_upstream_counts(page, server):
    add(page, "LoadImage", image="one.png")
    add(page)
    page.evaluate("() => app.graph.connect(app.graph.nodes[0], 0, app.graph.nodes[1], 0)")
    shows(card(page, 2), "GiB")
    page.locator("input").first.fill("other.png")
    page.wait_for_timeout(300)
    assert server.questions[-1]["graph"]["1"]["inputs"] == {"image": "other.png"}
    assert server.questions[-1]["graph"]["2"]["inputs"] == {"image": ["1", 0]}


def test_the_newest_answer_wins(page, server):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    server.delays_s = [0.8]
    page.locator("input").fill("576")
    page.wait_for_timeout(200)
    page.locator("input").fill("320")
    shows(card(page), "320×320")
    page.wait_for_timeout(900)
    assert "320×320" in card(page).inner_text()


def test_waiting_dims_the_old_figures(page, server):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    server.delays_s = [1.0]
    page.locator("input").fill("576")
    page.locator(".rows[data-dim]").wait_for()
    shows(card(page), "576×576")
    assert page.locator(".rows[data-dim]").count() == 0


def test_an_error_of_the_server_is_shown_instead_of_figures(page, server):
    server.problem = "No face was found in portrait.jpg."
    add(page, min_resolution=512)
    shows(card(page), "No face was found")
    assert card(page).locator(".row").count() == 0
    server.problem = None
    page.locator("input").fill("576")
    shows(card(page), "576×576")


def test_data_is_never_markup(page, server):
    server.problem = "<img src=x onerror=alert(1)> & <b>bold</b>"
    add(page)
    shows(card(page), server.problem)
    assert card(page).locator("img, b").count() == 0


def test_only_what_is_on_screen_asks(page, server):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate("() => { document.querySelector('main').style.paddingTop = '3000px'; }")
    page.wait_for_timeout(500)
    before = len(server.questions)
    page.evaluate("() => { app.graph.nodes[0].widgets[0].value = 640; }")
    page.wait_for_timeout(500)
    assert len(server.questions) == before
    page.evaluate("() => { document.querySelector('main').style.paddingTop = 0; }")
    shows(card(page), "640×640")


def test_a_hidden_page_asks_nothing_and_leases_nothing(page, server):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    look = """(state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(look, "hidden")
    page.evaluate("() => { app.graph.nodes[0].widgets[0].value = 640; }")
    page.wait_for_timeout(500)
    assert len(server.questions) == 1
    assert [lease["rate_hz"] for lease in server.leases] == [2, 0]
    page.evaluate(look, "visible")
    shows(card(page), "640×640")
    assert server.leases[-1] == {"client": "page-1", "rate_hz": 2}


@pytest.mark.parametrize("notified", [False, True], ids=["without an event", "with the host's event"])
def test_the_server_goes_away_and_comes_back(page, server, notified):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    server.stop()
    if notified:
        page.evaluate("() => api.say('reconnecting')")
    else:
        page.locator("input").fill("576")
    shows(card(page), "ComfyUI does not answer")
    assert card(page).locator(".row").count() == 5, "the old figures stay, dimmed"
    assert card(page).locator(".rows[data-dim]").count() == 1
    before = len(server.leases)
    server.start()
    if notified:
        page.evaluate("() => api.say('reconnected')")
    shows(card(page), "Will run out of memory")
    page.wait_for_function("() => !document.querySelector('.rows[data-dim]')")
    assert len(server.leases) > before, "the new server has the lease"


# ---- during a run and after it


def running(**changes):
    return page_server.run(nodes={"SONICSampler": "2", "SONIC_PreData": "3"}, **changes)


def test_a_run_is_shown_on_its_own_nodes_only(page):
    for kind in ("SonicGuardOOMRisk", "SONICSampler", "SONIC_PreData", "SONICSampler"):
        add(page, kind, min_resolution=512)
    shows(card(page, 4), "512×512")
    say(page, "live", page_server.live(run=running()))
    shows(card(page, 2), "Running")
    assert ["Running" in card(page, node).inner_text() for node in (1, 2, 3, 4)] == [False, True, True, False]


def test_a_run_is_shown_on_what_judges_it(page):
    """Preflight's picture goes to the sampler that runs."""
    add(page, "SonicGuardPreflight")
    add(page, "SONICSampler")
    add(page, "SonicGuardPreflight")
    page.evaluate("() => app.graph.connect(app.graph.nodes[0], 0, app.graph.nodes[1], 0)")
    shows(card(page, 3), "GiB")
    say(page, "live", page_server.live(run=page_server.run(nodes={"SONICSampler": "2"})))
    shows(card(page, 1), "Running")
    assert "Running" not in card(page, 3).inner_text()


@pytest.mark.parametrize("kind", ["SonicGuardLowVRAM", "SonicGuardTalkingHead"])
def test_the_nodes_that_enable_optimizations_have_a_card(page, server, kind):
    add(page, kind, sequential_cfg="auto")
    shows(card(page), "Sonic VRAM · RTX 4060 8GB")
    server.optimizations, server.parts = ["sequential_cfg", "layer_chunking"], 4
    page.locator("input").fill("on")
    shows(card(page), "optimizations: sequential_cfg + layer_chunking")
    assert "longest of 4 parts" in card(page).inner_text()
    assert server.questions[-1]["graph"] == {"1": {"class_type": kind, "inputs": {"sequential_cfg": "on"}}}


def test_a_judge_asks_again_when_optimizations_change(page, server):
    """Low VRAM is not upstream of it."""
    add(page, "SonicGuardOOMRisk", min_resolution=512)
    add(page, "SonicGuardLowVRAM", sequential_cfg="auto")
    shows(card(page), "512×512")
    for branch in ("auto", "off"):
        page.get_by_label("sequential_cfg").fill(branch)
        for _ in range(200):
            newest = [question["graph"] for question in server.questions if question["node"] == "1"][-1]
            if newest.get("2", {"inputs": {}})["inputs"].get("sequential_cfg") == branch:
                break
            page.wait_for_timeout(50)
        else:
            pytest.fail(f"{branch} was not sent: {newest}")


def test_the_parts_of_a_long_video_are_shown_one_after_the_other(page):
    """On Talking Head and on what feeds it; what was changed meanwhile is not taken for what ran."""
    for kind in ("SonicGuardLowVRAM", "SonicGuardTalkingHead", "SonicGuardLowVRAM"):
        add(page, kind, min_resolution=512)
    page.evaluate("() => app.graph.connect(app.graph.nodes[0], 0, app.graph.nodes[1], 0)")
    for node in (1, 2, 3):
        shows(card(page, node), "512×512")

    def part(number, **changes):
        run = page_server.run(
            id=number, nodes={"SonicGuardTalkingHead": "2"}, peak_bytes=number * page_server.GIB, **changes
        )
        say(page, "live", page_server.live(run=None if "outcome" in changes else run))
        say(page, "run", run)

    for number in (1, 2):
        part(number)
        shows(card(page, 2), f"peak {number}.0")
        shows(card(page, 1), "Running")
        assert "Running" not in card(page, 3).inner_text()
        part(number, outcome="done", stage="", left_s=None)
        shows(card(page, 2), f"Last run · done · peak {number}.0")
    page.locator("input").nth(1).fill("320")
    shows(card(page, 2), "320×320")
    part(3)
    shows(card(page, 2), "Running")
    part(3, outcome="done", stage="", left_s=None)
    shows(card(page, 2), "Fits")
    page.wait_for_timeout(200)
    assert "Last run" not in card(page, 2).inner_text()


def test_during_a_run(page):
    add(page, "SONICSampler", min_resolution=512)
    shows(card(page), "512×512")
    for second in range(5):
        say(page, "live", page_server.live(run=page_server.run(elapsed_s=second)))
    shows(card(page), "Running · Will run out of memory")
    text = card(page).inner_text()
    for part in (
        "▸ denoise",
        "live 3.7 · peak 8.5 · predicted 8.8 GiB of tensors",
        "step 14 / 25 · 52 s left",
        "8.5 / 8.8 GiB",
    ):
        assert part in text
    for part in ("card 5.1 of 8.0 GiB", "torch reserved 4.2 GiB", "RAM 12.3 of 32.0 GiB"):
        assert part in text
    assert row(page, "denoise").locator(".needle").count() == 1
    assert card(page).locator(".needle").count() == 1
    assert len(card(page).locator("path.measured").get_attribute("d").split("L")) == 5
    assert "running now" in row(page, "denoise").get_attribute("aria-label")


def test_several_cards_and_no_gpu(page):
    add(page)
    shows(card(page), "GiB")
    two = [
        {"index": index, "name": f"Card {index}", "used": page_server.GIB, "total": 8 * page_server.GIB}
        for index in (0, 1)
    ]
    say(page, "live", page_server.live(cards=two))
    card(page).get_by_role("button", name="2 cards").click()
    shows(card(page), "1 · Card 1: 1.0 of 8.0 GiB")
    nothing = {"gpu": False, "source": "none", "device_used": None, "device_total": None, "allocated": None}
    say(page, "live", page_server.live(**nothing, reserved=None, cards=[]))
    shows(card(page), "No GPU found")


def test_after_a_run_its_figures_stay_until_the_settings_change(page, server):
    add(page, "SONICSampler", min_resolution=512)
    shows(card(page), "512×512")
    say(page, "run", page_server.run())
    shows(card(page), "Running")
    before = len(server.questions)
    say(page, "run", page_server.run(outcome="oom", left_s=None))
    shows(card(page), "Last run · out of memory in denoise · peak 8.5 · predicted 8.8 GiB of tensors · 1 min 1 s")
    assert "8.5 / 8.8 GiB" in row(page, "denoise").inner_text()
    page.wait_for_timeout(200)
    assert len(server.questions) == before + 1, "what the run has taught is asked for"
    page.locator("input").fill("576")
    shows(card(page), "576×576")
    assert "Last run" not in card(page).inner_text()
    page.locator("input").fill("512")
    shows(card(page), "Last run")


def test_what_is_changed_during_a_run_is_not_taken_for_what_ran(page):
    add(page, "SONICSampler", min_resolution=512)
    shows(card(page), "512×512")
    say(page, "run", page_server.run())
    shows(card(page), "Running")
    page.locator("input").fill("320")
    shows(card(page), "Running · Fits")
    say(page, "run", page_server.run(outcome="done", stage=""))
    shows(card(page), "320×320")
    assert "Last run" not in card(page).inner_text()


def test_after_a_reload_the_last_run_comes_with_the_answer(page, server):
    server.last = page_server.run(outcome="done", stage="", left_s=None)
    add(page, "SONICSampler", min_resolution=512)
    shows(card(page), "Last run · done")
    assert "4.6 / 4.9 GiB" in row(page, "predata").inner_text()


def test_what_a_node_reports_is_on_its_card(page):
    for kind in ("SonicGuardPreflight", "SonicGuardFaceBox"):
        add(page, kind)
    assert card(page, 2).count() == 0
    page.evaluate("() => app.graph.nodes.forEach((node) => node.onExecuted?.({ text: ['one face', 'at 0.3'] }))")
    shows(card(page, 2), "one face\nat 0.3")
    card(page, 1).get_by_role("button", name="Report of the last run").click()
    shows(card(page, 1), "one face\nat 0.3")


# ---- settings, folding, saving


def reaches(page, holds, most_s=10.0):
    """Wait until something holds on the server, at most `most_s` seconds."""
    end = time.monotonic() + most_s
    while not holds() and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert holds()


def test_settings_work_at_once(page, server):
    add(page, "SonicGuardOOMRisk")
    add(page, "SONICSampler")
    shows(card(page, 1), "GiB")
    shows(card(page, 2), "Will run out")
    asked = {question["node"]: question.get("target_card") for question in server.questions}  # in whatever order
    assert asked == {"1": "auto", "2": "auto"}
    setting(page, "SonicGuard.SonicNodes", False)
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard').length === 1")
    setting(page, "SonicGuard.Widget", False)
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard').length === 0")
    reaches(page, lambda: server.leases[-1]["rate_hz"] == 0)
    setting(page, "SonicGuard.SonicNodes", True)
    setting(page, "SonicGuard.Widget", True)
    setting(page, "SonicGuard.TargetCard", "20 GiB")
    setting(page, "SonicGuard.Rate", 5)
    shows(card(page, 2), "Will run out")
    reaches(page, lambda: server.leases[-1] == {"client": "page-1", "rate_hz": 5})

    def last_card(node):
        return [each["target_card"] for each in server.questions if each["node"] == node][-1]

    for node in ("1", "2"):  # a run heeds the setting on this pack's nodes, too
        reaches(page, lambda node=node: last_card(node) == "20 GiB")


def size_of(page, node):
    return page.evaluate("(index) => [...app.graph.nodes[index].size]", node - 1)


def test_a_saved_node_of_sonics_own_keeps_its_size_until_the_user_opens_its_card(page):
    """Nothing of what the user has laid out is moved or made larger; verdict and advice are shown all the same."""
    add(page, "SONICSampler", saved={"properties": {}, "size": [300, 100]}, min_resolution=512)
    shows(card(page), "reduces the peak")
    page.evaluate("() => app.graph.nodes[0].setSize([300, 100])")
    page.locator("input").fill("576")
    page.wait_for_timeout(300)
    assert size_of(page, 1) == [300, 100]
    card(page).get_by_role("button", name="Show more").click()
    shows(card(page), "budget 7")
    page.wait_for_function("() => app.graph.nodes[0].size[1] > 200")


def test_the_whole_card_is_on_one_node_and_a_line_on_the_others(page):
    for kind in ("SONIC_PreData", "SONICSampler", "SonicGuardLowVRAM"):
        add(page, kind, min_resolution=512)
    shows(card(page, 3), "budget 7")
    assert [card(page, node).locator(".row").count() for node in (1, 2, 3)] == [0, 0, 5]
    add(page, "SonicGuardPreflight", min_resolution=512)
    shows(card(page, 4), "budget 7")
    shows(card(page, 3), "512×512")
    assert [card(page, node).locator(".row").count() for node in (1, 2, 3, 4)] == [0, 0, 0, 5]
    page.evaluate("() => { app.graph.nodes[3].mode = 2; }")
    shows(card(page, 3), "budget 7")


@pytest.mark.parametrize("mode", [2, 4], ids=["muted", "bypassed"])
def test_a_node_that_does_not_run_predicts_nothing(page, mode):
    add(page, "SonicGuardPreflight", min_resolution=512)
    shows(card(page, 1), "budget 7")
    page.evaluate("(mode) => { app.graph.nodes[0].mode = mode; }", mode)
    card(page, 1).locator(".top").wait_for(state="detached")
    assert not card(page, 1).is_visible()
    page.evaluate("() => { app.graph.nodes[0].mode = 0; }")
    shows(card(page, 1), "budget 7")


def test_a_line_opens_to_the_whole_card_and_that_is_saved(page):
    add(page, "SonicGuardLowVRAM", min_resolution=512)
    add(page, "SonicGuardPreflight", min_resolution=512)
    shows(card(page, 2), "budget 7")
    card(page, 1).locator(".line").click()
    shows(card(page, 1), "budget 7")
    saved = page.evaluate("() => app.graph.nodes[0].serialize()")
    add(page, "SonicGuardLowVRAM", saved=saved, min_resolution=512)
    shows(card(page, 3), "budget 7")
    card(page, 3).get_by_role("button", name="Show less").click()
    card(page, 3).locator(".line").wait_for()


def test_a_report_says_when_the_inputs_have_changed_since(page):
    add(page, min_resolution=512)
    shows(card(page), "Will run out")
    page.evaluate("() => app.graph.nodes[0].onExecuted({ text: ['All is well.'] })")
    shows(card(page), "Report of the last run")
    assert "other inputs" not in card(page).inner_text()
    page.locator("input").fill("320")
    shows(card(page), "Report of the last run, with other inputs than now")
    page.locator("input").fill("512")
    card(page).get_by_text("with other inputs").wait_for(state="detached")


def test_folding_is_saved_and_values_do_not_shift(page):
    add(page, fps=25, min_resolution=512)
    shows(card(page), "Will run out")
    tall = page.evaluate("() => app.graph.nodes[0].size[1]")
    card(page).get_by_role("button", name="Show less").click()
    page.wait_for_function("(tall) => app.graph.nodes[0].size[1] < tall - 100", arg=tall)
    saved = page.evaluate("() => app.graph.nodes[0].serialize()")
    assert saved["widgets_values"] == [25, 512]
    add(page, saved=saved, fps=25, min_resolution=512)
    shows(card(page, 2), "Will run out")
    assert "budget 7" not in card(page, 2).inner_text()
    card(page, 2).get_by_role("button", name="Show more").click()
    shows(card(page, 2), "budget 7")


def test_keyboard(page):
    """Every button is reached with Tab, shows the focus, and works; the canvas receives no key events."""
    page.evaluate("() => { window.received = []; addEventListener('keydown', (event) => received.push(event.key)); }")
    add(page, min_resolution=512)
    shows(card(page), "Will run out")
    page.locator("input").focus()
    page.keyboard.press("Tab")
    focused = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    assert page.evaluate(focused) == "Show less"
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "▸ Changes (1)"
    page.keyboard.press("Enter")
    shows(card(page), "13.4 GiB → 6.4 GiB")
    page.keyboard.press("Space")
    page.wait_for_function("() => !document.querySelector('.fold-out ul')")
    assert page.evaluate("() => received") == ["Tab", "Tab"]
    assert page.evaluate(focused) == "▸ Changes (1)", "a redraw leaves the focus where it was"


def test_a_line_that_cannot_be_opened_shows_the_whole_of_what_is_in_the_way(page, server):
    server.problem = "upscale_model: 'RealESRGAN_x4plus.safetensors' is not in models/upscale_models. Press R."
    add(page, "SonicGuardFinishVideo")
    shows(card(page), server.problem)
    width = page.locator(".words").evaluate("({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth]")
    assert width[0] <= width[1], "nothing is cut off"
    assert page.locator(".line").evaluate("(line) => line.offsetHeight") > 30, "more than one line"


def test_the_wheel_zooms_the_canvas(page):
    add(page)
    shows(card(page), "GiB")
    card(page).hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => app.wheeled")


def test_the_wheel_scrolls_a_card_that_its_node_has_no_room_for(page):
    add(page)
    shows(card(page), "GiB")
    card(page).evaluate("(card) => { card.style.maxHeight = '60px'; }")
    card(page).hover()
    page.mouse.wheel(0, 30)
    page.wait_for_function("() => document.querySelector('.sonic-guard').scrollTop === 30")
    assert not page.evaluate("() => Boolean(app.wheeled)")


def test_in_chinese(page, server):
    setting(page, "Comfy.Locale", "zh")
    add(page, min_resolution=512)
    shows(card(page), "显存会不足")
    text = card(page).inner_text()
    assert "Sonic 显存" in text
    assert "预算 7.2 / 8.0 GiB" in text
    assert server.questions[-1]["language"] == "zh"
    setting(page, "Comfy.Locale", "en")
    shows(card(page), "Will run out of memory")


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(page, server, theme):
    """WCAG AA: 4.5 to 1 for every text, whatever the verdict, in ComfyUI's two themes."""
    page.evaluate("(theme) => { document.documentElement.className = theme; }", theme)
    server.past = [page_server.past_run(number) for number in (1, 2)]
    server.last = page_server.run(outcome="oom", left_s=None)
    for node, size in enumerate((300, 376, 512), start=1):
        add(page, min_resolution=size)
        shows(card(page, node), "Last run")
    say(page, "live", page_server.live())
    server.problem = "No face was found."
    add(page)
    shows(card(page, 4), "No face")
    open_history(page)
    shows(page.locator("aside"), "median error")
    ratios = [pair for where in ("main", "aside") for pair in page.evaluate(chrome.CONTRASTS, where)]
    assert {"Fits", "Tight", "Will run out of memory", "No face was found.", "denoise"} <= {text for text, _ in ratios}
    assert not [(text, round(ratio, 2)) for text, ratio in ratios if ratio < 4.5]


# ---- coming and going


def test_nothing_stays_of_a_removed_node(page, server):
    """The node itself can be collected, and the page has no listeners, requests or leases left for it."""
    page.evaluate("""() => {
      window.listening = 0;
      const { addEventListener: add, removeEventListener: remove } = document;
      document.addEventListener = (...given) => (listening++, add.call(document, ...given));
      document.removeEventListener = (...given) => (listening--, remove.call(document, ...given));
    }""")
    for _ in range(3):
        add(page, "SONICSampler", min_resolution=512)
    shows(card(page, 3), "512×512")
    say(page, "live", page_server.live(run=page_server.run()))
    assert page.evaluate("() => listening") > 5
    page.evaluate("""() => {
      const held = app.graph.nodes.flatMap((node) => [node, node.widgets.at(-1).element]);
      window.gone = held.map((one) => new WeakRef(one));
      for (const node of app.graph.nodes) app.graph.remove(node);
    }""")
    page.wait_for_timeout(300)
    asked = len(server.questions)
    assert page.evaluate("() => listening") == 0
    assert server.leases[-1]["rate_hz"] == 0
    shown = "() => import('/extensions/sonic-guard/lib/node_card.mjs').then(({ onScreen }) => onScreen.size)"
    assert page.evaluate(shown) == 0
    tools = page.context.new_cdp_session(page)
    for _ in range(2):
        tools.send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(100)
    assert page.evaluate("() => gone.filter((one) => one.deref()).length") == 0
    assert len(server.questions) == asked


def test_a_graph_removed_without_an_event_is_released_too(page, server):
    """Front ends clear a subgraph's nodes without a notification."""
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate("() => document.querySelector('.node').remove()")
    page.wait_for_timeout(300)
    assert server.leases[-1]["rate_hz"] == 0


def test_a_node_that_is_restored_is_updated_again(page):
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate("() => { window.node = app.graph.nodes[0]; app.graph.remove(node); app.graph.add(node); }")
    page.locator("input").fill("640")
    shows(card(page), "640×640")


def test_a_node_with_the_id_of_a_removed_node_is_the_one_shown(page, server):
    """Nodes 2.0 keeps the elements of a node for the next of the same id, as after an undo."""
    add(page, min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate("""() => {
      const [old] = app.graph.nodes;
      app.graph.remove(old, { keepFrame: true });
      app.addNode(old.type, { values: { min_resolution: 640 }, frame: old.frame });
    }""")
    shows(card(page), "640×640")
    assert card(page).count() == 1


# ---- the history


def open_history(page):
    page.evaluate("() => app.extensionManager.command.execute('SonicGuard.OpenHistory')")


@pytest.fixture
def history(page, server):
    other = {"card": "NVIDIA GeForce RTX 3090", "outcome": "oom", "stage": "denoise"}
    server.past = [page_server.past_run(1), page_server.past_run(2, **other), page_server.past_run(3)]
    open_history(page)
    tab = page.locator(".sonic-guard-history")
    shows(tab, "median error")
    return tab


def test_history_without_runs_reports_what_to_do(page):
    open_history(page)
    shows(page.locator("aside"), "No runs yet. After the first one, this tab lists")
    open_history(page)
    assert page.locator("aside").is_hidden()


def test_history_lists_and_draws(history, server):
    rows = history.locator("tbody tr").all()
    assert len(rows) == 3
    text = rows[1].inner_text()
    for part in ("512×512 · 10.0 s · fp16 · RTX 3090", "9.0 → 8.8", "out of memory in denoise"):
        assert part in text
    assert history.locator(".plot .point").count() == 3
    assert history.locator(".plot .point[data-outcome=oom]").count() == 1
    assert "Nov" in history.locator(".plot title").first.text_content()


def test_history_of_one_card(history, page):
    history.get_by_label("Card").select_option("NVIDIA GeForce RTX 3090")
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard-history tbody tr').length === 1")
    link = history.get_by_role("link", name="Export CSV")
    assert link.get_attribute("href") == "/api/sonic_guard/history.csv?card=NVIDIA+GeForce+RTX+3090"
    assert link.get_attribute("download") == "sonic-guard-history.csv"
    history.locator("tbody input").check()
    assert history.get_by_label("Card").input_value() == "NVIDIA GeForce RTX 3090", "a redraw keeps the choice"
    history.get_by_label("Card").select_option("All cards")
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard-history tbody tr').length === 3")
    assert history.get_by_label("Card").input_value() == ""


def test_history_deletes_what_is_selected_after_asking(history, page, server):
    chosen = history.get_by_role("button", name="Delete selected")
    assert chosen.is_disabled()
    history.locator("tbody input").nth(0).check()
    history.locator("tbody input").nth(2).check()
    assert history.locator("thead input").evaluate("(box) => box.indeterminate")
    chosen.click()
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard-history tbody tr').length === 1")
    assert server.deleted == [{"ids": [3, 1]}]
    (asked,) = page.evaluate("() => app.extensionManager.asked")
    assert "(2)" in asked["message"]
    assert chosen.is_disabled()


def test_history_deletes_nothing_if_the_user_declines(history, page, server):
    page.evaluate("() => { app.extensionManager.dialog.confirm = async () => null; }")
    history.get_by_role("button", name="Delete all shown").click()
    page.wait_for_timeout(300)
    assert server.deleted == []
    assert history.locator("tbody tr").count() == 3


def test_history_grows_when_a_run_ends(history, page, server):
    server.past.append(page_server.past_run(4))
    say(page, "run", page_server.run(outcome="done", stage=""))
    page.wait_for_function("() => document.querySelectorAll('.sonic-guard-history tbody tr').length === 4")


def test_a_long_history_is_shown_in_pages(page, server):
    server.past = [page_server.past_run(number) for number in range(1, 451)]
    open_history(page)
    tab = page.locator(".sonic-guard-history")
    shows(tab, "median error")
    rows, older = tab.locator("tbody tr"), tab.get_by_role("button", name="Show older runs")
    count = "(count) => document.querySelectorAll('.sonic-guard-history tbody tr').length === count"
    page.wait_for_function(count, arg=200)
    older.click()
    page.wait_for_function(count, arg=400)
    server.past.append(page_server.past_run(451))
    say(page, "run", page_server.run(outcome="done", stage=""))
    page.wait_for_timeout(300)
    assert rows.count() == 400, "what was shown is read again, the new run among it"
    older.click()
    page.wait_for_function(count, arg=451)
    assert older.count() == 0


def test_runs_that_cannot_be_read_are_reported(page, server):
    server.past, server.unreadable = [page_server.past_run(1)], 3
    open_history(page)
    shows(page.locator(".sonic-guard-history"), "3 more runs cannot be read")


def test_an_open_history_keeps_its_subscription(history, page, server):
    page.wait_for_timeout(200)
    assert [lease["rate_hz"] for lease in server.leases] == [2]
    open_history(page)
    page.wait_for_timeout(200)
    assert [lease["rate_hz"] for lease in server.leases] == [2, 0]


# ---- commands


def test_commands(page, server):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    execute = "(id) => app.extensionManager.command.execute(`SonicGuard.${id}`)"
    add(page, "SONICSampler", min_resolution=512)
    shows(card(page), "512×512")
    page.evaluate(execute, "CopyRun")
    assert page.evaluate("() => app.extensionManager.toasts.at(-1).detail") == "There is no run yet."
    say(page, "run", page_server.run(outcome="oom"))
    page.evaluate(execute, "CopyRun")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith(
        "Last run: out of memory in denoise · peak 8.5 · predicted 8.8 GiB of tensors · 1 min 1 s\n"
    )
    page.wait_for_timeout(200)
    asked = len(server.questions)
    page.evaluate(execute, "Refresh")
    page.wait_for_timeout(200)
    assert len(server.questions) == asked + 1
    page.evaluate(execute, "ToggleWidget")
    page.wait_for_function("() => !document.querySelector('.sonic-guard')")
