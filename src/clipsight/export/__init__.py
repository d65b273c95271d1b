"""Export of checkpoints to model folders of ONNX graphs (the extra `[train]`)."""
