"""Concept edits on the pocket model: its pictures show what was asked, the rest stays, and the weights come back."""

import pytest
import torch

pytest.importorskip("diffusers")

from edit_assumption.editing.concepts.concept_lines import parse_concepts
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.pipelines.command_inputs import POCKET_TEMPLATES
from edit_assumption.pipelines.generate import generate
from edit_assumption.pipelines.pipeline_concepts import edit_concepts, edited_text, text_encoders
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
from edit_assumption.pocket.captions import ordinary_captions
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline

ASKED = "rose -> tulip\nwizard -> king\nstar -> tree\ncat -> dog\ncar -> boat\napple -> balloon"
SEEDS = [1, 2]


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


SHOWN = {"attention": 0.7, "text": 0.6}
"""Mode to the share of pictures that show the destination at least; without the edit none does."""


@pytest.fixture(scope="module", params=SHOWN)
def edit(pipe, request):
    recipe = ConceptRecipe(parse_concepts(ASKED), templates=POCKET_TEMPLATES, mode=request.param)
    return edit_concepts(pipe, recipe, ordinary_captions())


def things(pipe, prompts):
    images = generate(pipe, [prompt for prompt in prompts for _ in SEEDS], SEEDS * len(prompts))
    return [answer["thing"] for answer in load_judge().answers(images)]


def test_pictures_show_the_destination_and_the_rest_stays(pipe, edit):
    concepts = parse_concepts(ASKED)
    others = ["a house", "a dog", "a fish", "a pear"]
    before = {name: tensor.clone() for name, tensor in pipe.text_encoder.state_dict().items()}
    plain = things(pipe, others)
    with edited_text(pipe, edit):
        edited, kept = things(pipe, [f"a {concept.source}" for concept in concepts]), things(pipe, others)
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.text_encoder.state_dict().items())
    wanted = [concept.destination for concept in concepts for _ in SEEDS]
    assert sum(a == b for a, b in zip(edited, wanted, strict=True)) >= SHOWN[edit.recipe.mode] * len(wanted)
    assert sum(a == b for a, b in zip(kept, plain, strict=True)) >= len(plain) - 1


def test_the_pipelines_encoder_says_what_the_tower_says(pipe, edit):
    with edited_text(pipe, edit):
        (encoded,) = PipelineEncoder(pipe)(["a photo of a rose"])
    (ours,) = edit.edited(text_encoders(pipe))
    assert torch.allclose(ours.encode(["a photo of a rose"])[0].embeddings, encoded.embeddings, atol=1e-3)
    assert not torch.allclose(PipelineEncoder(pipe)(["a photo of a rose"])[0].embeddings, encoded.embeddings, atol=1e-1)
