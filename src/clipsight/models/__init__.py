"""Words and photos to vectors: model folders, where to get them, and the encoder that runs them."""
