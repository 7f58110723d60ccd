"""The panel and the tab in a real A1111's and a real Forge's own page, in Chromium."""

import io
import os
import re

import numpy as np
import pytest
import requests
import torch
from chromium import launched
from edit_assumption.editing.concepts.concepts import Concept
from edit_assumption.editing.concepts.edit import ConceptEdit
from edit_assumption.editing.concepts.recipe import ConceptRecipe
from edit_assumption.editing.edit import EncoderIdentity
from edit_assumption.editing.edit_file import save_edit
from PIL import Image

RECIPE = "a pack of roses -> a pack of blue roses"
PICTURES = os.environ.get("EDIT_ASSUMPTION_PICTURES")  # a folder, to look at the page
TAB = "#edit_assumption_tab"
FIRST_EDIT = 300_000  # ms; the checkpoint is loaded and hashed, and the captions are read


browser = pytest.fixture(launched, scope="module", name="browser")


@pytest.fixture
def open_page(browser, webui):
    pages = []

    def go(theme="light"):
        page = browser.new_page(viewport={"width": 1500, "height": 1250})
        pages.append(page)
        page.goto(f"{webui.url}/?__theme={theme}")
        page.wait_for_selector("#txt2img_generate", timeout=120_000)
        page.wait_for_timeout(1500)  # the page's own scripts move things about
        return page

    yield go
    for page in pages:
        page.close()


def show_panel(page):
    page.locator("#edit_assumption_txt2img").scroll_into_view_if_needed()
    if not page.locator("#edit_assumption_txt2img_recipe textarea").is_visible():
        page.locator("#edit_assumption_txt2img .label-wrap").first.click()
    page.locator("#edit_assumption_txt2img_recipe textarea").wait_for(timeout=20_000)


def show_tab(page):
    page.locator("#tabs > .tab-nav button", has_text=re.compile("^ *Edit Assumption *$")).first.click()
    page.locator(f"{TAB}_recipe textarea").wait_for(timeout=20_000)


def quick(page):
    """Two steps at 64 x 64, and always the same seed."""
    for name, value in (("steps", "2"), ("width", "64"), ("height", "64")):
        page.locator(f"#txt2img_{name} input[type=number]").fill(value)
        page.locator(f"#txt2img_{name} input[type=number]").blur()
    page.locator("#txt2img_seed input").fill("7")


def take(page, name, theme):
    if PICTURES:
        page.wait_for_timeout(700)
        page.screenshot(path=f"{PICTURES}/{name}_{theme}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel(webui, open_page, theme):
    page = open_page(theme)
    show_panel(page)
    quick(page)
    page.locator("#txt2img_prompt textarea").fill("a field of roses")
    page.locator("#edit_assumption_txt2img_recipe textarea").fill(RECIPE)
    page.locator("#txt2img_generate").click()
    told = page.locator("#html_info_txt2img, #html_log_txt2img")
    page.get_by_text("Edit Assumption: a pack of roses").first.wait_for(timeout=FIRST_EDIT)
    assert "32 projections patched" in " ".join(told.all_inner_texts())
    page.locator("#edit_assumption_txt2img_recipe textarea").scroll_into_view_if_needed()
    take(page, f"{webui.kind}_panel", theme)


def test_what_is_wrong_is_said_on_the_page(webui, open_page):
    page = open_page()
    show_panel(page)
    quick(page)
    page.locator("#txt2img_prompt textarea").fill("a field of roses")
    page.locator("#edit_assumption_txt2img_recipe textarea").fill("roses are blue")
    page.locator("#txt2img_generate").click()
    page.get_by_text("Line 1: there is no “->” between a source and a destination").first.wait_for(timeout=120_000)
    take(page, f"{webui.kind}_error", "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_tab(webui, open_page, theme):
    page = open_page(theme)
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.locator(f"{TAB}_preview").click()
    page.get_by_text("What the edit will do").wait_for(timeout=FIRST_EDIT)
    page.locator(f"{TAB}_picture img").first.wait_for(timeout=60_000)
    assert "source: a pack of roses: words move by" in page.locator(f"{TAB}_numbers textarea").input_value()
    take(page, f"{webui.kind}_tab_preview", theme)
    page.locator(f"{TAB}_name textarea, {TAB}_name input").first.fill(f"from the tab {theme}")
    page.locator(f"{TAB}_save").click()
    page.get_by_text(f"Write <edit:from the tab {theme}:1> in a prompt").wait_for(timeout=120_000)
    page.locator(f"{TAB}_export").click()
    page.get_by_text(f"Write <lora:from the tab {theme}:1> in a prompt").wait_for(timeout=120_000)
    assert (webui.base / f"models/EditAssumption/from the tab {theme}.safetensors").is_file()
    assert (webui.base / f"models/Lora/from the tab {theme}.safetensors").is_file()
    page.locator(f"{TAB}_recipe textarea").fill("")
    page.locator(f"{TAB}_preview").click()
    page.get_by_text("The recipe has no edit").wait_for(timeout=60_000)


def test_before_and_after_in_the_tab(webui, open_page):
    page = open_page()
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.get_by_text("Sampling", exact=True).first.click()
    for name, value in (("steps", "2"), ("width", "64"), ("height", "64")):
        page.locator(f"{TAB}_{name} input[type=number]").fill(value)
        page.locator(f"{TAB}_{name} input[type=number]").blur()
    page.locator(f"{TAB}_draw").click()
    page.get_by_text("Before and after, from the same seeds").wait_for(timeout=240_000)
    page.locator(f"{TAB}_picture img").first.wait_for(timeout=60_000)
    take(page, f"{webui.kind}_tab_grid", "light")


def test_a_saved_edit_is_a_card(webui, open_page):
    webui.post("/edit-assumption/save", {"recipe": RECIPE, "name": "a card", "overwrite": True}).raise_for_status()
    page = open_page()
    page.locator("#txt2img_extra_tabs > .tab-nav button", has_text=re.compile("^ *Edits *$")).click()
    card = page.locator("#txt2img_edits_cards .card", has_text="a card")
    if not card.count():
        page.locator("#txt2img_edits_extra_refresh, #txt2img_extra_refresh").first.click()
    card.first.wait_for(timeout=60_000)
    take(page, f"{webui.kind}_cards", "light")
    card.first.click()
    page.wait_for_timeout(500)
    assert "<edit:a card:1>" in page.locator("#txt2img_prompt textarea").input_value()


def test_a_concept_edit_is_no_recipe_for_the_tab(webui, open_page):
    concepts = ConceptRecipe((Concept("tench", "goldfish"),))
    changes = {"clip_l": {7: (torch.ones(768, 1), torch.ones(1, 3072))}}
    edit = ConceptEdit(concepts, changes, {"clip_l": EncoderIdentity("a tench", torch.ones(16, 768))}, 0.1)
    folder = webui.base / "models/EditAssumption"
    folder.mkdir(parents=True, exist_ok=True)
    save_edit(edit, folder / "0 first in the list.safetensors")
    page = open_page()
    show_tab(page)
    page.locator(f"{TAB}_load").click()
    page.get_by_text("“0 first in the list” is an edit of the text encoder").wait_for(timeout=60_000)
    assert page.locator(f"{TAB}_recipe textarea").input_value() == ""
    page.locator(f"{TAB}_delete").click()
    page.get_by_text("Deleted “0 first in the list”").wait_for(timeout=60_000)


def test_pasted_parameters_draw_the_picture_again(webui, open_page):
    drawn = webui.draw(edit=[f"{RECIPE} @ 0.5", 1.0, 0.3])
    page = open_page()
    page.locator("#txt2img_prompt textarea").fill(drawn.infotext)
    page.locator("#paste").first.click()
    page.wait_for_timeout(3000)
    show_panel(page)
    filled = page.locator("#edit_assumption_txt2img_recipe textarea").input_value()
    assert filled == f"! regularization: 0.3\n{RECIPE} @ 0.5"
    page.locator("#txt2img_generate").click()
    page.get_by_text("Edit Assumption: a pack of roses").first.wait_for(timeout=FIRST_EDIT)
    again = page.locator("#txt2img_gallery img").first.get_attribute("src")
    with Image.open(io.BytesIO(requests.get(again, timeout=60).content)) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - drawn.levels[0]).max() == 0
