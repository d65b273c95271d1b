"""CLIP in PyTorch (the extra `[train]`): the architecture and published weights."""
