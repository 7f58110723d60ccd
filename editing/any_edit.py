"""The two kinds of edit: of the projections that read text (TIME), and of the text encoder (EMCID)."""

from __future__ import annotations

from .assumptions.edit import Edit
from .concepts.concept_edit import ConceptEdit

AnyEdit = Edit | ConceptEdit
