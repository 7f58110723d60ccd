"""EMCID: many concepts at once, edited in the text encoder's MLPs (Xiong et al. 2024).

Each concept gets a value of its own, the stream that its subject's last token ought to have after the last edited layer
(:mod:`.values`); then all of them are written into the MLP output matrices of a few layers in closed form (:mod:`.update`),
held against what these matrices see in ordinary captions (:mod:`.statistics`). ``sources -> keys, values -> factors`` for a
:class:`~.tower.Tower`, which a host makes from its own encoder's weights.
"""
