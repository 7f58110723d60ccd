"""The method: closed-form edits of the layers that read text.

Pure torch. Nothing here knows a host (ComfyUI, A1111, diffusers); a host hands in text embeddings and module names and
gets back a :class:`~.assumptions.context_map.ContextMap`.
"""
