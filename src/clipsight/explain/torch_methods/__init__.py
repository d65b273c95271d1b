"""Methods that look inside a CLIP checkpoint: its attention and its gradients. They need the extra [train].

`model` is the checkpoint as a `protocol.Model`, `trace` one pass through a tower with all that the methods
ask of it as NumPy arrays, `tokens` leads back to words; each other module is a method.
None imports PyTorch before a checkpoint is opened.
"""
