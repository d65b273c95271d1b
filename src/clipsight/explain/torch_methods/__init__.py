"""Methods for a CLIP checkpoint in PyTorch, from its attention and gradients (the extra [train]).

`model` is the checkpoint as an `explain.base.Model`, `trace` a forward and backward pass through a tower as
NumPy arrays. PyTorch is imported when a checkpoint is opened, not before.
"""
