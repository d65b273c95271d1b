"""Contrastive training of CLIP in PyTorch (the extra `[train]`)."""
