"""The extension for A1111, Forge, Forge Neo and reForge: a panel, a tab, ``<edit:name>`` in prompts, and an API.

``running_host`` says in what they differ; everything else speaks to the WebUI's own modules, which all of them have.
"""
