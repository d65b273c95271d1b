"""Methods that use attention and gradients of a CLIP checkpoint in PyTorch (the extra [train]).

`model` has the checkpoint as an `explain.base.Model`, `trace` a forward and backward pass through a tower, as
NumPy arrays. PyTorch is imported when a checkpoint is opened, not before.
"""
