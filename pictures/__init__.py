"""Pictures that every host shows alike: before/after grids, previews of edits, shares over the rounds of a debiasing."""
