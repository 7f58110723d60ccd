"""The command ``evaluate --data``: a file of edits, a pipeline and a judge to a report."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ...editing.errors import EditError
from ...pipelines.command_inputs import load_pipeline, settings_of
from ...pipelines.demo import check_words
from ...pipelines.draw import draw_pictures
from ...pipelines.pipeline_judges import Judge
from ...pipelines.processes import Processes, launched
from ...pipelines.text_models import check_known
from ...pocket.model import GUIDANCE, STEPS
from ..joint import ScoredPictures
from ..joint_methods import search_shown
from ..peers.listed import peers
from ..results_folder import Write, results_folder
from .edit_set import EditSet
from .formats import read_edit_set
from .judges import DEFAULT_JUDGE, POCKET, judge_by_name
from .kept_lpips import add_lpips
from .paper_methods import EMCID, MethodSettings, PaperMethod, chosen_methods, paper_methods
from .picture_files import UNEDITED, KeptPictures
from .quality import TABLE, Metrics, Quality, own_pictures, torchmetrics_metrics
from .report import FILES, table, write
from .run import Group, PaperRun, groups_of, judged
from .scores import Chosen, PaperScores, PartKey, Parts, summed
from .text_alone import TextAlone

PARTS = "parts"
_STEPS, _GUIDANCE = 50, 7.5
_OF_THE_SUITE = {"split": "--split", "ablation": "--ablation", "jobs": "--jobs"}


def run_papers(
    options: argparse.Namespace,
    judge: Judge | None = None,
    metrics: Callable[..., Metrics] = torchmetrics_metrics,
) -> str:
    """Measure, write after each group of edits into ``options.out``, and give the table.

    Args:
        options: of :func:`~.arguments.add_papers`, with method, seeds, steps, together, edits and out.
        judge: in place of the one that is named.
        metrics: in place of torchmetrics' with their published weights.

    Raises:
        EditError: something that was asked cannot be done.
        KeyboardInterrupt: it was stopped; the same command goes on where it was.
    """
    for name, option in _OF_THE_SUITE.items():
        if getattr(options, name):
            raise EditError(f"{option} is for the bundled suite; leave it out where there is a file of edits.")
    if options.seeds < 1 or options.at_once < 1:
        raise EditError("Give 1 or more with --seeds and --at-once.")
    if options.text_only and (options.reference or options.judge or options.keep_pictures or options.lpips):
        raise EditError("From text alone no picture is drawn; leave out --reference, --judge, --lpips and --keep-pictures.")
    processes = launched()
    edit_set = read_edit_set(options.data, options.destination, options.edits)
    if options.model is None:
        check_words(edit_set.texts)
    groups = groups_of(edit_set, options.together or [len(edit_set.edits) if edit_set.whole else 1])
    with results_folder(options.out, FILES) if processes.main else nullcontext(lambda write, text: None) as put:
        if options.text_only:
            return _from_text(options, edit_set, groups, put) if processes.main else ""
        return _from_pictures(options, edit_set, groups, put, processes, judge, metrics)


def _about(options: argparse.Namespace, edit_set: EditSet, methods: Sequence[PaperMethod]) -> dict[str, object]:
    return {
        "data": options.data.name,
        "kind": edit_set.kind,
        "edits": len(edit_set.edits),
        "model": options.model or "the bundled model",
        "methods": [method.name for method in methods],
    }


def _methods(
    options: argparse.Namespace, edit_set: EditSet, pipe: Any, advance: Callable[[int, int], None] = lambda done, of: None
) -> list[PaperMethod]:
    settings = MethodSettings(settings_of(options), options.cache / "concepts", options.noise_seed, advance)
    known = paper_methods(edit_set, settings)
    return chosen_methods(options.method, known, options.text_only, "transformer" in pipe.components, options.peers)


def _from_text(
    options: argparse.Namespace, edit_set: EditSet, groups: Sequence[Group], put: Callable[[Write, str], None]
) -> str:
    searched = EMCID in options.method and options.mode != "text"
    whole = searched or options.peers or any(name in peers() for name in options.method)  # some peers read weights
    pipe = load_pipeline(options.model, whole, launched().device, check_known)
    methods = _methods(options, edit_set, pipe)
    results = TextAlone(pipe).score(methods, groups)
    about = {**_about(options, edit_set, methods), "together": sorted({group.together for group in groups})}
    put(lambda folder: write(results, folder, about, groups, text_only=True), table(results))
    return table(results)


def _from_pictures(
    options: argparse.Namespace,
    edit_set: EditSet,
    groups: Sequence[Group],
    put: Callable[[Write, str], None],
    processes: Processes,
    judge: Judge | None,
    metrics: Callable[..., Metrics],
) -> str:
    reference = own_pictures(options.reference) if options.reference else []
    name = options.judge or (DEFAULT_JUDGE if options.model else POCKET)
    clip = DEFAULT_JUDGE if name == POCKET else name
    measured = metrics(clip, processes.device) if reference or options.lpips else None
    judge = judge or judge_by_name(name, processes.device)
    usual = (_STEPS, _GUIDANCE) if options.model else (STEPS, GUIDANCE)
    steps = usual[0] if options.steps is None else options.steps
    guidance = usual[1] if options.guidance is None else options.guidance
    pipe = load_pipeline(options.model, True, processes.device, check_known, getattr(torch, options.dtype))
    seeds = range(options.seeds)
    with tqdm(desc="pictures", unit="picture", disable=not processes.main) as bar:
        methods = _methods(options, edit_set, pipe, search_shown(bar))
        about = {
            **_about(options, edit_set, methods), "numbers": options.dtype,
            "judge": name, "steps": steps, "guidance": guidance, "seeds": options.seeds,
            "mode of EMCID": options.mode if any(method.name == EMCID for method in methods) else None,
        }  # fmt: skip
        if options.lpips and not any(method.name == UNEDITED for method in methods):
            raise EditError("LPIPS compares with the unedited model; add --method unedited.")
        keep = options.keep_pictures or options.lpips
        kept = KeptPictures(partial(draw_pictures, steps=steps, guidance=guidance), options.out, keep)
        scored = ScoredPictures(pipe, judged(judge), kept, at_once=options.at_once, advance=bar.update)
        parts = Parts(options.out / PARTS, _decides(options, about))
        run = PaperRun(pipe, groups, methods, scored, kept, parts, seeds)

        def report(results: Sequence[PaperScores]) -> None:
            put(lambda folder: write(results, folder, about, groups, seeds), table(results))

        results = summed(run(processes, lambda known: report(summed(known))))
        if measured and options.lpips and measured.lpips and processes.main:
            add_lpips(results, methods, groups, options.out, seeds, measured.lpips)
        if measured and reference:
            quality = Quality(reference, measured, kept.draw, options.at_once, bar.update)
            about_quality = {**parts.about, "reference": _digest(options.reference / TABLE)}
            kept_quality = Parts(options.out / PARTS / "quality", about_quality)
            _add_quality(results, quality, pipe, methods, groups, processes, kept_quality)
        report(results)
    return table(results) if processes.main else ""


def _decides(options: argparse.Namespace, about: Mapping[str, object]) -> dict[str, object]:
    """What decides a part's answers: not which other methods run beside it, but the file's own content."""
    digest = hashlib.sha256(options.data.read_bytes()).hexdigest()
    emcid = {"regularization": options.regularization, "layers": options.layers, "noise": options.noise_seed}
    files = {name: _digest(getattr(options, name)) for name in ("captions", "templates")}
    kept = options.keep_pictures or options.lpips  # what was measured without them has to be drawn again for them
    told = {"digest": digest, "destination": options.destination, "mode": options.mode, "kept": kept, **emcid, **files}
    return {name: value for name, value in about.items() if name not in ("methods", "mode of EMCID")} | told


def _digest(path: Path | None) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else None


def _add_quality(
    results: Sequence[PaperScores],
    quality: Quality,
    pipe: Any,
    methods: Sequence[PaperMethod],
    groups: Sequence[Group],
    processes: Processes,
    parts: Parts,
) -> None:
    """Each method's first group of each size on the user's own texts; what is missing is shared out over the processes."""
    first = {group.together: group for group in reversed(groups)}
    edits = [method for method in methods if not method.oracle]
    rows = {first[row.together].key(method): (row, method) for row in results for method in edits if method.name == row.method}
    known = dict(processes.gather(list(parts.read(list(rows)).items())))
    mine = [key for key in rows if key not in known][processes.index :: processes.count]
    plain = quality.look_before(pipe) if mine else {}
    fresh: dict[PartKey, Chosen] = {}
    for key in mine:
        method = rows[key][1]
        measured = plain if method.plain else _with(quality, pipe, method, first[key.together])
        fresh[key] = {0: {name: [value] for name, value in measured.items()}}
        parts.write(key, fresh[key])
    known |= dict(processes.gather(list(fresh.items())))
    for key, (row, _) in rows.items():
        row.quality |= {name: value for name, (value,) in known[key][0].items()}


def _with(quality: Quality, pipe: Any, method: PaperMethod, group: Group) -> dict[str, float]:
    with method.put_on(pipe, group.edits):
        return quality.look(pipe)
