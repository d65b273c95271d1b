"""How good a model is: retrieval, zero-shot classification, and what a shift of the photos costs."""
