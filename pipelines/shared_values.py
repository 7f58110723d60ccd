"""Stage one over several processes: concepts are independent, so each process searches for some, and all get all values.

Whole batches are shared out, as one process would make them: in a batch of another size sums are rounded otherwise, and a
search can turn on their last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch

from ..editing.concepts.sentences import Sentences
from ..editing.concepts.tower import Tower
from ..editing.concepts.value_file import ValueStore
from ..editing.concepts.values import Distill, Search, Values, ValueSettings, find_values
from .pipeline_encoder import parts
from .processes import Processes


def shared_search(processes: Processes) -> Search:
    """A search for :func:`~..editing.concepts.concept_edit.find_concept_values` that the processes share out.

    Nothing is read over a shared disk: what a process knows, from its own folder or by its search, it tells the others.
    """

    def search(
        tower: Tower,
        sentences: Sentences,
        last: int,
        settings: ValueSettings,
        distill: Distill | None,
        advance: Callable[[int], None],
        store: ValueStore,
    ) -> Values:
        known = [set(numbers) for numbers in processes.gather([list(store.known)])]
        anyone, everyone = set().union(*known), set.intersection(*known)
        missing = [number for number in range(sentences.count) if number not in anyone]
        batches = list(parts(missing, settings.at_once))
        if mine := list(chain.from_iterable(batches[processes.index :: processes.count])):
            own = ValueStore(store.folder, [store.names[number] for number in mine])
            find_values(
                tower, sentences.of(torch.tensor(mine)), last, settings, distill,
                lambda done: advance(len(anyone) + min(done * processes.count, len(missing))), own,
            )  # fmt: skip
            store.known |= {mine[place]: value for place, value in own.known.items()}
        news = [(number, value) for number, value in store.known.items() if number not in everyone]
        for number, value in processes.gather(news):
            if number in store.known:
                continue
            if processes.main:  # alone, since the folder may be every process's
                store.put(number, value)
            else:
                store.known[number] = value
        return find_values(tower, sentences, last, settings, distill, advance, store)

    return search
