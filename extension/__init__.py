"""The A1111 and Forge extension: a panel, a tab, ``<edit:name>`` in prompts, and an API.

``hosts`` is where the two differ; everything else speaks to the WebUI's own modules, which both have.
"""
