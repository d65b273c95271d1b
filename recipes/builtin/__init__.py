"""The recipe of the builtin model: a small dual encoder for photos and words (model card: README.md)."""
