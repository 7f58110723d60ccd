"""Help pages and translations cover every node, as the host serves them."""

import pytest
import requests
from i18n_marks import MARKS

CATEGORY = "edit assumption"


@pytest.fixture(scope="module")
def nodes(comfy):
    return {name: node for name, node in comfy.get("/object_info").items() if node["category"] == CATEGORY}


def test_every_node_has_a_help_page(comfy, nodes):
    assert len(nodes) >= 16
    for name, node in nodes.items():
        answer = requests.get(f"{comfy.url}/extensions/edit_assumption_under_any_name/docs/{name}.md", timeout=60)
        assert answer.status_code == 200, name
        assert answer.text.startswith(f"# {node['display_name']}\n")


def test_every_word_of_a_node_is_translated(comfy, nodes):
    chinese = comfy.get("/i18n")["zh"]
    assert CATEGORY in chinese["nodeCategories"]
    assert set(chinese["nodeDefs"]) == set(nodes)
    for name, node in nodes.items():
        translated = chinese["nodeDefs"][name]
        assert translated["display_name"] and translated["description"]
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        assert set(translated.get("inputs", {})) == set(inputs), name
        for key, (_, *details) in inputs.items():
            if details and details[0].get("tooltip"):
                assert translated["inputs"][key].get("tooltip"), (name, key)
        assert len(translated.get("outputs", {})) == len(node["output"]), name


def test_english_has_no_mark_that_the_front_end_reads_as_its_own(nodes):
    """Where there is no translation, the front end reads a node's own words as one."""
    for name, node in nodes.items():
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        tooltips = [details[0].get("tooltip", "") for _, *details in inputs.values() if details]
        said = [node["display_name"], node["description"], *inputs, *tooltips, *node["output_name"], *node["output_tooltips"]]
        assert not [text for text in said if text and MARKS.search(text)], name


def test_every_input_explains_itself(nodes):
    plain = {"steps", "cfg", "sampler_name", "scheduler"}  # as in the host's own sampler
    for name, node in nodes.items():
        assert node["description"], name
        for kind in ("required", "optional"):
            for key, (_, *details) in node["input"].get(kind, {}).items():
                assert key in plain or (details and details[0].get("tooltip")), (name, key)
