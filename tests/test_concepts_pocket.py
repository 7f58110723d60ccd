"""Concept edits on the pocket model: its pictures show what was asked, the rest stays, and the weights come back."""

import pytest
import torch

pytest.importorskip("diffusers")

from edit_assumption.editing.concepts.concepts import parse_concepts
from edit_assumption.pipelines.concepts import edit_concepts, edited_text
from edit_assumption.pipelines.encoder import PipelineEncoder
from edit_assumption.pipelines.generate import generate
from edit_assumption.pocket.captions import ordinary_captions
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline

TEMPLATES = ("a {}", "a photo of a {}", "an image of a {}", "{}")
ASKED = "rose -> tulip\nwizard -> king\nstar -> tree\ncat -> dog\ncar -> boat\napple -> balloon"
SEEDS = [1, 2]


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


@pytest.fixture(scope="module")
def tower(pipe):
    # This encoder has four layers, and its words have read each other after the first.
    return edit_concepts(pipe, parse_concepts(ASKED), ordinary_captions(), layers=[0], templates=TEMPLATES)


def things(pipe, prompts):
    images = generate(pipe, [prompt for prompt in prompts for _ in SEEDS], SEEDS * len(prompts))
    return [answer["thing"] for answer in load_judge().answers(images)]


def test_pictures_show_the_destination_and_the_rest_stays(pipe, tower):
    concepts = parse_concepts(ASKED)
    others = ["a house", "a dog", "a fish", "a pear"]
    before = {name: tensor.clone() for name, tensor in pipe.text_encoder.state_dict().items()}
    plain = things(pipe, others)
    with edited_text(pipe, tower):
        edited, kept = things(pipe, [f"a {concept.source}" for concept in concepts]), things(pipe, others)
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.text_encoder.state_dict().items())
    wanted = [concept.destination for concept in concepts for _ in SEEDS]
    assert sum(a == b for a, b in zip(edited, wanted, strict=True)) >= 0.6 * len(wanted)  # without the edit none
    assert sum(a == b for a, b in zip(kept, plain, strict=True)) >= len(plain) - 1


def test_the_pipelines_encoder_says_what_the_tower_says(pipe, tower):
    with edited_text(pipe, tower):
        (encoded,) = PipelineEncoder(pipe)(["a photo of a rose"])
    (tokens,) = PipelineEncoder(pipe).tokenize(["a photo of a rose"])
    ids = torch.tensor([tokens.ids])
    assert torch.allclose(tower.finish(tower.embed(ids), 0)[0], encoded.embeddings, atol=1e-3)
    assert not torch.allclose(PipelineEncoder(pipe)(["a photo of a rose"])[0].embeddings, encoded.embeddings, atol=1e-1)
