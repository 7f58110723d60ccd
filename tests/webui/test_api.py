"""The extension's HTTP API, the X/Y/Z plot, and bad input, in a real A1111 and a real Forge."""

import re
import stat
import threading
import time

import pytest
import requests
from barriers import POSIX
from safetensors.torch import load_file
from webui_scenes import SCENES, plotted, shows, skip_where_loras_do_nothing, skip_where_the_api_cannot_paste, with_image
from webui_server import NAME, Refused, WebuiServer

RECIPE = "a pack of roses -> a pack of blue roses"
PLAIN = {"recipe": RECIPE, "regularizer": "identity"}


def ask(webui, path, **body):
    answer = webui.post(f"/edit-assumption/{path}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_solve_says_what_the_edit_is(webui):
    found = ask(webui, "solve", **PLAIN, strength=0.5)
    assert "32 projections patched (16 keys, 16 values)" in found["report"] and found["rank"] > 70
    assert found["recipe"] == f"! regularizer: identity\n{RECIPE} @ 0.5" and 0 < found["residual"] < 1


def test_save_list_and_delete(webui):
    assert ask(webui, "save", **PLAIN, name="an edit (1)") == {"name": "an edit (1)"}
    entry = {"name": "an edit (1)", "recipe": f"! regularizer: identity\n{RECIPE}", "problem": ""}
    assert entry in webui.get("/edit-assumption/edits").json()
    again = webui.post("/edit-assumption/save", {**PLAIN, "name": "an edit (1)"})
    assert again.status_code == 422 and "already" in again.json()["detail"]
    ask(webui, "save", **PLAIN, name="an edit (1)", overwrite=True)
    assert webui.delete("/edit-assumption/edits/an edit (1)").status_code == 200
    assert webui.delete("/edit-assumption/edits/an edit (1)").status_code == 404


def test_a_damaged_file_is_marked_and_the_others_are_listed(webui):
    ask(webui, "save", **PLAIN, name="whole", overwrite=True)
    folder = webui.base / "models/EditAssumption"
    (folder / "cut.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:-100])
    found = {entry["name"]: entry for entry in webui.get("/edit-assumption/edits").json()}
    assert "damaged" in found["cut"]["problem"] and not found["whole"]["problem"]
    assert webui.delete("/edit-assumption/edits/cut").status_code == 200


def test_files_do_not_wait_for_pictures(webui):
    ask(webui, "save", **PLAIN, name="not needed", overwrite=True)
    drawing = drawn_beside(webui, steps=150)
    assert "not needed" in {entry["name"] for entry in webui.get("/edit-assumption/edits").json()}
    assert webui.delete("/edit-assumption/edits/not needed").status_code == 200
    assert drawing.is_alive()
    webui.post("/sdapi/v1/interrupt").raise_for_status()
    drawing.join()


def test_a_folder_that_cannot_be_written_is_named_and_keeps_nobody_from_drawing(webui):
    blocked = webui.base / "blocked"
    blocked.write_text("")
    plain = webui.draw()
    webui.post("/sdapi/v1/options", {"edit_assumption_folder": str(blocked)}).raise_for_status()
    try:
        answer = webui.post("/edit-assumption/save", {**PLAIN, "name": "an edit"})
        assert answer.status_code == 422 and "a file stands where a folder is needed" in answer.json()["detail"]
        assert webui.get("/edit-assumption/edits").json() == [] and webui.draw().away(plain) == 0
    finally:
        webui.post("/sdapi/v1/options", {"edit_assumption_folder": ""}).raise_for_status()


@POSIX
def test_saved_files_are_for_whoever_the_umask_lets_read_them(webui):
    ask(webui, "save", **PLAIN, name="for others")
    ask(webui, "export", **PLAIN, name="for others")
    own = webui.base / "own"
    own.write_text("")
    for folder in ("EditAssumption", "Lora"):
        path = webui.base / "models" / folder / "for others.safetensors"
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(own.stat().st_mode)


def test_an_export_draws_what_the_edit_draws(webui):
    ask(webui, "export", **PLAIN, name="exported", precision="float32")
    assert len(load_file(webui.base / "models/Lora/exported.safetensors")) == 3 * 32
    skip_where_loras_do_nothing(webui)
    edited = webui.draw(edit=[RECIPE, 1.0, 0.1, "", "identity"])
    assert webui.draw("a field of roses <lora:exported:1>").away(edited) <= 1


def test_an_export_while_a_lora_is_on_is_of_the_checkpoints_own_weights(webui):
    ask(webui, "export", **PLAIN, name="first", precision="float32")
    webui.draw("a field of roses <lora:first:1>")
    ask(webui, "export", **PLAIN, name="second", precision="float32")
    first, second = (load_file(webui.base / f"models/Lora/{name}.safetensors") for name in ("first", "second"))
    assert all((first[name] - second[name]).abs().max() < 1e-6 for name in first)


def test_reach(webui):
    found = ask(webui, "reach", **PLAIN, related=["a rose"], unrelated=["a cat"])
    assert found["alignment"][0]["words"][3] == ["roses", "roses"]
    assert set(found["related"]) == {"a rose"} and 0 < found["sources"]["a pack of roses"] < 10


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", ".hidden", "C:edit", "a\\b", "a:b", "end.", "con", "Lpt1.x"])
@pytest.mark.parametrize("path", ["save", "export"])
def test_nothing_is_written_outside_the_folders(webui, path, name):
    before = sorted(webui.base.rglob("*.safetensors"))
    answer = webui.post(f"/edit-assumption/{path}", {**PLAIN, "name": name})
    assert answer.status_code == 422 and "cannot be a name" in answer.json()["detail"]
    assert sorted(webui.base.rglob("*.safetensors")) == before


def test_what_is_wrong_with_a_name_or_a_field_is_said(webui):
    for name in ("x" * 300, "蔷" * 99):
        answer = webui.post("/edit-assumption/save", {**PLAIN, "name": name})
        assert answer.status_code == 422 and "is too long" in answer.json()["detail"]
    answer = webui.post("/edit-assumption/solve", {**PLAIN, "strenght": 0.5})
    assert answer.status_code == 422 and "strenght" in str(answer.json()["detail"])
    assert ask(webui, "save", **PLAIN, name="ended.safetensors.safetensors", overwrite=True) == {"name": "ended"}


def test_nothing_outside_the_folder_is_deleted(webui):
    outside = webui.base / "models/Stable-diffusion/thin.safetensors"
    for name in ("../Stable-diffusion/thin", "..%2FStable-diffusion%2Fthin", "%2e%2e/Stable-diffusion/thin"):
        assert webui.delete(f"/edit-assumption/edits/{name}").status_code >= 400
    assert outside.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe": "roses"}, "Line 1: there is no “->”"),
        ({"recipe": "= a house"}, "The recipe has no edit"),
        ({"recipe": "a -> a"}, "nothing would change"),
        ({"regularization": 0}, "The regularization is 0"),
        ({"projections": "queries"}, "are not known; choose one of"),
        ({"blocks": "roof"}, "no text projections in a block “roof”"),
        ({"strength": 3}, "The strength is 3"),
        ({"pooled": True}, "switch “pooled” off"),
        ({"preserve": "# ours\na -> b"}, "Line 2 of preserve: “->” belongs to an edit"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(webui, change, sentence):
    answer = webui.post("/edit-assumption/solve", {**PLAIN, **change})
    assert answer.status_code == 422 and sentence in answer.json()["detail"]
    plain = webui.draw()
    names = [
        "recipe",
        "strength",
        "regularization",
        "preserve",
        "regularizer",
        "projections",
        "blocks",
        "augmentations",
        "pooled",
    ]
    values = {**PLAIN, **change}
    with pytest.raises(Refused, match=sentence.replace("(", r"\(")):
        webui.draw(edit=[values.get(name) for name in names])
    assert webui.draw().away(plain) == 0


@pytest.mark.parametrize(
    ("panel", "sentence"),
    [
        ([True, [RECIPE]], "“recipe” is .*; give text"),
        ([True, RECIPE, "much"], "“strength” is 'much'; give a number"),
        ([True, RECIPE, True], "“strength” is True; give a number"),
        ([True, RECIPE, 1, None, None, None, None, None, None, "yes"], "“pooled” is 'yes'; give true or false"),
        (["false", RECIPE], "“enabled” is 'false'; give true or false"),
    ],
)
def test_a_value_of_another_type_is_refused(webui, panel, sentence):
    body = {"prompt": "a cat", "steps": 1, "width": 64, "height": 64, "alwayson_scripts": {NAME: {"args": panel}}}
    answer = webui.post("/sdapi/v1/txt2img", body)
    assert answer.status_code == 422 and answer.json()["error"] == "Edit Assumption"
    assert re.match(sentence, answer.json()["detail"])


def test_a_strength_of_zero_is_no_edit_to_solve(webui):
    for change in ({"strength": 0}, {"recipe": f"{RECIPE} @ 0"}):
        answer = webui.post("/edit-assumption/solve", {**PLAIN, **change})
        assert answer.status_code == 422 and "has strength 0" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"edit": "  # nothing yet"}, "the panel is on and its recipe is empty"),
        ({"negative_prompt": "blurry <edit:nowhere:1>"}, "in the negative prompt is read as words"),
        ({"prompt": "a field of roses <edit:nowhere>"}, "no edit is saved as “nowhere”"),
        ({**SCENES["hires fix"], "hr_prompt": "a rose <edit:nowhere>"}, "no edit is saved as “nowhere”"),
        ({"prompt": "a field of roses <edit:any:much>"}, "the strength in <edit:any:much> is no number"),
    ],
)
def test_what_was_asked_and_not_done_is_in_the_parameters(webui, change, sentence):
    drawn = webui.draw(**with_image(webui, change))
    assert sentence in drawn.infotext and "Edit Assumption not done" in drawn.infotext
    plain = {**change, "edit": None, "prompt": "a field of roses"} | ({"hr_prompt": "a rose"} if "hr_prompt" in change else {})
    assert drawn.away(webui.draw(**with_image(webui, plain))) == 0


def test_a_named_edit_that_was_saved_anew_is_said(webui):
    skip_where_the_api_cannot_paste(webui)
    ask(webui, "save", **PLAIN, name="anew", overwrite=True)
    drawn = webui.draw("a field of roses <edit:anew:0.5>")
    assert "not done" not in webui.again(drawn).infotext
    ask(webui, "save", **{**PLAIN, "recipe": "a cat -> a dog"}, name="anew", overwrite=True)
    again = webui.again(drawn)
    assert "“anew” was saved anew since the pasted picture: it was" in again.infotext and again.away(drawn) > 8


def test_a_recipe_that_the_panel_cannot_take_is_said(webui):
    """The panel has one set of settings, so that of two recipes pasted one may be left over."""
    skip_where_the_api_cannot_paste(webui)
    ask(webui, "save", **PLAIN, name="left over", overwrite=True)
    drawn = webui.draw("a field of roses <edit:left over>", edit=["a cat -> a dog", 1.0, 0.3, "", "identity"])
    webui.delete("/edit-assumption/edits/left over").raise_for_status()
    again = webui.again(drawn)
    assert "no edit is saved as “left over”, and the panel does not have its recipe: “! reg" in again.infotext


def drawn_beside(webui, **settings):
    """A thread that draws, once it is at it."""
    drawing = threading.Thread(target=lambda: webui.draw(**settings))
    drawing.start()
    wait_for(lambda: webui.get("/sdapi/v1/progress").json()["state"]["sampling_step"] > 1)
    return drawing


def wait_for(seen):
    deadline = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


MANY = "\n".join(f"a thing of kind {number} -> a blue thing of kind {number}" for number in range(40))


def test_an_interrupt_before_the_edit_is_ready_is_said(webui):
    pictures = []
    drawing = threading.Thread(target=lambda: pictures.append(webui.draw(edit=[MANY, 1.0, 0.1, "", "identity"])))
    drawing.start()
    wait_for(lambda: "reading the recipe's prompts" in (webui.get("/sdapi/v1/progress").json()["textinfo"] or ""))
    webui.post("/sdapi/v1/interrupt").raise_for_status()
    drawing.join()
    (drawn,) = pictures
    assert "interrupted before the edit was ready" in drawn.infotext and "a blue thing" not in drawn.infotext
    assert ask(webui, "solve", **PLAIN)["rank"]  # that interrupt is over


def test_nobody_is_worked_for_who_has_gone(webui):
    with pytest.raises(requests.Timeout):
        body = {"recipe": MANY, "regularizer": "identity", "name": "for nobody"}
        requests.post(f"{webui.url}/edit-assumption/save", json=body, timeout=1)
    ask(webui, "solve", **PLAIN)  # after that one, in the queue
    assert "for nobody" not in {entry["name"] for entry in webui.get("/edit-assumption/edits").json()}


def test_its_schemas_are_in_the_docs(webui):
    described = webui.get("/openapi.json").json()
    ours = {path for path in described["paths"] if path.startswith("/edit-assumption/")}
    assert ours == {f"/edit-assumption/{name}" for name in ("edits", "edits/{name}", "solve", "save", "export", "reach")}
    assert "recipe" in described["components"]["schemas"]["RecipeRequest"]["properties"]


def test_a_plot_over_the_strength(webui):
    cells = plotted(webui, "Strength", "0, 0.5, 1", [], [True, RECIPE, 1.0, 0.1, "", "identity"])
    for amount in (0.0, 0.5, 1.0):
        assert shows(cells, webui.draw(edit=[RECIPE, amount, 0.1, "", "identity"]))


def test_a_plot_over_saved_edits(webui):
    ask(webui, "save", **PLAIN, name="for the plot", overwrite=True)
    cells = plotted(webui, "Saved edit", "None, for the plot", ["None", "for the plot"], [False])
    assert shows(cells, webui.draw()) and shows(cells, webui.draw("a field of roses <edit:for the plot>"))


@pytest.mark.parametrize(
    ("axis", "values", "panel", "sentence"),
    [
        ("Strength", "0, 3", [True, RECIPE], "The strength is 3"),
        ("Regularization", "0.1, 0", [True, RECIPE], "The regularization is 0"),
        ("Strength", "0, 1", [False, RECIPE], "Turn the panel on"),
        ("Saved edit", ["None", "nowhere"], [False], "There is no edit “nowhere”"),
    ],
)
def test_a_plot_refuses_bad_values_before_it_draws(webui, axis, values, panel, sentence):
    listed = values if isinstance(values, list) else []
    with pytest.raises(requests.HTTPError) as caught:
        plotted(webui, axis, ", ".join(listed) or values, listed, panel)
    assert sentence in caught.value.response.json()["detail"]


@pytest.fixture
def guarded(webui, tmp_path):
    """Starts the WebUI again with more arguments."""
    servers = []

    def start(*arguments):
        models = str(webui.base / "models/Stable-diffusion")
        servers.append(WebuiServer(webui.kind, webui.folder, tmp_path, "--ckpt-dir", models, *arguments))
        return servers[0]

    yield start
    for server in servers:
        server.stop()


def test_the_webuis_password_guards_it(guarded):
    server = guarded("--api-auth", "me:secret")
    assert server.get("/edit-assumption/edits").status_code == 401
    assert server.get("/edit-assumption/edits", auth=("me", "wrong")).status_code == 401
    assert server.get("/edit-assumption/edits", auth=("me", "secret")).json() == []


def test_the_pages_login_guards_it(guarded):
    server = guarded("--gradio-auth", "me:secret")
    assert server.get("/edit-assumption/edits").status_code == 401
    with requests.Session() as session:
        session.post(f"{server.url}/login", data={"username": "me", "password": "secret"}, timeout=60).raise_for_status()
        cookies = {cookie.name: cookie.value for cookie in session.cookies}
    assert server.get("/edit-assumption/edits", cookies=cookies).json() == []
