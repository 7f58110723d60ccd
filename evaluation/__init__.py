"""How well edits work: suites of edits, methods side by side, measures, reports."""
