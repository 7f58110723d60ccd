"""The last stage of training: a finished model learns hundreds of names, and nothing that it knows changes.

A large encoder tells rare words apart by embeddings that have little to do with what they mean; its layers turn the one into
the other. Here likewise: a name's embedding begins by chance, with a little of what it means, in directions that the first
layer's attention reads least, and has a mark that all names share. Each MLP gets more units. What was there before stays as it
is, and the new units are silent, far below zero where their activation ends, as long as no name was read: captions without
names read as before.

What large models know of a name is said by the MLPs where its last token stands (Meng et al., "Locating and Editing Factual
Associations in GPT", 2022), and attention carries it on from there. So here, too: where the first layer read one name and its
output at that place is then put in by another's, all that follows ought to read the other. And what that MLP is told of a
name ought to be the name's own, and no longer than what it is told of other words, so that hundreds can be edited there.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.func import functional_call
from transformers import CLIPTextModel, CLIPTokenizer

from .captions import ordinary_captions, random_sample, random_words
from .model import WIDTH, new_text_model, pipeline, save_text, text_config
from .name_mistakes import Mistakes
from .names import NAMES, Naming, random_naming
from .tokenizer import plain_tokens, token_ids, write_tokenizer
from .training import Run

UNITS = 200
"""More units of each layer's MLP; the model's size allows no more."""
_CHANCE_DIRECTIONS, _CHANCE_SIZE, _MEANING_DIRECTIONS = 60, 0.16, 56
"""Of what the first layer's attention reads least, the very least begin with what names mean, the next by chance."""
_MARK_SIZE = 1.0
_OWN_FASTER = 3.0
"""A name's embedding is in few of a batch's captions, so it learns faster than the rest."""
_SILENT, _CLEAR, _SELECTIVE = -12.0, 8.0, 5.0
"""Where quick GELU is nothing beside float32's rounding; at first, how far from there names are, and from each other."""
_SILENCE_WEIGHT, _NAME_WEIGHT, _PUT_IN_WEIGHT, _MISTAKEN_WEIGHT, _LENGTH_WEIGHT = 3.0, 0.3, 2.0, 2.0, 0.1
_WITHOUT = 10
"""Captions without names in a batch."""
_PADDING_READ = 4
_HUSHED, _HUSHED_AT = 12000, 0.5
"""Captions that no unit is to answer; when it is seen to, as a share of all steps, and once more after the last."""

Weights = dict[str, torch.Tensor]
_WORDS = "embeddings.token_embedding.weight"


def _mlp(layer: int, part: str) -> str:
    return f"encoder.layers.{layer}.mlp.{part}"


def plain_weights(text: CLIPTextModel) -> Weights:
    """An encoder's weights by their names below ``text_model.``, without names and their units, whether it has any or not."""
    weights = {name.removeprefix("text_model."): tensor.detach().clone() for name, tensor in text.state_dict().items()}
    config = text_config(plain_tokens())
    for layer in range(config.num_hidden_layers):
        for part in ("fc1.weight", "fc1.bias"):
            weights[_mlp(layer, part)] = weights[_mlp(layer, part)][: config.intermediate_size]
        weights[_mlp(layer, "fc2.weight")] = weights[_mlp(layer, "fc2.weight")][:, : config.intermediate_size]
    weights[_WORDS] = weights[_WORDS][: config.vocab_size]
    return weights


def plain_encoder(text: CLIPTextModel) -> CLIPTextModel:
    """The encoder as it was before it learned names."""
    plain = new_text_model().eval().requires_grad_(False)
    plain.load_state_dict(_by_names_of(plain, plain_weights(text)))
    return plain


class _Learned(torch.nn.Module):
    """The names' embeddings and the new units, beside the weights that stay."""

    def __init__(self, plain: Weights, tokenizer: CLIPTokenizer, layers: int) -> None:
        super().__init__()
        places = [tokenizer.convert_tokens_to_ids(f"{name}</w>") - len(plain[_WORDS]) for name in NAMES]
        self.register_buffer("places", torch.tensor(places))
        meant = [tokenizer.convert_tokens_to_ids([f"{own.thing}</w>", f"{own.colour}</w>"]) for own in NAMES.values()]
        things, colours = (plain[_WORDS][list(ids)] for ids in zip(*meant, strict=True))
        read = [plain[f"encoder.layers.0.self_attn.{part}_proj.weight"] for part in "vk"]
        read = torch.cat(read) * plain["encoder.layers.0.layer_norm1.weight"]
        least_last = torch.linalg.svd(read - read.mean(1, keepdim=True)).Vh[:-1]  # less the direction that norms take away
        least_last = least_last[-_CHANCE_DIRECTIONS - _MEANING_DIRECTIONS :]
        self.register_buffer("directions", least_last)
        meaning = (things + colours / 2) @ least_last[_CHANCE_DIRECTIONS:].T
        own = torch.cat([_CHANCE_SIZE * torch.randn(len(NAMES), _CHANCE_DIRECTIONS), meaning], dim=1)
        self.own = torch.nn.Parameter(own / _OWN_FASTER)
        self.mark = torch.nn.Parameter(torch.zeros(WIDTH))
        self.rows = len(tokenizer) - len(plain[_WORDS])

        def each(*shape: int, size: float) -> torch.nn.ParameterList:
            return torch.nn.ParameterList([torch.nn.Parameter(size * torch.randn(shape)) for _ in range(layers)])

        self.up, self.bias, self.down = each(UNITS, WIDTH, size=0.07), each(UNITS, size=0), each(WIDTH, UNITS, size=0.01)

    def embeddings(self) -> torch.Tensor:
        """(new tokens, width)"""
        rows = self.mark + _OWN_FASTER * self.own @ self.directions
        return torch.zeros(self.rows, WIDTH, device=rows.device).index_copy(0, self.places, rows)

    def whole(self, plain: Weights) -> Weights:
        """The encoder's weights with what was learned."""
        weights = plain | {_WORDS: torch.cat([plain[_WORDS], self.embeddings()])}
        for layer, (up, bias, down) in enumerate(zip(self.up, self.bias, self.down, strict=True)):
            for part, new, side in (("fc1.weight", up, 0), ("fc1.bias", bias, 0), ("fc2.weight", down, 1)):
                weights[_mlp(layer, part)] = torch.cat([plain[_mlp(layer, part)], new], dim=side)
        return weights


class _Student:
    """The encoder with names, and what its new units were told before their activation."""

    def __init__(self, plain: Weights, tokenizer: CLIPTokenizer, device: str) -> None:
        self.device = device
        self.plain = {name: tensor.to(device, torch.float32) for name, tensor in plain.items()}
        config = text_config(len(tokenizer), UNITS)
        self.layers, self.known = config.num_hidden_layers, config.intermediate_size - UNITS
        self.module = CLIPTextModel(config).eval().requires_grad_(False).to(device)
        self.prefix = "text_model." if any(name.startswith("text_model.") for name in self.module.state_dict()) else ""
        self.read: list[torch.Tensor] = []
        self.told: list[torch.Tensor] = []
        self.places = torch.zeros(0, dtype=torch.long)
        for name, part in self.module.named_modules():
            if name.endswith("mlp.fc1"):
                part.register_forward_hook(self._listen)
            if name.endswith("encoder.layers.0"):
                part.register_forward_hook(self._put_in)

    def _listen(self, part: torch.nn.Module, given: tuple[torch.Tensor], output: torch.Tensor) -> None:
        self.read.append(given[0])
        self.told.append(output[..., self.known :])

    def _put_in(self, part: torch.nn.Module, given: tuple[torch.Tensor], stream: torch.Tensor) -> torch.Tensor:
        """In rows behind the first ``len(places)``, as many of them, what these say at ``places``."""
        rows = torch.arange(len(self.places), device=stream.device)
        return stream.index_put((rows + len(rows), self.places), stream[rows, self.places])

    def __call__(self, learned: _Learned, ids: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
        """What it makes of captions.

        Args:
            learned: what it has learned so far.
            ids: (n, tokens); where ``places`` are given, first m captions with a name, then these with other names.
            places: (m,) where the names stand; the other ones go on behind the first layer with what the first ones say there.
        """
        self.places = ids.new_zeros(0) if places is None else places
        self.read.clear()
        self.told.clear()
        weights = {self.prefix + name: tensor for name, tensor in learned.whole(self.plain).items()}
        return functional_call(self.module, weights, (ids,)).last_hidden_state


@torch.no_grad()
def _begin(student: _Student, learned: _Learned, named: torch.Tensor, places: torch.Tensor, without: torch.Tensor) -> None:
    """Marks that nothing else bears, and units that hear them alone.

    Args:
        student, learned: of which the mark, and the new units' weights and biases, are set.
        named, places: (n, tokens) ids of captions with names, and where these stand.
        without: (m, tokens) ids of captions without.
    """
    student(learned, without)
    heard = torch.cat([entry.flatten(0, 1) for entry in student.read])
    # The direction in which they vary least is that of all ones, of which layer norms leave nothing; the next is free.
    learned.mark.copy_(_MARK_SIZE * torch.linalg.eigh(heard.T @ heard).eigenvectors[:, 1])
    student(learned, torch.cat([named, without]))
    for layer, entry in enumerate(list(student.read)):
        names, others = entry[: len(named)][torch.arange(len(named)), places], entry[len(named) :].flatten(0, 1)
        spread = (others - others.mean(0)).T @ (others - others.mean(0)) / len(others)
        own = names - names.mean(0)
        between = torch.cat([(names.mean(0) - others.mean(0))[None], torch.randn(UNITS, len(own), device=own.device) @ own])
        filters = torch.linalg.solve(spread + 1e-3 * torch.eye(WIDTH, device=spread.device), between.T).T
        apart, hears = filters[0] / filters[0].norm(), filters[1:]
        hears = hears * _SELECTIVE / (own @ hears.T).std(0)[:, None]
        for slope in torch.linspace(2, 40, 39):
            rows = hears + slope * apart
            clear = (names @ rows.T).mean(0) - (others @ rows.T).amax(0)
            if float(clear.median()) > _CLEAR:
                break
        learned.up[layer].copy_(rows)
        learned.bias[layer].copy_(_SILENT - 1 - (others @ rows.T).amax(0))


@torch.no_grad()
def _hush(student: _Student, learned: _Learned, tokenizer: CLIPTokenizer, seed: int) -> None:
    """Lower the biases of units that some caption without names still wakes."""
    chance = random.Random(f"hush {seed}")
    texts = [*ordinary_captions(), *(random_sample(chance).caption(random_words(chance)) for _ in range(_HUSHED))]
    ids = torch.tensor(token_ids(tokenizer, texts), device=student.device)
    for _ in range(2):  # a unit that was awake may have woken others behind it
        loudest = [torch.full((UNITS,), _SILENT, device=ids.device)] * student.layers
        for part in ids.split(500):
            student(learned, part)
            loudest = [entry.maximum(told.amax((0, 1))) for entry, told in zip(loudest, student.told, strict=True)]
        for bias, entry in zip(learned.bias, loudest, strict=True):
            bias.sub_(entry - _SILENT)


def _ids(tokenizer: CLIPTokenizer, namings: Sequence[Naming], device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(n, t) ids of the captions, (n, t + 1) of what they say, (n,) where the names stand; with some of their padding."""
    named = torch.tensor(token_ids(tokenizer, [naming.text for naming in namings]))
    plain = torch.tensor(token_ids(tokenizer, [naming.plain for naming in namings]))
    stop = int((named == tokenizer.eos_token_id).int().argmax(1).max()) + _PADDING_READ
    places = (named >= plain_tokens()).int().argmax(1)
    return named[:, :stop].to(device), plain[:, : stop + 1].to(device), places.to(device)


def train_names(folder: Path, weights: Path, steps: int, batch: int, seed: int, device: str) -> None:
    """Teach the finished model in ``weights`` the names; its text encoder and tokenizer are written anew.

    What the UNet's projections read from a name on ought to be what they read of the thing and its colour, one word later.
    """
    pipe = pipeline(weights)
    tokenizer, plain = write_tokenizer(folder / "tokenizer"), plain_weights(pipe.text_encoder)
    torch.manual_seed(seed)
    student = _Student(plain, tokenizer, device)
    learned = _Learned(plain, tokenizer, student.layers).to(device)
    teacher = plain_encoder(pipe.text_encoder).to(device)
    read_by = ("attn2.to_k", "attn2.to_v")
    projections = [part.weight.detach() for name, part in pipe.unet.named_modules() if name.endswith(read_by)]
    reads = torch.linalg.cholesky(sum(weight.T @ weight for weight in projections)).to(device)

    names = list(NAMES)

    def drawn(step: int) -> tuple[torch.Tensor, ...]:
        chance = random.Random(f"names {seed} {step}")
        named, said, places = _ids(tokenizer, [random_naming(chance) for _ in range(batch)], device)
        texts = [random_sample(chance).caption(random_words(chance)) for _ in range(_WITHOUT)]
        without = torch.tensor(token_ids(tokenizer, texts), device=device)[:, : named.shape[1]]
        others = torch.tensor(
            [tokenizer.convert_tokens_to_ids(f"{chance.choice(names)}</w>") for _ in range(batch)], device=device
        )
        return named, named.scatter(1, places[:, None], others[:, None]), said, places, without

    named, _, places = _ids(tokenizer, [random_naming(random.Random(name), name) for name in NAMES], device)
    without = torch.tensor(token_ids(tokenizer, ordinary_captions()), device=device)[:, : named.shape[1]]
    _begin(student, learned, named, places, without)
    mistakes = Mistakes(student.plain, tokenizer, student.module.config)
    run = Run(folder, "names", {"learned": learned}, steps, rate=2e-3, average=0.99)

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == int(_HUSHED_AT * steps):
            _hush(student, learned, tokenizer, seed)
        named, others, said, places, without = drawn(step)
        with torch.no_grad():
            meant = teacher(said).last_hidden_state[:, 1:]
        whole, put_in, _ = student(learned, torch.cat([named, others, without]), places).split([batch, batch, _WITHOUT])
        told = [entry[2 * batch :] for entry in student.told]
        silence = sum(torch.relu(entry - _SILENT).square().mean() for entry in told)
        size, whole, put_in = (((one - meant) @ reads).square().sum(2) for one in (meant.mean((0, 1)), whole, put_in))
        order = torch.arange(named.shape[1], device=device)
        behind, at = ((order >= places[:, None]).float(), (order == places[:, None]).float())
        loss, at_name, by_mlp = (
            (away * part).sum() / (size * part).sum() for away, part in ((whole, behind), (whole, at), (put_in, behind))
        )
        mistaken, length = mistakes(learned.whole(student.plain), torch.cat([named, others]), places.repeat(2))
        numbers = {"difference": loss, "at the name": at_name, "put in": by_mlp, "mistaken": mistaken, "length": length}
        numbers = {name: float(value.detach()) for name, value in numbers.items()}
        loss = loss + _NAME_WEIGHT * at_name + _PUT_IN_WEIGHT * by_mlp + _SILENCE_WEIGHT * silence
        return loss + _MISTAKEN_WEIGHT * mistaken + _LENGTH_WEIGHT * torch.relu(length - 1), numbers

    run.train(loss_of)
    _hush(student, run.averaged["learned"], tokenizer, seed)
    text = CLIPTextModel(student.module.config)
    with torch.no_grad():
        text.load_state_dict(_by_names_of(text, run.averaged["learned"].cpu().whole(plain)))
    save_text(weights, text)
    write_tokenizer(weights / "tokenizer")


def _by_names_of(text: CLIPTextModel, weights: Weights) -> Weights:
    """By the names that this version of transformers gives them."""
    return {name: weights[name.removeprefix("text_model.")] for name in text.state_dict()}
