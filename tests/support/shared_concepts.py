"""Run by every process of `accelerate launch`: an edit without any folder, written by each of them under its number."""

import sys
from pathlib import Path

from edit_assumption.editing.concepts.concept_lines import parse_concepts
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.concepts.values import ValueSettings
from edit_assumption.editing.edit_file import save_edit
from edit_assumption.pipelines.pipeline_concepts import edit_concepts
from edit_assumption.pipelines.processes import launched
from edit_assumption.pipelines.shared_values import shared_search
from edit_assumption.pocket.captions import bare_captions
from edit_assumption.pocket.model import pipeline

out, lines = Path(sys.argv[1]), sys.argv[2]
processes = launched()
recipe = ConceptRecipe(parse_concepts(lines), templates=("a {}",))
settings = ValueSettings(at_once=2)  # so that there are batches to share out
edit = edit_concepts(pipeline(), recipe, bare_captions(), settings, search=shared_search(processes))
save_edit(edit, out / f"{processes.index}-of-{processes.count}")
