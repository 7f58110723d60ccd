"""Debias Concept: a subject's variants in the shares that are wanted, measured on the graph's own model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.samplers
from comfy_api.latest import io, ui

from ..editing.assumptions.debias import chance_recipe, debias_recipe
from ..editing.assumptions.prompt_pair import augment
from ..editing.errors import EditError
from ..editing.shares import Round, Wanted, largest_gap, next_weights, rounds_from_json, rounds_to_json
from ..editing.wording import percent
from .comfy.edited_model import ModelEditor, Solved, model_and_clip, model_and_edit, model_output
from .comfy.images import image_of
from .comfy.picture_judges import Judge, JudgeType, clip_judge
from .comfy.picture_rounds import JudgedPictures, Sampling, check_sight, tuned
from .comfy.progress import progress
from .comfy.recipe_inputs import chance_inputs, recipe_settings, setting_inputs
from .comfy.schemas import advanced, schema

BY_CHANCE, IN_THE_WEIGHTS = "by chance", "in the weights"
_UNUSED = "not used: {}; these are for the way “in the weights”"


def _round_inputs() -> list[io.Input]:
    """How pictures are drawn and judged, in the weights."""
    inputs = [
        io.Int.Input("pictures", default=24, min=2, max=512, tooltip="Drawn in each round, in the weights."),
        io.Int.Input("rounds", default=6, min=1, max=50, tooltip="At most so many rounds."),
        io.Float.Input(
            "tolerance",
            default=5.0,
            min=0.0,
            max=50.0,
            step=0.5,
            round=0.1,
            tooltip="Stop once every share of a round is this near to the one wanted, in points of a hundred.",
        ),
        io.Int.Input("seed", default=0, min=0, max=2**48, control_after_generate=False, tooltip="Of the first round."),
        io.Int.Input("steps", default=12, min=1, max=200),
        io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01),
        io.Combo.Input("sampler_name", options=comfy.samplers.KSampler.SAMPLERS, default="euler"),
        io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="normal"),
        io.String.Input("sentence", default="{}", tooltip="What is drawn; an empty pair of braces marks the subject."),
        io.String.Input("negative", default="", tooltip="The negative prompt of those pictures."),
    ]
    return [advanced(entry) for entry in inputs]


class DebiasConcept(io.ComfyNode):
    """A subject without its bias."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionDebias",
            display_name="Debias Concept",
            description="Gives a subject's variants the shares that you want. By chance every picture draws its variant, in "
            "exactly these shares. In the weights, for a LoRA or a checkpoint, it draws small batches with this very model, "
            "has them judged, and tunes how much each variant weighs.",
            search_aliases=["debias", "fairness", "diversity", "balance", "gender bias"],
            inputs=[
                *model_and_clip(),
                io.String.Input("subject", default="a doctor", tooltip="Whose pictures are lopsided."),
                io.String.Input(
                    "variants",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a female doctor: 50\na male doctor: 50",
                    tooltip="What the pictures may show, one a line, with the share wanted behind a colon. Two or more.",
                ),
                *_round_inputs(),
                *setting_inputs(),
                io.Vae.Input("vae", optional=True, tooltip="To see the pictures; needed with a judge."),
                io.Latent.Input("latent", optional=True, tooltip="An empty latent of the pictures' size; needed with a judge."),
                JudgeType.Input("judge", optional=True, tooltip="From Pocket Judge or CLIP Judge."),
                io.ClipVision.Input(
                    "clip_vision", optional=True, tooltip="In place of a judge: CLIP's vision half, with judge_clip."
                ),
                io.Clip.Input("judge_clip", optional=True, tooltip="The text half of the same CLIP."),
                io.String.Input(
                    "resume",
                    default="",
                    optional=True,
                    force_input=True,
                    tooltip="The RESULT of an earlier run with the same subject and variants, to go on from.",
                ),
                *chance_inputs(),
                io.Combo.Input(
                    "way",
                    options=[BY_CHANCE, IN_THE_WEIGHTS],
                    default=BY_CHANCE,
                    optional=True,
                    tooltip="by chance: every picture draws its variant, by its seed. in the weights: one edit for all "
                    "pictures, which a LoRA or a checkpoint can hold; it alone needs a judge, VAE and latent.",
                ),
            ],
            outputs=[
                *model_and_edit(),
                io.Image.Output(display_name="CHART", tooltip="The shares over the rounds."),
                io.String.Output(display_name="RESULT", tooltip="All rounds, for “resume”."),
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        subject: str,
        variants: str,
        pictures: int,
        rounds: int,
        tolerance: float,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        sentence: str,
        negative: str,
        model: Any = None,
        vae: Any = None,
        latent: Any = None,
        judge: Judge | None = None,
        clip_vision: Any = None,
        judge_clip: Any = None,
        resume: str = "",
        way: str = BY_CHANCE,
        **settings: Any,
    ) -> io.NodeOutput:
        """Tune where it is asked for, solve and patch."""
        wanted = Wanted.parse(subject, variants)
        fields = recipe_settings(**settings)
        editor = ModelEditor(model, clip)
        if way == BY_CHANCE:
            given = {"judge": judge, "vae": vae, "latent": latent, "clip_vision": clip_vision, "judge_clip": judge_clip}
            unused = [name for name, value in {**given, "resume": resume.strip()}.items() if value not in (None, "")]
            solved = editor.solve(chance_recipe(wanted, **fields))
            return _answer(
                cls, wanted, [], solved, editor.report(solved, [_UNUSED.format(", ".join(unused))] if unused else [])
            )
        fields = {**fields, "spread": False, "negative": True}
        done = rounds_from_json(wanted, resume) if resume.strip() else []
        seen_by = id(judge), id(clip_vision), id(judge_clip)
        judge = _judge(judge, clip_vision, judge_clip)
        if judge is not None:
            check_sight(model, vae, latent)
            drawing = augment(sentence, wanted.subject) if "{}" in sentence else sentence
            shape = tuple(latent["samples"].shape)
            sampling = Sampling(drawing, negative, shape, pictures, seed, steps, cfg, sampler_name, scheduler)
            judged = JudgedPictures(sampling, clip, vae, judge)
            settled = tuple(sorted(fields.items()))
            key = (wanted, sampling, settled, editor.encoder.key, model.patches_uuid, id(vae), seen_by, resume)

            def count_shown(weights: tuple[float, ...], number: int) -> list[int]:
                return judged.count(editor.solve(debias_recipe(wanted, weights, **fields)).model, wanted, number)

            advance = progress(max(1, rounds - len(done)), "rounds")
            done = tuned(wanted, count_shown, tolerance / 100, rounds, done, key, advance)
        solved = editor.solve(debias_recipe(wanted, next_weights(wanted, done), **fields))
        text = "\n".join([*_lines(wanted, done), *_newer(wanted, done), editor.report(solved)])
        return _answer(cls, wanted, done, solved, text)


def _answer(cls: type[io.ComfyNode], wanted: Wanted, done: Sequence[Round], solved: Solved, text: str) -> io.NodeOutput:
    chart = image_of(lambda: _figure(wanted, done))
    drawn = ui.PreviewImage(chart, cls=cls).as_dict() if done else {}
    shown = {**drawn, **ui.PreviewText(text).as_dict()}
    return io.NodeOutput(model_output(solved.model), solved.edit, chart, rounds_to_json(wanted, done), ui=shown)


def _judge(judge: Judge | None, clip_vision: Any, judge_clip: Any) -> Judge | None:
    if judge is not None or (clip_vision is None and judge_clip is None):
        return judge
    if clip_vision is None or judge_clip is None:
        raise EditError("A CLIP judge needs both halves: connect clip_vision and judge_clip.")
    return clip_judge(clip_vision, judge_clip)


def _lines(wanted: Wanted, done: Sequence[Round]) -> list[str]:
    if not done:
        return ["Not measured: no judge is connected, so every variant weighs as much as its share."]
    lines = [
        f"{variant}: {percent(share)}, wanted {percent(asked)}"
        for variant, share, asked in zip(wanted.variants, done[-1].shares, wanted.shares, strict=True)
    ]
    return [f"after {len(done)} rounds, within {100 * largest_gap(wanted, done[-1]):.0f} points:", *lines]


def _newer(wanted: Wanted, done: Sequence[Round]) -> list[str]:
    """That the model carries other weights than those measured, where it does."""
    weights = next_weights(wanted, done)
    if not done or weights == done[-1].weights:
        return []
    shown = ", ".join(f"{variant} {weight:.2f}" for variant, weight in zip(wanted.variants, weights, strict=True))
    return [f"The model carries the weights that follow from this, not measured yet: {shown}"]


def _figure(wanted: Wanted, done: Sequence[Round]) -> Any:
    from ..pictures.shares import shares_picture

    return shares_picture(wanted, done)


NODES = [DebiasConcept]
