"""The commands of ``edit-assumption``, a module each; :mod:`..cli` lists them."""
