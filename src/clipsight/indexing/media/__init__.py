"""Files to upright RGB pixels and metadata, one module a kind of file."""
