"""ComfyUI's own page in Chromium, and what the page tests do there."""

import json
import os
from contextlib import contextmanager

PICTURES = os.environ.get("EDIT_ASSUMPTION_PICTURES")  # a folder, to look at the page
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
    "Comfy.Locale": "en",
    "Comfy.VueNodes.Enabled": False,
}


@contextmanager
def opened(browser, comfy, said=None, **settings):
    """The page, with settings of ComfyUI in place; what its console says is added to ``said``."""
    for name, value in {**SETTINGS, **settings}.items():
        comfy.post(f"/settings/{name}", json=value)
    page = browser.new_page(viewport={"width": 1600, "height": 1000}, device_scale_factor=1.5)
    if said is not None:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(comfy.url)
        wait_until_up(page)
        yield page
    finally:
        page.close()
        for name, value in SETTINGS.items():
            comfy.post(f"/settings/{name}", json=value)


def wait_until_up(page):
    page.wait_for_function(
        """() => window.LiteGraph?.registered_node_types.EditAssumption &&
            window.app?.graph?._nodes.length""",  # the workflow that it opens by itself is there, which would replace another
        timeout=120_000,
    )


def load(page, workflow):
    """Open a workflow and make it quick: 2 steps, and 64 x 64 pixels where it does not use the (small) pocket model."""
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.evaluate(
        """() => {
            const nodes = window.app.graph._nodes;
            const pocket = nodes.some(n => n.type === "EditAssumptionLoadPocketModel");
            for (const node of nodes)
                for (const widget of node.widgets ?? [])
                    if (!pocket && (widget.name === "width" || widget.name === "height")) widget.value = 64;
                    else if (widget.name === "steps") widget.value = 2;
        }"""
    )


def saved(page):
    """The workflow as the page writes it into a file: without what has no value."""
    return json.loads(page.evaluate("() => JSON.stringify(window.app.graph.serialize())"))


WIDGET = """name => window.app.graph._nodes.find(node => node.type === "EditAssumption")
    .widgets.find(widget => widget.name === name)"""
"""Of the editing node."""


def set_widget(page, name, value):
    """Set a value of the editing node, as a loaded workflow does."""
    page.evaluate(f"([name, value]) => {{ ({WIDGET})(name).value = value }}", [name, value])


def widget_value(page, name):
    """A value of the editing node."""
    return page.evaluate(f"name => ({WIDGET})(name).value", name)


def report_of(page):
    """What the box under the editing node says."""
    return widget_value(page, "report")


def wait_for_report(page, text):
    page.wait_for_function(f"text => ({WIDGET})('report').value.includes(text)", arg=text, timeout=120_000)


def queue(page):
    """Press Run, and wait until all has run."""
    page.evaluate(
        """() => new Promise(done => {
            const { api } = window.comfyAPI.api;
            for (const end of ["execution_success", "execution_error"]) api.addEventListener(end, done, { once: true });
            window.app.queuePrompt(0);
        })"""
    )
    page.wait_for_timeout(300)  # for what the page makes of it
