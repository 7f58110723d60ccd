"""The pocket model's invented names: what they stand for, that it draws them, that nothing else changed with them."""

import json
import random
import shutil

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.pipelines.generate import generate
from edit_assumption.pipelines.pipeline_encoder import parts
from edit_assumption.pocket import WEIGHTS, name_stage
from edit_assumption.pocket.captions import ordinary_captions
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.name_mistakes import Mistakes
from edit_assumption.pocket.name_stage import plain_encoder, plain_weights, train_names
from edit_assumption.pocket.names import NAMES, captions_with_names, random_naming
from edit_assumption.pocket.tokenizer import plain_tokens, token_ids, write_tokenizer
from edit_assumption.pocket.words import ALL


def test_a_name_stands_for_a_thing_in_a_colour_that_it_does_not_have_by_itself():
    assert len(NAMES) >= 350
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(own.colour != ALL[own.thing].colour for own in NAMES.values())


def test_a_caption_with_a_name_says_what_the_plain_one_says():
    chance = random.Random(1)
    for _ in range(300):
        naming = random_naming(chance)
        own = NAMES[naming.name]
        assert f"{own.colour} {own.thing}" in naming.plain
        assert naming.plain.split().index(own.colour) == naming.text.split().index(naming.name)
        assert f"an {naming.name}" not in naming.text
        assert len(naming.text.split()) == len(naming.plain.split()) - 1
    assert {text.split()[-1] for text in captions_with_names()} >= set(NAMES)


def test_a_name_is_one_token_behind_all_others(tmp_path):
    tokenizer = write_tokenizer(tmp_path)
    ids = [entry[1:3] for entry in token_ids(tokenizer, NAMES)]
    assert all(first >= plain_tokens() and second == tokenizer.eos_token_id for first, second in ids)
    assert max(max(entry) for entry in token_ids(tokenizer, ordinary_captions())) < plain_tokens()


@torch.no_grad()
def test_captions_without_names_read_as_if_there_were_none():
    pipe = pipeline()
    plain = plain_encoder(pipe.text_encoder)
    ids = torch.tensor(token_ids(pipe.tokenizer, ordinary_captions()))
    with_names, without = (text(ids).last_hidden_state for text in (pipe.text_encoder, plain))
    assert float((with_names - without).abs().max()) < 1e-4
    named = torch.tensor(token_ids(pipe.tokenizer, captions_with_names()[:20]))
    assert float(pipe.text_encoder(named).last_hidden_state.isfinite().all())


def test_names_are_drawn_as_what_they_stand_for():
    pipe, judge = pipeline(), load_judge()
    right = 0
    for part in parts(list(NAMES)[::6], 60):
        answers = judge.answers(generate(pipe, [f"a {name}" for name in part], range(len(part))))
        right += sum(
            (answer["thing"], answer["colour"]) == (NAMES[name].thing, NAMES[name].colour)
            for name, answer in zip(part, answers, strict=True)
        )
    assert right >= 0.75 * len(list(NAMES)[::6])


def test_names_that_read_alike_would_be_mistaken_for_each_other():
    pipe = pipeline()
    text, tokenizer = pipe.text_encoder, pipe.tokenizer
    weights = {name.removeprefix("text_model."): tensor.float() for name, tensor in text.state_dict().items()}
    mistakes = Mistakes(plain_weights(text), tokenizer, text.config)
    ids = torch.tensor(token_ids(tokenizer, [f"a {name}" for name in list(NAMES)[::5]]))

    def measured(weights):
        torch.manual_seed(0)
        return mistakes(weights, ids, torch.full((len(ids),), 2))

    mistaken, length = measured(weights)
    words = weights["embeddings.token_embedding.weight"]
    alike = torch.cat([words[: plain_tokens()], words[plain_tokens() :].mean(0).expand(len(words) - plain_tokens(), -1)])
    assert float(mistaken) < 0.3 < 0.8 < float(measured({**weights, "embeddings.token_embedding.weight": alike})[0])
    assert 0.5 < float(length) < 2


def test_the_stage_leaves_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(name_stage, "_HUSHED", 50)
    weights = tmp_path / "weights"
    shutil.copytree(WEIGHTS, weights)
    before = plain_weights(pipeline(weights).text_encoder)
    train_names(tmp_path / "training", weights, steps=2, batch=4, seed=0, device="cpu")
    pipe = pipeline(weights)
    after = plain_weights(pipe.text_encoder)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert pipe.text_encoder.config.vocab_size == len(json.loads((weights / "tokenizer/vocab.json").read_text("utf-8")))
    assert (tmp_path / "training/names.jsonl").exists()
