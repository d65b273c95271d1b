"""A checkpoint as a model folder of ONNX graphs (the extra `[train]`)."""
