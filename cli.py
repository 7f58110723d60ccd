"""The command ``edit-assumption``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .commands.apply_command import add_apply, run_apply
from .commands.completion_command import add_completion, completion
from .commands.edit_command import add_edit, run_edit
from .commands.generate_command import add_generate, run_generate
from .commands.info_command import add_info, run_info
from .commands.measurements import MEASUREMENTS, add_measurements, measurement
from .commands.preview_command import add_preview, run_preview
from .console import plain_output, run
from .editing.errors import EditError
from .evaluation.iceb_arguments import add_iceb
from .evaluation.papers.arguments import add_papers
from .pipelines.concept_arguments import add_concepts

_OF_EDITS = {"edit": run_edit, "apply": run_apply, "preview": run_preview, "info": run_info, "generate": run_generate}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code (:func:`.console.run`)."""
    plain_output()
    options = _parser().parse_args(arguments)
    if options.command in MEASUREMENTS:
        _quiet_libraries()
        return measurement(options)(options.arguments)
    return run(lambda: _run(options), lambda: _kept(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edit-assumption", description="Edits what a text-to-image model takes for granted.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="one edit on the bundled model, with a picture; downloads nothing",
        epilog='example: edit-assumption demo --source "a cat" --destination "a dog" --out cats.png',
    )  # fmt: skip
    demo.add_argument("--source", default="a pack of roses", help="a prompt for which the model assumes something")
    demo.add_argument("--destination", default="a pack of blue roses", help="what it should mean; empty forgets the source")
    demo.add_argument("--preserve", action="append", default=[], metavar="PROMPT", help="a prompt to keep; may be repeated")
    demo.add_argument("--strength", type=float, default=1.0, help="from -2 to 2")
    demo.add_argument("--seed", type=int, default=0, help="of the first picture in each row")
    demo.add_argument("--out", type=Path, default=Path("edit-assumption-demo.png"), help="where the picture goes")
    suite = commands.add_parser(
        "evaluate", help="methods side by side, on the pocket model or on your own",
        epilog="example: edit-assumption evaluate --split test --method ours --seeds 24 --together 1 50",
    )  # fmt: skip
    suite.add_argument("--split", choices=("validation", "test", "all"), help="which edits of the suite; test if not given")
    suite.add_argument("--method", action="append", default=[], metavar="NAME", help="may be repeated; the usual if not given")
    suite.add_argument("--peers", action="store_true", help="newer papers' methods as well, as we read them")
    suite.add_argument("--ablation", action="store_true", help="variants of our own method in place of the methods")
    suite.add_argument("--seeds", type=int, default=24, help="pictures for each prompt")
    suite.add_argument("--steps", type=int, help="of the sampler (50; 12 for the bundled model)")
    suite.add_argument(
        "--together", type=int, nargs="+", metavar="N", help="edits solved at once, such as 1 10 40; 1 if not given"
    )
    suite.add_argument("--edits", type=int, metavar="N", help="so many edits only, spread over the suite")
    suite.add_argument("--jobs", type=int, default=0, metavar="N", help="processes; one for each core if not given")
    suite.add_argument("--out", type=Path, default=Path("edit-assumption-evaluation"), help="the folder for the results")
    add_papers(suite)
    add_edit(commands)
    add_apply(commands)
    add_preview(commands)
    add_info(commands)
    add_generate(commands)
    add_concepts(commands)
    add_iceb(commands)
    add_measurements(commands)
    add_completion(commands)
    return parser


def _run(options: argparse.Namespace) -> str:
    if options.command == "completion":
        return completion(options.shell, _parser())
    if options.command in (*_OF_EDITS, "demo", "evaluate"):
        _quiet_libraries()
    if options.command in _OF_EDITS:
        return _OF_EDITS[options.command](options)
    if options.command == "demo":
        from .pipelines.demo import run_demo

        return run_demo(options.source, options.destination, options.preserve, options.strength, options.seed, options.out)
    if options.command == "concepts":
        from .pipelines.concepts_command import run_concepts

        return run_concepts(options)
    if options.command == "iceb":
        from .evaluation.iceb_command import run_iceb

        return run_iceb(options)
    if options.data is not None:
        from .evaluation.papers.command import run_papers

        return run_papers(options)
    if options.model or options.text_only:
        raise EditError("Without a file of edits the bundled model is measured; give one with --data.")
    from .evaluation.suite_run import SuiteSettings, evaluate
    from .pocket.model import STEPS

    settings = SuiteSettings(
        split=options.split or "test",
        names=options.method,
        seeds=options.seeds,
        steps=options.steps or STEPS,
        together=options.together or [1],
        limit=options.edits,
        variants=options.ablation,
        peers=options.peers,
    )
    return evaluate(settings, options.out, options.jobs)


def _quiet_libraries() -> None:
    """No remarks of the libraries on the pocket model, which is known to be as it should; set before they are imported."""
    for library in ("DIFFUSERS", "TRANSFORMERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")


def _kept(options: argparse.Namespace) -> str:
    if options.command == "evaluate":
        return f"What was measured is kept in “{options.out}”; the same command goes on from there." if options.data else ""
    return f"What was found is kept in “{options.cache}”; the same command goes on from there." if "cache" in options else ""


if __name__ == "__main__":
    sys.exit(main())
