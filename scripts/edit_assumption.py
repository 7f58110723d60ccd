"""Where A1111 and Forge look for an extension's scripts. The code is in ``extension/``."""

import importlib.util
import sys
from pathlib import Path

NAME = "edit_assumption_extension"

if NAME not in sys.modules:  # the folder is named as the user likes, so it is not found by name
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(NAME, root / "__init__.py", submodule_search_locations=[str(root)])
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])

EditAssumption = importlib.import_module(f"{NAME}.extension.entry").load()
