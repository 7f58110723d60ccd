"""What is edited where no host is needed: SD 1.5's projections and its text encoder, in size, with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..editing.assumptions.moments import second_moment
from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.token_columns import Columns
from ..editing.encoding import Chunk, EncodedPrompt
from ..editing.ordinary_captions import ordinary_captions

WIDTH = 768
LENGTH = 77
_LEVELS = (320,) * 5 + (640,) * 5 + (1280,) * 6
_START, _END = 49406, 49407
_CAPTIONS = 64
"""Of the ordinary captions: the time that a solve takes does not depend on what is in the moment."""


def recipe(regularizer: str) -> Recipe:
    """One pair in four sentences: itself and the three default augmentations; on the identity it is the paper's problem."""
    return Recipe(pairs=(PromptPair("a pack of roses", "a pack of blue roses"),), regularizer=regularizer)


def moment() -> torch.Tensor:
    """The second moment of captions in the random text encoder, (768, 768)."""
    return second_moment(encode(ordinary_captions()[:_CAPTIONS]))


def projections() -> list[torch.Tensor]:
    """A key and a value projection, (out, 768), of each of SD 1.5's 16 cross-attention layers."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(out, WIDTH, generator=generator) / WIDTH**0.5 for out in _LEVELS for _ in ("keys", "values")]


def _prompt(words: Sequence[str], embeddings: torch.Tensor) -> EncodedPrompt:
    padding = ("<end>",) * (LENGTH - 1 - len(words))
    return EncodedPrompt(("<start>", *words, *padding), (Chunk(0, range(1, 1 + len(words)), LENGTH),), embeddings)


def encode(prompts: Sequence[str]) -> list[EncodedPrompt]:
    """The prompts as a randomly filled CLIP ViT-L/14 text encoder sees them, one token a word."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=WIDTH,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=_START,
        eos_token_id=_END,
    )
    words = [prompt.split() for prompt in prompts]
    numbers = {word: 1000 + number for number, word in enumerate(dict.fromkeys(word for line in words for word in line))}
    tokens = [[_START, *(numbers[word] for word in line), *[_END] * (LENGTH - 1 - len(line))] for line in words]
    with torch.no_grad():
        embeddings = CLIPTextModel(config).eval()(torch.tensor(tokens)).last_hidden_state
    return [_prompt(line, rows.clone()) for line, rows in zip(words, embeddings, strict=True)]


def trained_encode(prompts: Sequence[str]) -> list[EncodedPrompt]:
    """The prompts as a trained text encoder sees them: the bundled model's, turned into the width of SD 1.5.

    Its prompts are shorter than SD 1.5's; the last padding token fills them up.
    """
    from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
    from edit_assumption.pocket.model import pipeline

    encoded = PipelineEncoder(pipeline())(prompts)
    generator = torch.Generator().manual_seed(3)
    narrow = encoded[0].embeddings.shape[1]
    turn = torch.linalg.qr(torch.randn(WIDTH, narrow, generator=generator)).Q.T
    rows = [
        torch.cat([prompt.embeddings, prompt.embeddings[-1:].expand(LENGTH - len(prompt.tokens), -1)]) for prompt in encoded
    ]
    return [_prompt(text.split(), each @ turn) for text, each in zip(prompts, rows, strict=True)]


def trained_moment() -> torch.Tensor:
    """The second moment of the bundled model's captions in the same coordinates, (768, 768)."""
    from edit_assumption.pocket.captions import ordinary_captions as pocket_captions

    return second_moment(trained_encode(pocket_captions()[:_CAPTIONS]))


def _random_tokens(tokens: int, width: int) -> Columns:
    return Columns.of(*torch.randn(2, tokens, width, generator=torch.Generator().manual_seed(4)))


def _nearly_equal_tokens(tokens: int, width: int) -> Columns:
    apart = _random_tokens(tokens, width)
    return Columns.of(apart.source[0] + 1e-3 * apart.source, apart.source[0] + 1e-3 * apart.destination)


def _outlier_ridden_tokens(tokens: int, width: int) -> Columns:
    """Three huge coordinates, and every 77th token 30 times as long."""
    plain = _random_tokens(tokens, width)
    sizes = torch.ones(width)
    sizes[5], sizes[40], sizes[99] = 300, 100, 30
    lengths = torch.ones(tokens, 1)
    lengths[::LENGTH] = 30
    return Columns.of(plain.source * sizes * lengths, plain.destination * sizes * lengths)


KINDS = {"random": _random_tokens, "nearly equal": _nearly_equal_tokens, "outlier-ridden": _outlier_ridden_tokens}
"""Kind of tokens to what makes columns of them from their number and width."""


def synthetic_recipe(pairs: int) -> Recipe:
    """So many different pairs, each in four sentences, with the default settings."""
    lines = tuple(PromptPair(f"a thing number {n}", f"a blue thing number {n}") for n in range(pairs))
    return Recipe(pairs=lines)


def synthetic_encode(prompts: Sequence[str]) -> list[EncodedPrompt]:
    """Every token a random row of its own but for the start token, which all prompts share, as in CLIP."""
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(WIDTH, generator=generator)
    encoded = []
    for prompt in prompts:
        embeddings = torch.randn(LENGTH, WIDTH, generator=generator)
        embeddings[0] = start
        encoded.append(_prompt(prompt.split(), embeddings))
    return encoded
