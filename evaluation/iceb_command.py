"""The command ``iceb``: ICEB's files, a pipeline and a classifier to JSON, a table and curves."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tqdm import tqdm

from ..editing.errors import EditError
from ..pipelines.command_inputs import load_pipeline, settings_of
from ..pipelines.processes import launched
from .classifier import ImageClassifier
from .iceb import cases_of, held_destinations, read_held, read_requests, shared_sentences
from .joint import JointSuite, ScoredPictures, run_jointly
from .joint_methods import joint_methods, search_shown
from .joint_report import FILES, read_joint, table, write_joint
from .results_folder import Write, results_folder

_COUNTS = (1, 10, 50, 100, 300)
_PRESERVED = 200
"""Destinations that UCE is told to keep, as in the published comparison."""


def run_iceb(options: argparse.Namespace) -> str:
    """Run, write after each method and count into ``options.out``, and give the table.

    Args:
        options: of :func:`~.iceb_arguments.add_iceb`.

    Raises:
        EditError: something that was asked cannot be done.
        KeyboardInterrupt: it was stopped; the same command goes on after the last method and count.
    """
    with results_folder(options.out, FILES) as put:
        return _measured(options, put)


def _measured(options: argparse.Namespace, put: Callable[[Write, str], None]) -> str:
    requests = read_requests(options.csv)
    validation = read_requests(options.val) if options.val else []
    settings = settings_of(options, shared_sentences(requests))
    device = launched().device
    judge = ImageClassifier(options.classifier, device)
    held = read_held(options.holdout, requests, judge.labels) if options.holdout else held_destinations(requests)
    cases = cases_of(requests, validation, judge.labels)
    counts = options.counts or [count for count in _COUNTS if count <= len(cases)]
    destinations = list(dict.fromkeys(request.concept.destination for request in requests))[:_PRESERVED]
    preserve = [template.replace("{}", name) for name in destinations for template in settings.templates]
    about = {
        "csv": options.csv.name, "val": options.val and options.val.name, "holdout": options.holdout and options.holdout.name,
        "model": options.model, "classifier": options.classifier, "steps": options.steps, "guidance": options.guidance,
        "mode": settings.mode, "regularization": settings.regularization, "layers": list(settings.layers),
        "templates": list(settings.templates), "captions": len(settings.captions), "measured": options.measured,
        "seed": options.seed, "held out": len(held),
    }  # fmt: skip
    with tqdm(desc="pictures", unit="picture") as bar:
        folder, show = options.cache / "concepts", search_shown(bar)
        known = joint_methods(settings.recipe, settings.captions, preserve, folder, options.seed, show)
        for name in options.method:
            if name not in known:
                raise EditError(f"There is no method “{name}”; choose from {', '.join(known)}.")
        chosen = [known[name] for name in options.method] or list(known.values())
        pipe = load_pipeline(options.model, True, device)
        scored = ScoredPictures(pipe, judge, None, options.steps, options.guidance, options.at_once, bar.update)
        results = run_jointly(
            scored, chosen, JointSuite(cases, held, counts, options.measured), read_joint(options.out, about),
            lambda so_far: put(lambda folder: write_joint(so_far, folder, about), table(so_far)),
        )  # fmt: skip
    return table(results)
