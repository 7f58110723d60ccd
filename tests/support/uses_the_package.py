"""Every public name of the package, as a typed program uses it. Read by mypy, never run."""

from pathlib import Path
from typing import Any

import edit_assumption as ea


def everything(pipe: Any, path: Path) -> None:
    recipe: ea.Recipe = ea.parse_recipe("a pack of roses -> a pack of blue roses")
    pair: ea.PromptPair = recipe.pairs[0]
    concepts: ea.ConceptRecipe = ea.parse_concept_recipe("! mode: text\nrose -> cat")
    try:
        edit: ea.PipelineEdit = ea.edit_pipeline(pipe, recipe, strength=0.5)
        other: ea.PipelineEdit = ea.edit_pipeline(pipe, concepts)
    except ea.EditError as error:
        message: str = str(error)
        print(message, pair.source, ea.__version__)
        return
    on: bool = edit.off().on(strength=1.0).is_on or other.is_removed
    report: str = edit.report
    edit.save(path)
    edit.save_lora(path, tolerance=0.01)
    edit.remove()
    loaded: ea.Edit | ea.ConceptEdit = ea.load_edit(path)
    ea.save_edit(loaded, path, {"note": report})
    put_on: ea.PipelineEdit = ea.apply_edit(pipe, loaded, strength=0.8)
    with ea.edited(pipe, put_on, strength=1.0) as same:
        print(same.strength, same.pipe, on)
    solved: ea.Edit = ea.make_edit(recipe, lambda prompts: [])
    context_map: ea.ContextMap = solved.context_map
    print(context_map.width, context_map.rank)
