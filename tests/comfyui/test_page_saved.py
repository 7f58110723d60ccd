"""Saved edits in ComfyUI's own page: what Load Edit and Edit Stack show before any run, with both renderers."""

import pytest
import requests
from chromium import launched
from comfy_graphs import DEFAULTS, PocketGraph, text
from comfy_page import PICTURES, opened

WIDGETS = """type => window.app.graph._nodes.find(node => node.type === type).widgets
    .filter(widget => !widget.hidden && widget.name !== "report").map(widget => widget.name)"""
SIZES = "() => window.app.graph._nodes.map(node => node.size[1])"

browser = pytest.fixture(launched, scope="module", name="browser")


@pytest.fixture(scope="module")
def names(comfy):
    """A rose with a cover and a tulip without, as the drop-downs name them."""
    graph, saved = PocketGraph(), []
    for thing in ("rose", "tulip"):
        edit = graph.add(
            "EditAssumption", model=graph.loaded, clip=graph.clip, source=f"a {thing}", destination=f"a blue {thing}",
            strength=1.0, **DEFAULTS,
        )[1]  # fmt: skip
        cover = graph.add("EmptyImage", width=64, height=64, batch_size=1, color=0x3366CC)[0]
        more = {"cover": cover} if thing == "rose" else {}
        saved.append(graph.add("EditAssumptionSaveEdit", edit=edit, filename_prefix=f"shown [1]/#{thing}", **more))
    outputs = comfy.run(graph)
    return [text(outputs, node).removeprefix("Saved assumption_edits/").partition(" (")[0] for node in saved]


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def page(browser, comfy, names, request):
    with opened(browser, comfy, **{"Comfy.VueNodes.Enabled": request.param}) as page:
        page.vue = request.param
        yield page
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{request.node.name}.png")


def place(page, kind):
    page.evaluate(
        """kind => {
            window.app.graph.clear();
            const node = LiteGraph.createNode(kind);
            node.pos = [200, 150];
            window.app.graph.add(node);
            Object.assign(window.app.canvas.ds, { scale: 1, offset: [0, 0] });
        }""",
        kind,
    )
    page.wait_for_timeout(500)


def choose(page, widget, name):
    """In the drop-down by the mouse where the page has one in HTML, else as the canvas does it."""
    if page.vue and isinstance(name, str):
        box = page.locator("[data-testid='widget-layout-field-label'], label, span, div", has_text=widget).last
        row = box.locator("xpath=ancestor::*[.//*[@role='combobox']][1]")
        row.locator("[role='combobox']").first.click()
        page.get_by_role("option", name=name, exact=True).first.click()
    else:
        page.evaluate(
            """([widget, value]) => {
                const found = window.app.graph._nodes[0].widgets.find(entry => entry.name === widget);
                found.value = value;
                found.callback?.(value);
            }""",
            [widget, name],
        )


def card(page, words):
    return page.locator("div", has_text=words).last


def test_the_route_describes_an_edit_and_says_what_is_wrong(comfy, names):
    def asked(name):
        answer = requests.get(f"{comfy.url}/edit_assumption/saved_edit", params={"name": name}, timeout=60)
        assert answer.status_code == 200
        return answer.json()

    with_cover, without = map(asked, names)
    assert with_cover["recipe"] == "! regularizer: identity\na rose -> a blue rose"
    assert with_cover["cover"].startswith("data:image/jpeg;base64,")
    assert without == {"recipe": "! regularizer: identity\na tulip -> a blue tulip", "cover": None}
    (comfy.base / "models/assumption_edits/damaged.safetensors").write_bytes(b"\x00" * 100)
    assert "is damaged or is not an edit" in asked("damaged.safetensors")["problem"]
    preset = requests.get(f"{comfy.url}/edit_assumption/preset", params={"name": "none of them"}, timeout=60).json()
    assert preset["problem"].startswith("There is no preset “none of them”; choose one of: ")
    for name in ("", "gone", "../../log.txt", "/etc/passwd"):
        assert asked(name) == {"problem": f"The edit “{name}” is no longer there; choose another one."}


def test_load_edit_shows_recipe_and_cover_on_selection(page, names):
    place(page, "EditAssumptionLoadEdit")
    choose(page, "edit_name", names[1])
    card(page, "a tulip -> a blue tulip").wait_for(timeout=30_000)
    assert not page.locator("img[src^='data:image/jpeg']").count()
    choose(page, "edit_name", names[0])
    card(page, "a rose -> a blue rose").wait_for(timeout=30_000)
    cover = page.locator("img[src^='data:image/jpeg']")
    page.wait_for_function("() => document.querySelector(\"img[src^='data:image/jpeg']\")?.naturalWidth === 64", timeout=30_000)
    assert cover.count() == 1
    choose(page, "edit_name", names[1])
    card(page, "a tulip -> a blue tulip").wait_for(timeout=30_000)
    assert not cover.count()


def test_the_stack_shows_the_rows_in_use_and_their_edits(page, names):
    place(page, "EditAssumptionStack")
    assert page.evaluate(WIDGETS, "EditAssumptionStack") == ["edit_1", "chosen"]
    choose(page, "edit_1", names[0])
    choose(page, "edit_2", names[1])
    shown = ["edit_1", "strength_1", "on_1", "edit_2", "strength_2", "on_2", "edit_3", "chosen"]
    assert page.evaluate(WIDGETS, "EditAssumptionStack") == shown
    card(page, "a tulip -> a blue tulip").wait_for(timeout=30_000)
    card(page, "a rose -> a blue rose").wait_for(timeout=30_000)
    choose(page, "on_2", False)
    page.wait_for_timeout(1000)
    size = page.evaluate(SIZES)
    for _ in range(2):
        page.evaluate("async () => await window.app.loadGraphData(window.app.graph.serialize())")
        page.wait_for_timeout(1500)
        assert page.evaluate(WIDGETS, "EditAssumptionStack") == shown
    if not page.vue:  # whose older versions scale what they load
        assert page.evaluate(SIZES) == size
    sent = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    inputs = next(iter(sent.values()))["inputs"]
    assert [inputs[name] for name in ("edit_1", "on_1", "edit_2", "on_2", "edit_3")] == [
        names[0],
        True,
        names[1],
        False,
        "none",
    ]
    assert not {"chosen", "report"} & set(inputs)
    choose(page, "edit_2", "none")
    choose(page, "edit_1", "none")
    page.wait_for_timeout(1000)
    assert page.evaluate(WIDGETS, "EditAssumptionStack") == ["edit_1", "chosen"]


def test_a_preset_shows_its_lines_on_selection(page):
    place(page, "EditAssumptionPreset")
    card(page, "roses -> blue roses").wait_for(timeout=30_000)
    choose(page, "preset", "forget a painter: Van Gogh")
    card(page, "Van Gogh ->").wait_for(timeout=30_000)
    assert "= a painting by Monet" in card(page, "Van Gogh ->").inner_text()
