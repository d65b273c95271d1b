"""CLIP in PyTorch (the extra `[train]`): architectures, published weights, and checkpoints."""
