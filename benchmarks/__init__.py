"""How fast, how exact and how small an edit is: ``edit-assumption bench``."""
