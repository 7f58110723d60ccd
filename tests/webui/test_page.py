"""The panel and the tab in a real A1111's and a real Forge's own page, in Chromium."""

import base64
import io
import json
import os
import re
from urllib.request import urlopen

import numpy as np
import pytest
import requests
import torch
from chromium import launched
from edit_assumption.editing.assumptions.recipe_presets import preset_recipe
from edit_assumption.editing.concepts.concept_edit import ConceptEdit
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.edit_file import save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.tensor_file import open_tensors
from PIL import Image
from servers import REPOSITORY

EDIT = "a pack of roses -> a pack of blue roses"
IDENTITY = "! regularizer: identity"  # reads no captions
RECIPE = f"{IDENTITY}\n{EDIT}"
PICTURES = os.environ.get("EDIT_ASSUMPTION_PICTURES")  # a folder, to look at the page
TAB = "#edit_assumption_tab"
FIRST_EDIT = 300_000  # ms; the checkpoint is loaded and hashed


browser = pytest.fixture(launched, scope="module", name="browser")


@pytest.fixture
def open_page(browser, webui):
    pages = []

    def go(theme="light", before=""):
        page = browser.new_page(viewport={"width": 1500, "height": 1250})
        page.add_init_script(before)
        pages.append(page)
        page.goto(f"{webui.url}/?__theme={theme}")
        page.wait_for_selector("#txt2img_generate", timeout=120_000)
        page.wait_for_timeout(1500)  # the page's own scripts move things about
        return page

    yield go
    for page in pages:
        page.close()


@pytest.fixture
def open_in(open_page):
    """The page in a language of the extension, in place of the one that the WebUI had when it started."""

    def go(language):
        words = (REPOSITORY / f"localizations/{language}.json").read_text(encoding="utf-8")
        return open_page(before=f"Object.defineProperty(window, 'localization', {{ value: {words} }})")

    return go


def show_panel(page):
    page.locator("#edit_assumption_txt2img").scroll_into_view_if_needed()
    if not page.locator("#edit_assumption_txt2img_recipe textarea").is_visible():
        page.locator("#edit_assumption_txt2img .label-wrap").first.click()
    page.locator("#edit_assumption_txt2img_recipe textarea").wait_for(timeout=20_000)


def show_tab(page):
    page.locator("#tabs > .tab-nav button", has_text=re.compile("^ *Edit Assumption *$")).first.click()
    page.locator(f"{TAB}_recipe textarea").wait_for(timeout=20_000)


def choose(page, place, name):
    """In a list that opens."""
    page.locator(f"{place} input").click()
    page.wait_for_timeout(700)  # it unfolds
    page.locator(f"{place} li", has_text=name).first.click()


def brightness(image):
    """Of the picture's left upper corner, from 0 to 255."""
    with urlopen(image.get_attribute("src")) as file, Image.open(file) as picture:  # in A1111 it stands in the address itself
        return np.asarray(picture.convert("L"))[:8, :8].mean()


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
    assert "EditError" not in page.locator("#html_log_txt2img").first.inner_text()
    take(page, f"{webui.kind}_error", "light")


def test_an_open_panel_without_a_recipe_is_no_error(webui, open_page):
    page = open_page()
    show_panel(page)
    quick(page)
    page.locator("#txt2img_prompt textarea").fill("a field of roses")
    page.locator("#txt2img_generate").click()
    page.get_by_text("the panel is on and its recipe is empty").first.wait_for(timeout=120_000)
    page.locator("#txt2img_gallery img").first.wait_for(timeout=60_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_tab(webui, open_page, theme):
    page = open_page(theme)
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.locator(f"{TAB}_preview").click()
    page.get_by_text("What the edit will do").wait_for(timeout=FIRST_EDIT)
    page.locator(f"{TAB}_picture img").first.wait_for(timeout=60_000)
    assert "source: a pack of roses: words move by" in page.locator(f"{TAB}_numbers textarea").input_value()
    assert (brightness(page.locator(f"{TAB}_picture img").first) > 128) == (theme == "light")
    take(page, f"{webui.kind}_tab_preview", theme)
    page.locator(f"{TAB}_name textarea, {TAB}_name input").first.fill(f"from the tab {theme}")
    page.locator(f"{TAB}_save").click()
    page.get_by_text(f"Write <edit:from the tab {theme}:1> in a prompt").wait_for(timeout=120_000)
    page.wait_for_function(f"document.querySelector('{TAB}_saved input').value == 'from the tab {theme}'")
    page.locator(f"{TAB}_export").click()
    page.get_by_text(f"Write <lora:from the tab {theme}:1> in a prompt").wait_for(timeout=120_000)
    assert (webui.base / f"models/EditAssumption/from the tab {theme}.safetensors").is_file()
    assert (webui.base / f"models/Lora/from the tab {theme}.safetensors").is_file()
    page.locator(f"{TAB}_to_page").click()
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value == 'a pack of roses'")
    recipe = page.locator("#edit_assumption_txt2img_recipe textarea")
    recipe.wait_for(timeout=20_000)
    assert recipe.input_value() == RECIPE
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(f"{RECIPE} @ 0")
    page.locator(f"{TAB}_draw").click()
    page.get_by_text("Every edit of the recipe has strength 0").wait_for(timeout=60_000)
    page.get_by_text("Sampling", exact=True).first.click()
    page.locator(f"{TAB}_seed input").fill("")
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.locator(f"{TAB}_draw").click()
    page.get_by_text("A field under “Sampling” is empty").wait_for(timeout=60_000)
    page.locator(f"{TAB}_recipe textarea").fill("")
    page.locator(f"{TAB}_preview").click()
    page.get_by_text("The recipe has no edit").wait_for(timeout=60_000)
    page.locator(f"{TAB}_recipe textarea").fill("a doctor -> a female doctor")
    page.locator(f"{TAB}_to_panel").click()
    page.wait_for_function("document.querySelector('#edit_assumption_txt2img_recipe textarea').value.includes('doctor')")


def test_before_and_after_in_the_tab(webui, open_page):
    page = open_page()
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.get_by_text("Sampling", exact=True).first.click()
    for name, value in (("steps", "2"), ("width", "64"), ("height", "64")):
        page.locator(f"{TAB}_{name} input[type=number]").fill(value)
        page.locator(f"{TAB}_{name} input[type=number]").blur()
    page.locator(f"{TAB}_draw").click()
    page.locator(".progressDiv").wait_for(timeout=60_000)
    page.get_by_text("Before and after, from the same seeds").wait_for(timeout=240_000)
    page.locator(f"{TAB}_picture img").first.wait_for(timeout=60_000)
    take(page, f"{webui.kind}_tab_grid", "light")
    page.locator(f"{TAB}_name textarea, {TAB}_name input").first.fill("with a cover")
    page.locator(f"{TAB}_save").click()
    page.get_by_text("Write <edit:with a cover:1> in a prompt").wait_for(timeout=120_000)
    with open_tensors(webui.base / "models/EditAssumption/with a cover.safetensors") as file:
        (cover,) = json.loads(file.metadata()["ssmd_cover_images"])
    assert Image.open(io.BytesIO(base64.b64decode(cover))).size == (64, 64)


def test_a_saved_edit_is_a_card_until_it_is_deleted(webui, open_page):
    page = open_page()
    page.locator("#txt2img_extra_tabs > .tab-nav button", has_text=re.compile("^ *Edits *$")).click()
    page.wait_for_timeout(1000)
    show_tab(page)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.locator(f"{TAB}_name textarea, {TAB}_name input").first.fill("a card")
    page.locator(f"{TAB}_save").click()
    page.get_by_text("Write <edit:a card:1> in a prompt").wait_for(timeout=FIRST_EDIT)
    card = page.locator("#txt2img_edits_cards .card", has_text="a card")
    card.wait_for(timeout=60_000, state="attached")
    page.locator("#tabs > .tab-nav button", has_text="txt2img").first.click()
    take(page, f"{webui.kind}_cards", "light")
    card.first.click()
    page.wait_for_timeout(500)
    assert "<edit:a card:1>" in page.locator("#txt2img_prompt textarea").input_value()
    page.locator("#txt2img_extra_tabs > .tab-nav button", has_text="Generation").click()
    show_panel(page)
    choose(page, "#edit_assumption_txt2img_saved", "a card")
    page.wait_for_function(f"document.querySelector('#edit_assumption_txt2img_recipe textarea').value == {json.dumps(RECIPE)}")
    show_tab(page)
    page.locator(f"{TAB}_delete").click()
    page.get_by_text("Delete the edit “a card” for good?").wait_for(timeout=60_000)
    page.locator(f"{TAB}_keep").click()
    page.locator(f"{TAB}_really").wait_for(timeout=60_000, state="hidden")
    page.locator(f"{TAB}_delete").click()
    page.locator(f"{TAB}_really").click()
    page.get_by_text("Deleted “a card”").wait_for(timeout=60_000)
    card.wait_for(timeout=60_000, state="detached")


@pytest.mark.parametrize(("show", "place"), [(show_panel, "#edit_assumption_txt2img"), (show_tab, TAB)], ids=["panel", "tab"])
def test_a_preset_fills_the_recipe(webui, open_page, show, place):
    page = open_page()
    show(page)
    choose(page, f"{place}_presets", "forget a painter")
    lines = json.dumps(preset_recipe("forget a painter: Van Gogh"))
    page.wait_for_function(f"document.querySelector('{place}_recipe textarea').value == {lines}")
    take(page, f"{webui.kind}{place.replace('#', '_')}_presets", "light")


def test_a_concept_edit_is_no_recipe_for_the_tab(webui, open_page):
    concepts = ConceptRecipe((Concept("tench", "goldfish"),))
    changes = {"clip_l": {7: (torch.ones(768, 1), torch.ones(1, 3072))}}
    edit = ConceptEdit(concepts, changes, {"clip_l": EncoderIdentity("a tench", torch.ones(16, 768))}, 0.1)
    folder = webui.base / "models/EditAssumption"
    folder.mkdir(parents=True, exist_ok=True)
    save_edit(edit, folder / "of the text encoder.safetensors")
    page = open_page()
    show_tab(page)
    page.locator(f"{TAB}_load").click()
    page.get_by_text("Choose a saved edit first").wait_for(timeout=60_000)
    choose(page, f"{TAB}_saved", "of the text encoder")
    page.locator(f"{TAB}_load").click()
    page.get_by_text("“of the text encoder” is an edit of the text encoder").wait_for(timeout=60_000)
    assert page.locator(f"{TAB}_recipe textarea").input_value() == ""
    (folder / "of the text encoder.safetensors").unlink()


def test_pasted_parameters_draw_the_picture_again(webui, open_page):
    drawn = webui.draw(edit=[f"{EDIT} @ 0.5", 1.0, 0.3, "", "identity"])
    page = open_page()
    page.locator("#txt2img_prompt textarea").fill(drawn.infotext)
    page.locator("#paste").first.click()
    page.wait_for_timeout(3000)
    if webui.kind == "Forge Neo":  # whose paste leaves both prompts as they are
        prompt, negative, *_ = drawn.infotext.splitlines()
        page.locator("#txt2img_prompt textarea").fill(prompt)
        page.locator("#txt2img_neg_prompt textarea").fill(negative.removeprefix("Negative prompt: "))
    show_panel(page)
    filled = page.locator("#edit_assumption_txt2img_recipe textarea").input_value()
    assert filled == f"{IDENTITY}\n! regularization: 0.3\n{EDIT} @ 0.5"
    page.locator("#txt2img_generate").click()
    page.get_by_text("Edit Assumption: a pack of roses").first.wait_for(timeout=FIRST_EDIT)
    again = page.locator("#txt2img_gallery img").first.get_attribute("src")
    with Image.open(io.BytesIO(requests.get(again, timeout=60).content)) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - drawn.levels[0]).max() == 0


def test_the_status_is_translated_apart_from_names(webui, open_in):
    page = open_in("zh_CN")
    page.locator("#tabs > .tab-nav button", has_text="编辑假设").first.click()
    status = page.locator(f"{TAB}_status")
    page.locator(f"{TAB}_load").click()
    status.get_by_text("请先选择一个已保存的编辑。").wait_for(timeout=60_000)
    page.locator(f"{TAB}_preview").click()
    status.get_by_text("配方中没有编辑").wait_for(timeout=60_000)
    page.locator(f"{TAB}_recipe textarea").fill(RECIPE)
    page.locator(f"{TAB}_preview").click()
    status.get_by_text("仅凭文本预测编辑的效果。").wait_for(timeout=FIRST_EDIT)
    page.locator(f"{TAB}_name textarea, {TAB}_name input").first.fill("translated")
    page.locator(f"{TAB}_save").click()
    status.get_by_text("已保存。在提示词中写入<edit:translated:1>即可使用。").wait_for(timeout=120_000)
    take(page, f"{webui.kind}_tab_chinese", "light")
    page.locator(f"{TAB}_delete").click()
    page.get_by_text("要永久删除编辑“translated”吗？").wait_for(timeout=60_000)
    page.locator(f"{TAB}_really").click()
    status.get_by_text("已删除“translated”").wait_for(timeout=60_000)
    page.locator("#tabs > .tab-nav button").first.click()
    show_panel(page)
    quick(page)
    page.locator("#txt2img_prompt textarea").fill("a field of roses")
    page.locator("#txt2img_generate").click()
    page.get_by_text("编辑假设：面板已开启，但配方为空").first.wait_for(timeout=120_000)
