"""The box under the nodes, and the page's messages, in ComfyUI's own page: as a user sees them, with both renderers."""

import json
import re
import shutil
from itertools import count

import pytest
from chromium import launched
from comfy_page import PICTURES, load, opened, queue, report_of, saved, set_widget, wait_for_report, wait_until_up, widget_value
from servers import REPOSITORY

QUICKSTART = json.loads((REPOSITORY / "workflows/a_quickstart.json").read_text())
OTHER = json.loads((REPOSITORY / "workflows/concept_slider.json").read_text())
EMPTY, STALE = "What it did is shown here after a run.", "From earlier settings; run again."
ADD = """([type, name, value]) => {
    const graph = window.app.graph, node = LiteGraph.createNode(type);
    node.pos = [100, 700];
    graph.add(node);
    if (name) node.widgets.find(widget => widget.name === name).value = value;
    return node.id;
}"""
CONNECT = """([from, slot, to, name]) => {
    const node = id => window.app.graph._nodes.find(node => node.id === id || node.type === id);
    node(from).connect(slot, node(to), node(to).inputs.findIndex(input => input.name === name));
}"""

PAGES = count(1)

browser = pytest.fixture(launched, scope="module", name="browser")


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def page(request, browser, comfy):
    with opened(browser, comfy, **{"Comfy.VueNodes.Enabled": request.param}) as page:
        load(page, QUICKSTART)
        set_widget(page, "strength", 1 - next(PAGES) / 100)  # that the server has not in its cache
        page.wait_for_timeout(1500)  # newer front ends move to the workflow's own view a while after
        yield page
        if PICTURES:
            name = request.node.name.partition("[")[0]
            page.screenshot(path=f"{PICTURES}/{name}-{comfy.folder.parent.name}-{'vue' if request.param else 'canvas'}.png")


def write(page, before, after):
    """Type into the box that says ``before``, and leave it."""
    boxes = page.locator("textarea")
    box = next(boxes.nth(place) for place in range(boxes.count()) if boxes.nth(place).input_value() == before)
    box.fill(after)
    box.blur()


def messages(page):
    return page.locator(".p-toast-message").all_inner_texts()


def test_what_pictures_draw_stands_beneath_the_report(page):
    set_widget(page, "destination", "a pack of blue roses | a pack of red roses")
    queue(page)
    before, heading, drawn = report_of(page).partition("\nDrawn in the latest run:\n")
    assert "every picture draws its variant" in before and heading
    lines = drawn.splitlines()
    assert len(lines) == 4 and re.fullmatch(r"picture 1 \(seed 7, 0\): a pack of (blue|red) roses", lines[0])
    queue(page)  # of which some is taken from the cache
    assert report_of(page).count("Drawn in the latest run:") == 1


def test_a_report_stays_with_the_values_it_was_made_with(page):
    assert report_of(page) == EMPTY
    queue(page)
    said = report_of(page)
    asked = f"a pack of roses → a pack of blue roses @ {widget_value(page, 'strength'):g}"
    assert said.startswith(f"{asked}\n14 projections patched") and "left undone" in said
    workflow = saved(page)
    assert "projections patched" not in json.dumps(workflow)

    write(page, "a pack of blue roses", "a pack of green roses")
    wait_for_report(page, f"{STALE}\na pack of roses → a pack of blue roses")
    write(page, "a pack of green roses", "a pack of blue roses")
    page.wait_for_function(f"said => !document.body.innerText.includes({STALE!r})", arg=said)
    assert report_of(page) == said

    load(page, OTHER)
    load(page, workflow)
    wait_for_report(page, said)
    set_widget(page, "strength", 0.5)
    load(page, saved(page))
    wait_for_report(page, EMPTY)  # nothing is known of these values

    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    wait_until_up(page)
    page.wait_for_timeout(1500)  # until the page has opened the workflows that were open before
    load(page, workflow)
    wait_for_report(page, said)


def test_another_value_before_the_node_makes_its_report_stale(page):
    queue(page)
    loader = page.evaluate(ADD, ["EditAssumptionPreservePrompts", "prompts", "a pack of tulips"])
    page.evaluate(CONNECT, [loader, 0, "EditAssumption", "preserve"])
    page.mouse.click(1000, 950)
    wait_for_report(page, STALE)
    queue(page)
    wait_for_report(page, "projections patched")
    assert STALE not in report_of(page)
    write(page, "a pack of tulips", "a pack of poppies")
    wait_for_report(page, STALE)


def test_the_report_comes_back_when_the_node_was_cached(comfy, page):
    if "has_intermediate_output" not in comfy.get("/object_info/EditAssumption")["EditAssumption"]:
        pytest.skip("this version sends nothing again")
    queue(page)
    page.evaluate("() => localStorage.clear()")
    load(page, saved(page))
    assert report_of(page) == EMPTY
    queue(page)
    assert "14 projections patched" in report_of(page)


def test_the_box_says_what_is_being_done(comfy, page):
    shutil.rmtree(comfy.base / "user/edit_assumption/moments", ignore_errors=True)
    layer = -2 - page.evaluate("() => Number(LiteGraph.vueNodesMode)")  # of which the server has nothing in memory
    name = page.evaluate(ADD, ["CLIPSetLastLayer", "stop_at_clip_layer", layer])
    page.evaluate(CONNECT, ["EditAssumptionLoadPocketModel", 1, name, "clip"])
    page.evaluate(CONNECT, [name, 0, "EditAssumption", "clip"])
    page.evaluate(
        """() => {
            window.said = [];
            window.comfyAPI.api.api.addEventListener("edit_assumption.doing", () => window.said.push(
                window.app.graph._nodes.find(node => node.type === "EditAssumption")
                    .widgets.find(widget => widget.name === "report").value));
        }"""
    )
    queue(page)
    said = page.evaluate("() => window.said")
    assert said and all(text.startswith("Reading ") and "short prompts, once for this text encoder: " in text for text in said)
    assert "projections patched" in report_of(page)


def test_a_node_that_failed_says_why(page):
    queue(page)
    write(page, "a pack of roses", "")
    queue(page)
    assert report_of(page) == "The source is empty; write the prompt whose assumption you want to change."


def test_a_node_that_is_refused_beside_a_running_output_says_so(comfy, page):
    node = page.evaluate(ADD, ["EditAssumption", "source", "a pack of tulips"])  # without a CLIP
    page.evaluate(CONNECT, [node, 1, page.evaluate(ADD, ["EditAssumptionSaveEdit", "", ""]), "edit"])
    queue(page)
    shown = page.evaluate("id => window.app.graph.getNodeById(id).widgets.find(widget => widget.name === 'report').value", node)
    assert shown == "Required input is missing: clip"
    host_says = page.get_by_text("missing a required input: clip").count()
    said = [text for text in messages(page) if "Edit Assumption is not run" in text and shown in text]
    assert len(said) + bool(host_says) == 1


def test_an_edit_that_a_lora_loader_is_given_is_told(comfy, page):
    save = page.evaluate(ADD, ["EditAssumptionSaveEdit", "", ""])
    page.evaluate(CONNECT, ["EditAssumption", 1, save, "edit"])
    queue(page)
    edits, loras = comfy.base / "output/assumption_edits", comfy.base / "models/loras"
    loras.mkdir(exist_ok=True)
    shutil.copy(next(edits.glob("edit_*.safetensors")), loras / "roses.safetensors")
    loader = page.evaluate(ADD, ["LoraLoaderModelOnly", "lora_name", "roses.safetensors"])
    page.evaluate(CONNECT, ["EditAssumption", 0, loader, "model"])
    page.evaluate(CONNECT, [loader, 0, "KSampler", "model"])
    queue(page)
    page.get_by_text("“roses.safetensors” is an edit, no LoRA").first.wait_for(timeout=10_000)
    assert "Save Edit as LoRA" in "".join(messages(page))
