"""The widget and the history in ComfyUI's own page: oldest and newest front end, both renderers, both themes.

The host is real, and so are its answers. Each front end's files are given to the browser as the host would give them.
With SONIC_GUARD_SHOTS set to a folder, what the page shows is kept there as pictures.
"""

import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sonic_guard.media.video_writer import VideoWriter
from tests.support import comfyui_frontends
from tests.support.comfyui_page import SHOTS, load, set_to, speak
from tests.support.watched_runs import graph
from tests.support.workflows import EXAMPLES, without_low_vram

PREFLIGHT, SAMPLER, PREDATA = "SonicGuardPreflight", "SONICSampler", "SONIC_PreData"
CARD = ".sonic-guard"
EXAMPLE = without_low_vram(EXAMPLES["Sonic Guard - 2 Sonic's own nodes"])
"""Preflight before Sonic's own nodes: a graph that Sonic Low VRAM would help."""
THEMES = ("dark", "light")


def show(page, *types, scale=1.0):
    """Bring nodes of these types into view."""
    page.evaluate(
        """([types, scale]) => {
          const nodes = app.canvas.graph._nodes.filter((node) => types.includes(node.type));
          const x = Math.min(...nodes.map((node) => node.pos[0])), y = Math.min(...nodes.map((node) => node.pos[1]));
          app.canvas.ds.scale = scale;
          app.canvas.ds.offset[0] = 90 / scale - x; app.canvas.ds.offset[1] = 130 / scale - y;
          app.canvas.setDirty(true, true);
        }""",
        [types, scale],
    )
    page.wait_for_timeout(300)


def keep(page, name, clip=None):
    """Save a picture of the page."""
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), clip=clip)


def shown(page, text, wait_s=60):
    """The card with this `text`; waits for it."""
    card = page.locator(f"{CARD}:visible").filter(has_text=text).first
    card.wait_for(timeout=wait_s * 1000)
    return card


def turn(page, type_, widget, value):
    """Set a widget as the user does: value and callback."""
    page.evaluate(
        """([type, name, value]) => {
          const node = app.graph._nodes.find((one) => one.type === type);
          const widget = node.widgets.find((one) => one.name === name);
          widget.value = value;
          widget.callback?.(value, app.canvas, node);
        }""",
        [type_, widget, value],
    )


@pytest.mark.parametrize("theme", THEMES)
def test_a_prediction_stands_on_the_nodes_and_follows_the_user(page, renderer, theme):
    set_to(page, "Comfy.ColorPalette", theme)
    load(page, EXAMPLE)
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.8)
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    card = shown(page, "RTX 4060 8GB")
    card.locator("[data-stage=denoise]").first.wait_for()
    assert card.locator(".row").count() == 5
    assert "Made smaller: 768 → 384 px" in card.inner_text()
    turn(page, PREFLIGHT, "on_risk", "warn")
    shown(page, "Will run out of memory").locator("[data-stage=denoise]").first.wait_for()
    keep(page, f"page-{page.front_end}-{renderer}-{theme}")


def test_sonics_own_nodes_show_the_run_that_preflight_will_hand_them(page):
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "RTX 3060 12GB")
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.8)
    for type_ in (SAMPLER, PREDATA):
        element = page.evaluate_handle(
            "(type) => app.graph._nodes.find((node) => node.type === type).widgets.find((w) => w.element)?.element",
            type_,
        ).as_element()
        assert element, f"{type_} has no card"
        page.wait_for_function("(card) => /Made smaller: 768/.test(card.textContent)", arg=element)


def test_a_linked_field_shows_what_is_sent_and_keeps_its_own_value(page, renderer):
    """ComfyUI shows there what the field held before the link."""
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.8)
    shown(page, "Made smaller: 768 → 384 px")
    field = (
        """(type, name) => app.graph._nodes.find((one) => one.type === type).widgets.find((one) => one.name === name)"""
    )
    page.wait_for_function(f"() => ({field})('{PREDATA}', 'min_resolution').value === 384")
    steps = f"({field})('{SAMPLER}', 'inference_steps').value"
    planned = page.evaluate(f"() => {steps}")
    assert planned != 25
    turn(page, PREFLIGHT, "target_card", "auto")  # no GPU here
    page.wait_for_function(f"() => ({field})('SONICTLoader', 'dtype').value === 'fp32'")
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    page.wait_for_function(f"() => ({field})('SONICTLoader', 'dtype').value === 'fp16'")
    badge = page.locator(f"{CARD} button.line[title*=inference_steps]").first
    assert f"inference_steps {planned} · " in badge.get_attribute("title")
    keep(page, f"linked-{page.front_end}-{renderer}")
    own = {
        node["type"]: node["widgets_values"]
        for node in EXAMPLE["nodes"]
        if node["type"] in (SAMPLER, PREDATA, "SONICTLoader")
    }
    saved = page.evaluate(
        "() => app.graph.serialize().nodes.map(({ type, widgets_values: v }) => [type, [...(v ?? [])]])"
    )
    assert {type_: values for type_, values in saved if type_ in own} == own
    page.evaluate(
        """(type) => {
          const node = app.graph._nodes.find((one) => one.type === type);
          node.disconnectInput(node.inputs.findIndex(({ name }) => name === "inference_steps"));
        }""",
        SAMPLER,
    )
    page.wait_for_function(f"() => {steps} === 25")


LOW_VRAM, TALKING_HEAD = "SonicGuardLowVRAM", "SonicGuardTalkingHead"


def test_the_video_stands_on_its_node_and_not_the_last_live_picture(page, renderer, tmp_path):
    """ComfyUI keeps that picture, and Nodes 2.0 plays it as if it were the video."""
    video = tmp_path / "talk.mp4"
    with VideoWriter(video, Fraction(25)) as writer:
        writer.write(np.zeros((5, 64, 64, 3), np.uint8))
    page.route("**/view?*talk.mp4*", lambda route: route.fulfill(body=video.read_bytes(), content_type="video/mp4"))
    load(page, EXAMPLES["Sonic Guard - 1 Talking head"])
    show(page, TALKING_HEAD, scale=0.6)
    page.evaluate(
        """async (type) => {
          const { api } = window.comfyAPI.api;
          const id = String(app.graph._nodes.find((one) => one.type === type).id);
          const blob = await new Promise((then) => document.createElement("canvas").toBlob(then, "image/jpeg"));
          const at = { nodeId: id, displayNodeId: id, parentNodeId: id, realNodeId: id, jobId: "1", promptId: "1" };
          api.dispatchCustomEvent("b_preview_with_metadata", { blob, ...at });
          await new Promise((then) => setTimeout(then, 500));
          const images = [{ filename: "talk.mp4", subfolder: "video", type: "output" }];
          const output = { images, animated: [true], text: ["talk.mp4"] };
          api.dispatchCustomEvent("executed", { node: id, display_node: id, output, prompt_id: "1" });
        }""",
        TALKING_HEAD,
    )
    page.wait_for_timeout(1000)
    assert page.evaluate("() => Object.keys(app.nodePreviewImages ?? {})") == []
    if renderer == "vue":
        page.locator("video[src*='talk.mp4'], video:has(source[src*='talk.mp4'])").first.wait_for(state="attached")
        assert page.locator(".lg-node img[src^=blob]").count() == 0


REPORTED = {
    "nodes": [
        ("LoadImage", [100, 100], ["portrait.png"]),
        ("LoadAudio", [100, 500], ["voice.wav"]),
        (PREFLIGHT, [500, 100], []),
        ("PreviewAny", [1000, 100], []),
    ],
    "links": [(0, 0, 2, 0), (1, 0, 2, 1), (2, 11, 3, 0)],
}
"""A graph that ends with Preflight's report."""


def test_a_report_is_still_there_when_its_tab_is_shown_again(page):
    load(page, EXAMPLE)
    build(page, REPORTED)
    show(page, PREFLIGHT, scale=0.6)
    page.evaluate("() => app.queuePrompt(0, 1)")
    shown(page, "Report of the last run")
    load(page, EXAMPLES["Sonic Guard - 1 Talking head"])
    there = "(type) => app.graph._nodes.some((node) => node.type === type)"
    assert not page.evaluate(there, PREFLIGHT)
    page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    page.wait_for_function(there, arg=PREFLIGHT)
    show(page, PREFLIGHT, scale=0.6)
    card = shown(page, "Report of the last run")
    assert "other inputs" not in card.inner_text()
    turn(page, PREFLIGHT, "preset", "hd")
    shown(page, "with other inputs than now")


def test_preflight_counts_on_low_vram_while_it_runs(page):
    """It is not upstream of Preflight; muted it is not there."""
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    turn(page, PREFLIGHT, "preset", "hd")
    show(page, PREFLIGHT, scale=0.8)
    card = shown(page, "Changes (1)").element_handle()  # whatever it will say
    assert "optimizations:" not in card.inner_text()
    page.evaluate("(type) => { app.graph.add(LiteGraph.createNode(type)); }", LOW_VRAM)
    page.wait_for_function("(card) => /optimizations: /.test(card.textContent)", arg=card)
    turned = "([type, mode]) => { app.graph._nodes.find((node) => node.type === type).mode = mode; }"
    page.evaluate(turned, [LOW_VRAM, 2])
    page.wait_for_function("(card) => !/optimizations: /.test(card.textContent)", arg=card)
    page.evaluate(turned, [LOW_VRAM, 0])
    page.wait_for_function("(card) => /optimizations: /.test(card.textContent)", arg=card)


def test_the_nodes_that_enable_optimizations_have_cards(page, renderer):
    load(page, EXAMPLE)
    page.evaluate(
        """(types) => {
          const loader = app.graph._nodes.find((node) => node.type === "SONICTLoader");
          let from = loader;
          types.forEach((type, index) => {
            const node = LiteGraph.createNode(type);
            node.pos = [index * 500, 3000];
            app.graph.add(node);
            from.connect(0, node, 0);
            from = node;
          });
        }""",
        [LOW_VRAM, TALKING_HEAD],
    )
    turn(page, LOW_VRAM, "sequential_cfg", "on")
    show(page, LOW_VRAM, TALKING_HEAD, scale=0.8)
    card = shown(page, "optimizations: ")
    assert "sequential_cfg" in card.inner_text()
    assert card.locator(".row").count() == 5
    line = page.locator(f"{CARD}:visible .line").first
    line.wait_for()
    keep(page, f"low-vram-{page.front_end}-{renderer}")
    line.dispatch_event("click")  # it may be out of view
    page.wait_for_function("(card) => document.querySelectorAll(`${card} .legend`).length === 2", arg=CARD)


STATE = """(inside) => {
  const graph = inside ? app.graph._nodes.find((node) => node.subgraph).subgraph : app.graph;
  const link = (id) => graph.links.get?.(id) ?? graph.links[id];
  const given = (node, name) => {
    const found = link(node.inputs.find((input) => input.name === name).link);
    const origin = graph.getNodeById(found.origin_id);
    return origin ? `${origin.type}.${origin.outputs[found.origin_slot].name}` : "outside";
  };
  const find = (type) => graph.nodes.find((node) => node.type === type);
  const made = find("SonicGuardLowVRAM");
  return {
    sampler: given(find("SONICSampler"), "model"),
    low_vram: made ? given(made, "model") : null,
    overlaps: made ? graph.nodes.filter((other) => other !== made &&
      other.pos[0] < made.pos[0] + made.size[0] && made.pos[0] < other.pos[0] + other.size[0] &&
      other.pos[1] - 30 < made.pos[1] + made.size[1] && made.pos[1] - 30 < other.pos[1] + other.size[1]).length : 0,
  };
}"""
BEFORE = {"sampler": "SONICTLoader.model", "low_vram": None, "overlaps": 0}
AFTER = {"sampler": "SonicGuardLowVRAM.model", "low_vram": "SONICTLoader.model", "overlaps": 0}


def becomes(page, expected, *, inside=False):
    """Wait until the part of the graph that the button changes is as expected."""
    for _ in range(100):
        if page.evaluate(STATE, inside) == expected:
            return
        page.wait_for_timeout(100)
    assert page.evaluate(STATE, inside) == expected


def press(page):
    """Press the button of the card."""
    button = page.locator(f"{CARD}:visible button.act").first
    button.wait_for()
    button.click()


def smaller(page):
    """The example with a card on which Preflight makes the picture smaller."""
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    turn(page, PREFLIGHT, "preset", "hd")


def test_the_button_adds_low_vram_in_one_step_that_can_be_undone(page, renderer):
    smaller(page)
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.6)
    assert "keeps 1024×1024 px" in shown(page, "Made smaller: 1024").inner_text()
    keep(page, f"button-{page.front_end}-{renderer}")
    press(page)
    becomes(page, AFTER)
    shown(page, "memory optimizations")
    page.locator("[data-tone=ok]").first.wait_for()
    keep(page, f"pressed-{page.front_end}-{renderer}")
    page.keyboard.press("Control+z")
    becomes(page, BEFORE)
    shown(page, "Made smaller: 1024")


def test_the_size_that_a_card_gives_its_node_is_no_step_of_the_undo(page, renderer):
    """A card that the user has unfolded is as large as what it shows, and pressing its button changes that."""
    smaller(page)
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.6)
    shown(page, "Made smaller: 1024")
    for _ in range(2):
        page.locator(f"{CARD}:visible button.fold").first.click()
        page.wait_for_timeout(500)
    press(page)
    becomes(page, AFTER)
    shown(page, "memory optimizations")
    page.wait_for_timeout(500)
    page.mouse.click(1400, 800)  # ComfyUI compares the graph with its last state after every click
    page.keyboard.press("Control+z")
    becomes(page, BEFORE)


@pytest.mark.parametrize("samplers", [1, 2])
def test_the_button_has_a_bypassed_low_vram_run_again(page, samplers):
    """Another one beside it would be of no use; so would one for each of the samplers that it serves."""
    load(page, EXAMPLES["Sonic Guard - 2 Sonic's own nodes"])
    turn(page, PREFLIGHT, "target_card", "RTX 4060 8GB")
    turn(page, PREFLIGHT, "preset", "hd")
    page.evaluate(
        """([type, sampler, samplers]) => {
          const find = (type) => app.graph._nodes.find((node) => node.type === type);
          find(type).mode = 4;
          const first = find(sampler);
          for (let more = 1; more < samplers; more++) {
            const node = LiteGraph.createNode(sampler);
            node.pos = [first.pos[0], first.pos[1] + 1000];
            app.graph.add(node);
            for (const slot of [0, 1]) {
              const link = first.getInputLink(slot);
              app.graph.getNodeById(link.origin_id).connect(link.origin_slot, node, slot);
            }
          }
        }""",
        [LOW_VRAM, SAMPLER, samplers],
    )
    modes = "(type) => app.graph._nodes.filter((node) => node.type === type).map((node) => node.mode)"
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.6)
    shown(page, "Made smaller: 1024")
    press(page)
    shown(page, "memory optimizations")
    assert page.evaluate(modes, LOW_VRAM) == [0]
    page.keyboard.press("Control+z")
    page.wait_for_function(f"(type) => JSON.stringify(({modes})(type)) === '[4]'", arg=LOW_VRAM)


def test_the_button_works_inside_a_subgraph(page):
    """Low VRAM comes into the subgraph that the sampler is in; the model comes in from outside."""
    smaller(page)
    page.evaluate(
        """() => { app.graph.convertToSubgraph(new Set(
          app.graph._nodes.filter((node) => ["SONIC_PreData", "SONICSampler"].includes(node.type)))); }"""
    )
    show(page, PREFLIGHT, scale=0.6)
    shown(page, "Made smaller: 1024")
    outside = {"sampler": "outside"}
    becomes(page, BEFORE | outside, inside=True)
    press(page)
    becomes(page, AFTER | {"low_vram": "outside"}, inside=True)
    shown(page, "memory optimizations")
    page.keyboard.press("Control+z")
    becomes(page, BEFORE | outside, inside=True)


def test_the_button_sets_a_value(page):
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "RTX 3050 6GB")
    turn(page, PREFLIGHT, "preset", "hd")
    turn(page, PREFLIGHT, "policy", "article")
    page.evaluate("(type) => { app.graph.add(LiteGraph.createNode(type)); }", LOW_VRAM)
    show(page, PREFLIGHT, scale=0.6)
    shown(page, "policy lossless_first keeps 1024")
    press(page)
    policy = """(type) => app.graph._nodes.find((node) => node.type === type).widgets
      .find((widget) => widget.name === "policy").value"""
    page.wait_for_function(f"(type) => ({policy})(type) === 'lossless_first'", arg=PREFLIGHT)
    page.keyboard.press("Control+z")
    page.wait_for_function(f"(type) => ({policy})(type) === 'article'", arg=PREFLIGHT)


def test_no_node_of_a_saved_workflow_changes_its_size(page, renderer):
    """Neither those of the wrapper nor our own, whatever the cards show."""
    load(page, EXAMPLE)
    turn(page, PREFLIGHT, "target_card", "4 GiB")
    show(page, PREFLIGHT, SAMPLER, PREDATA, scale=0.6)
    shown(page, "over budget")
    page.wait_for_timeout(500)
    sizes = page.evaluate("() => Object.fromEntries(app.graph._nodes.map((node) => [node.id, [...node.size]]))")
    assert sizes == {str(node["id"]): node["size"] for node in EXAMPLE["nodes"]}


def test_nothing_of_it_is_saved_with_the_workflow(page):
    load(page, EXAMPLE)
    show(page, PREFLIGHT)
    shown(page, "GiB")
    saved = page.evaluate("() => app.graph.serialize()")
    before = {node["id"]: node.get("widgets_values") for node in EXAMPLE["nodes"]}
    for node in saved["nodes"]:
        if node["type"] in (PREFLIGHT, SAMPLER, PREDATA):
            known = before[node["id"]]
            assert node["widgets_values"][: len(known)] == known
            assert len(node["widgets_values"]) == len(known), node["type"]


def test_copies_undo_and_subgraphs_have_cards_of_their_own(page):
    load(page, EXAMPLE)
    show(page, PREFLIGHT)
    shown(page, "GiB")
    count = """() => app.graph._nodes.filter(
      (node) => node.type === 'SonicGuardPreflight' && node.widgets.some((widget) => widget.element)).length"""
    page.evaluate(
        """() => {
          const node = app.graph._nodes.find((one) => one.type === 'SonicGuardPreflight');
          app.canvas.selectItems?.([node]) ?? app.canvas.selectNodes([node]);
          app.canvas.copyToClipboard([node]);
          app.canvas.pasteFromClipboard();
        }"""
    )
    page.wait_for_function(f"({count})() === 2")
    page.evaluate("() => app.graph.remove(app.graph._nodes.filter((n) => n.type === 'SonicGuardPreflight').pop())")
    page.wait_for_function(f"({count})() === 1")
    page.evaluate(
        """() => {
          const node = app.graph._nodes.find((one) => one.type === 'SonicGuardPreflight');
          const { node: inside } = app.graph.convertToSubgraph(new Set([node]));
          app.canvas.setGraph ? app.canvas.setGraph(inside.subgraph) : app.canvas.openSubgraph(inside.subgraph, inside);
        }"""
    )
    page.wait_for_timeout(500)
    show(page, PREFLIGHT)
    shown(page, "GiB")
    page.evaluate("() => app.canvas.setGraph(app.graph.rootGraph ?? app.graph)")


RUN = {
    "nodes": [
        ("SmallSonic", [100, 100], [6, 0.5, "nowhere"]),
        ("SONICSampler", [500, 100], [0, "fixed", 4, 1.0, 5.0]),
        ("PreviewImage", [900, 100], []),
    ],
    "links": [(0, 0, 1, 0), (0, 1, 1, 1), (1, 0, 2, 0)],
}
"""A graph that the host can run to its end: small networks into the wrapper's own sampler."""


def build(page, run):
    page.evaluate(
        """(run) => {
          app.graph.clear();
          const nodes = run.nodes.map(([type, pos, values]) => {
            const node = LiteGraph.createNode(type);
            node.pos = pos;
            app.graph.add(node);
            const widgets = (node.widgets ?? []).filter((widget) => widget.serialize !== false);
            values.forEach((value, i) => { if (widgets[i]) widgets[i].value = value; });
            return node;
          });
          for (const [from, out, to, into] of run.links) nodes[from].connect(out, nodes[to], into);
        }""",
        run,
    )


def test_a_run_is_seen_live_and_compared_afterwards(page, renderer):
    set_to(page, "Comfy.ColorPalette", "dark")
    load(page, EXAMPLE)
    build(page, RUN)
    page.wait_for_timeout(500)
    # A graph that ComfyUI has run before would be answered from its cache.
    page.evaluate("(seed) => { app.graph._nodes[1].widgets[0].value = seed }", time.time_ns() % 2**31)
    show(page, "SmallSonic", "SONICSampler", scale=1.2)
    shown(page, "GiB")
    page.evaluate("() => app.queuePrompt(0, 1)")
    running = shown(page, "Running")
    running.locator("[data-now=true], [data-now='']").first.wait_for()
    keep(page, f"running-{page.front_end}-{renderer}")
    shown(page, "done", wait_s=300)
    keep(page, f"after-{page.front_end}-{renderer}")


@pytest.fixture(scope="module")
def a_run(host):
    """A run that has come to its end."""
    result = host.run(graph(1))
    assert result["status"]["status_str"] == "success", result["status"]


def test_the_history_lists_the_runs_and_deletes_them_on_request(page, a_run):
    page.evaluate("() => app.extensionManager.command.execute('SonicGuard.OpenHistory')")
    tab = page.locator(".sonic-guard-history")
    tab.wait_for()
    tab.locator("tbody tr").first.wait_for()
    keep(page, f"history-{page.front_end}")
    assert "done" in tab.inner_text()


def test_the_tab_of_the_history_follows_the_language(page):
    title = "() => app.extensionManager.getSidebarTabs().find(({ id }) => id === 'sonic-guard-history').title"
    try:
        speak(page, "zh")
        page.wait_for_function(f"() => ({title})() === 'Sonic 历史'")
    finally:
        speak(page, "en")
    page.wait_for_function(f"() => ({title})() === 'Sonic history'")


def test_the_options_are_in_the_language_of_the_interface(page, renderer):
    """In front ends whose menus have labels; the value, which is saved, stays the same."""
    speak(page, "zh")
    try:
        page.evaluate("(type) => { app.graph.clear(); app.graph.add(LiteGraph.createNode(type)); }", PREFLIGHT)
        find = "app.graph._nodes[0].widgets.find((one) => one.name === 'aspect')"
        label = "original" if page.front_end == comfyui_frontends.OLDEST else "原图比例 (original)"
        assert page.evaluate(f"{find}.value") == "original"
        assert page.evaluate(f"{find}._displayValue") == label
        if renderer == "vue":
            page.get_by_text(label, exact=True).first.wait_for()
    finally:
        speak(page, "en")
