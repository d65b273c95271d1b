"""CLIP itself, in PyTorch (the extra `[train]`): the architecture, its weights, training and export."""
