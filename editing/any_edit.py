"""The two kinds of edit: of the projections that read text (TIME), and of the text encoder (EMCID)."""

from __future__ import annotations

from .concepts.edit import ConceptEdit
from .edit import Edit

AnyEdit = Edit | ConceptEdit
