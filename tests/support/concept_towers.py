"""A small text encoder of random weights for the tests of concept edits, with CLIP's tokenizer."""

import clip_helpers
import pytest
import torch
from edit_assumption.editing.concepts.sentences import Tokens
from edit_assumption.editing.concepts.tower import Tower, below_text_model

DEPTH, HEADS = 6, 4


def tokenize(prompts):
    tokenizer = clip_helpers.clip_tokenizer()
    found = []
    for ids in tokenizer(list(prompts), padding="max_length", max_length=77, truncation=True)["input_ids"]:
        words = ids.index(tokenizer.eos_token_id)
        found.append(Tokens(tuple(ids), tuple(tokenizer.convert_ids_to_tokens(ids)), range(1, words)))
    return found


def new_model(width, seed=0):
    """transformers' class."""
    transformers = pytest.importorskip("transformers")
    tokenizer = clip_helpers.clip_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=DEPTH,
        num_attention_heads=HEADS, max_position_embeddings=77, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.CLIPTextModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(8 if "embedding" in name else 1)  # so that words make a difference
    return model


def tower_of(model):
    """The same encoder as ours."""
    weights = {name if "text_model." in name else f"text_model.{name}": tensor for name, tensor in model.state_dict().items()}
    return Tower(below_text_model(weights), heads=HEADS, activation="quick_gelu", depth=DEPTH)


@torch.no_grad()
def keys_and_stream(tower, sentences, layers, last):
    """At every subject, from the embedding up with all padding: layer to keys, and the stream after ``last``; float64."""
    places = torch.arange(len(sentences.ids)), sentences.subject
    stream, keys = tower.embed(sentences.ids), {}
    for layer in range(last + 1):
        stream, key = tower.attend(stream, layer)
        keys[layer] = key[places].double()
        stream = stream + tower.answer(key, layer)
    return {layer: keys[layer] for layer in layers}, stream[places].double()
