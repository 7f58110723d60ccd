"""Newer closed-form and training-free methods, each written anew from its paper's equations: our reading of them."""
