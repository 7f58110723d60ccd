"""How fast, how exact and how small an edit is: ``python -m benchmarks.run`` from the repository root."""
