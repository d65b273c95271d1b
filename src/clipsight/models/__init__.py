"""Models: names, downloads, model folders, and the encoder that runs them."""
