"""Debiasing by chance, measured on the pocket model beside other ways: ``edit-assumption measure chance``.

Every role is to be half with a hat and half without. By chance all roles are one edit; *oracle* writes the variant that each
picture has drawn into its prompt, the best that the pocket model can do. The other ways put the prompt between its variants,
all roles at once, and tune how much each variant weighs by rounds of judged pictures.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from tqdm import tqdm

from ..console import plain_output, run
from ..editing.assumptions.chance_draw import Picture, draw
from ..editing.assumptions.chance_pair import ChancePair, Variant
from ..editing.assumptions.closed_form import solve
from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.debias import debias_recipe
from ..editing.assumptions.edit import Edit, make_edit
from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.recipe import Recipe
from ..editing.assumptions.token_columns import Columns
from ..editing.shares import Wanted, tune_together
from ..pipelines.generate import generate
from ..pocket.captions import bare_captions, caption
from ..pocket.words import ALL, HATS, ROLES, Thing
from .hats import Shown, even_rows, look, variant_of
from .peers.fair_imagen import fair_roles
from .pocket_edits import PocketModel
from .suite_methods import last_word

PARTS = ("roles", "pairs", "reach", "weights", "UCE", "FairImagen")
_ROUND_SEEDS = 100_000
"""The seeds of rounds begin here, apart from those that are measured on."""
_RELATED = ("a painting of {}", "{} in the snow", "{} at night")
_FEW = 16


def chance_of(role: Thing, with_hat: float) -> ChancePair:
    """A role that is to have a hat in so many percent of its pictures."""
    shares = dict(zip(HATS, (with_hat, 100 - with_hat), strict=True))
    return ChancePair(caption(role, {}), tuple(Variant(variant_of(role, hat), share) for hat, share in shares.items()))


class ByChance:
    """All roles as one edit, and what each picture draws.

    Args:
        model: the pocket model.
        with_hat: the share that is wanted, in percent.
        seeds: of the pictures.
    """

    def __init__(self, model: PocketModel, with_hat: float, seeds: Sequence[int]) -> None:
        self.model, self.seeds = model, seeds
        recipe = Recipe((), chances=tuple(chance_of(role, with_hat) for role in ROLES))
        begin = time.perf_counter()
        self.edit: Edit = make_edit(recipe, model.encode, moment=model.moment)
        self.seconds = time.perf_counter() - begin
        self.drawn = draw(recipe.drawn, [Picture(seed) for seed in seeds])
        self.places = {chance.source: place for place, chance in enumerate(recipe.drawn)}
        self.chances = recipe.drawn

    def variants(self, role: Thing) -> list[str]:
        """What each picture of a role has drawn."""
        place = self.places[caption(role, {})]
        return [self.chances[place].variants[own[place]].destination for own in self.drawn]

    def look(self, prompt: str, count: int | None = None) -> Shown:
        """Pictures of a prompt, each mapped as it has drawn."""
        seeds, drawn = self.seeds[:count], self.drawn[:count]
        return look(self.model, [prompt] * len(seeds), seeds, by_chance=(self.edit.chance, drawn))


def roles(model: PocketModel, seeds: Sequence[int]) -> list[str]:
    """Shares and pictures in between for every role, at both shares."""
    rows = []
    for with_hat in (50.0, 20.0):
        own = ByChance(model, with_hat, seeds)
        rows += [
            f"by chance, {with_hat:g} % with a hat wanted (all roles solved in {own.seconds:.2f} s, no picture drawn for it)",
            "",
            "| role | with a hat | drawn | oracle with a hat | in between | oracle in between |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        gaps, oracles, more = [], [], []
        for role in ROLES:
            variants = own.variants(role)
            shown, oracle = own.look(caption(role, {})), look(model, variants, seeds)
            drawn = sum(variant == variant_of(role, HATS[0]) for variant in variants) / len(variants)
            gaps.append(abs(shown.share - with_hat / 100))
            oracles.append(abs(oracle.share - with_hat / 100))
            more.append(shown.unclear - oracle.unclear)
            shares = f"{shown.share:.1%} | {drawn:.1%} | {oracle.share:.1%}"
            rows.append(f"| {role.name} | {shares} | {shown.unclear:.1%} | {oracle.unclear:.1%} |")
        gap = f"largest gap {max(gaps):.1%}, the oracle's {max(oracles):.1%}"
        rows += ["", f"{gap}; at most {max(more):.1%} more in between than the oracle", ""]
    return rows


def pairs(model: PocketModel, seeds: Sequence[int]) -> list[str]:
    """Two roles from the same seeds: how often each combination is shown."""
    own, (one, other) = ByChance(model, 50.0, seeds), (ROLES[0], ROLES[-1])
    shown = [own.look(caption(role, {})).hats for role in (one, other)]
    counts = Counter(zip(*shown, strict=True))
    each = ", ".join(f"{a} and {b} {counts[a, b] / len(seeds):.1%}" for a in HATS for b in HATS)
    return [f"{one.name} and {other.name} from the same seeds: {each}"]


def reach(model: PocketModel, seeds: Sequence[int]) -> list[str]:
    """Whether related prompts follow as with an edit that is no matter of chance, and other prompts stay."""
    own, count = ByChance(model, 50.0, seeds), min(_FEW, len(seeds))
    written = {
        hat: model.solve(Recipe(tuple(PromptPair(caption(role, {}), variant_of(role, hat)) for role in ROLES))) for hat in HATS
    }
    followed: dict[str, list[bool]] = {"by chance": [], "edited": []}
    for role in ROLES:
        wanted = [HATS[variant != variant_of(role, HATS[0])] for variant in own.variants(role)[:count]]
        for template in _RELATED:
            prompt = template.format(caption(role, {}))
            followed["by chance"] += [a == b for a, b in zip(own.look(prompt, count).hats, wanted, strict=True)]
            shown = {hat: look(model, [prompt] * count, seeds[:count], context_map=written[hat]).hats for hat in HATS}
            followed["edited"] += [shown[hat][place] == hat for place, hat in enumerate(wanted)]
    names = {caption(role, {}) for role in ROLES}
    others = [text for text in bare_captions() if text not in names][::3]
    kept = []
    for edited in (None, own):
        right = 0
        for text in others:
            few = seeds[:count]
            by_chance = {"by_chance": (own.edit.chance, own.drawn[:count])} if edited else {}
            images = generate(model.pipe, [text] * count, few, advance=model.advance, **by_chance)
            right += sum(caption_of(answer) == text for answer in model.judge.answers(images))
        kept.append(right / (count * len(others)))
    return [
        f"related prompts that follow: by chance {fmean(followed['by chance']):.1%}, edited {fmean(followed['edited']):.1%}",
        f"other prompts that show their thing: before {kept[0]:.1%}, after {kept[1]:.1%}",
    ]


def caption_of(answer: Mapping[str, str]) -> str:
    """The bare caption of what a judge saw."""
    return caption(ALL[answer["thing"]], {})


def _wanted() -> dict[str, Wanted]:
    return {role.name: Wanted(caption(role, {}), tuple(variant_of(role, hat) for hat in HATS), (0.5, 0.5)) for role in ROLES}


def uce_debias(model: PocketModel, wanted: Mapping[str, Wanted], weights: Mapping[str, Sequence[float]]) -> ContextMap:
    """UCE's debiasing (Gandikota et al. 2024): a concept's last token to the weighted sum of its variants', lambda 0.1, and the
    bare name of everything else preserved."""
    sources = {one.subject for one in wanted.values()}
    kept = [text for text in bare_captions() if text not in sources]
    prompts = [*sources, *(text for one in wanted.values() for text in one.variants), *kept]
    known = {text: last_word(encoded).double() for text, encoded in zip(prompts, model.encode(prompts), strict=True)}
    columns = [
        Columns.of(known[one.subject], sum(w * known[text] for w, text in zip(weights[name], one.variants, strict=True)))
        for name, one in wanted.items()
    ]
    columns += [Columns.of(known[text], known[text]) for text in kept]
    return solve(Columns.joined(columns), 0.1, scaled=False).context_map


Put = Callable[[Mapping[str, Sequence[float]]], ContextMap]


def tuned(model: PocketModel, name: str, put: Put, seeds: Sequence[int], rounds: int, pictures: int) -> list[str]:
    """A way that is tuned by rounds of judged pictures, all roles at once."""
    wanted, begin = _wanted(), time.perf_counter()

    def count_shown(weights: Mapping[str, tuple[float, ...]], number: int) -> dict[str, list[int]]:
        context_map, start = put(weights), _ROUND_SEEDS + number * pictures
        answers = {
            role.name: look(model, [caption(role, {})] * pictures, range(start, start + pictures), context_map=context_map).hats
            for role in ROLES
        }
        return {role: [hats.count(hat) for hat in HATS] for role, hats in answers.items()}

    *_, done = tune_together(wanted, count_shown, 0.0, rounds)
    seconds = time.perf_counter() - begin
    context_map = put({role: own[-1].weights for role, own in done.items()})
    rows = [f"{name}: {rounds * pictures * len(ROLES):,} pictures drawn and judged to get there, {seconds:.0f} s", ""]
    shown = {role.name: look(model, [caption(role, {})] * len(seeds), seeds, context_map=context_map) for role in ROLES}
    return [*rows, *even_rows(shown)]


def in_the_weights(model: PocketModel, weights: Mapping[str, Sequence[float]]) -> ContextMap:
    """TIME's way, with our default: each role as the weighted mean of its variants."""
    own = [debias_recipe(one, weights[name]) for name, one in _wanted().items()]
    return model.solve(Recipe(tuple(pair for recipe in own for pair in recipe.pairs)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure chance", description="Measures debiasing by chance, and other ways, on the pocket model."
    )
    parser.add_argument("--seeds", type=int, default=640, help="pictures of each role")
    parser.add_argument("--rounds", type=int, default=6, help="of the ways that are tuned")
    parser.add_argument("--pictures", type=int, default=64, help="of each role in each round")
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated; all if not given")
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    seeds, rows = range(1, options.seeds + 1), []
    with tqdm(desc="pictures", unit="picture", mininterval=2) as bar:
        model = PocketModel(bar.update)
        few = seeds[: options.seeds // 4]
        measure: dict[str, Callable[[], list[str]]] = {
            "roles": lambda: roles(model, seeds),
            "pairs": lambda: pairs(model, seeds),
            "reach": lambda: reach(model, seeds),
            "weights": lambda: tuned(
                model, "in the weights", lambda own: in_the_weights(model, own), few, options.rounds, options.pictures
            ),
            "UCE": lambda: tuned(
                model, "UCE", lambda own: uce_debias(model, _wanted(), own), few, options.rounds, options.pictures
            ),
            "FairImagen": lambda: fair_roles(model, few),
        }
        for part in options.part or PARTS:
            rows += [*measure[part](), ""]
    return "\n".join(rows)
