"""Recipe of the builtin model, a small dual encoder for photos and text (model card: README.md)."""
