"""Models: names, downloads, model folders, and the encoder that runs a model in ONNX Runtime."""
