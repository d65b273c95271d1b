"""Tools for developers: the lock of development tools, and parts of the documentation site."""
