"""Whether the extra [web] is installed. Called by `cli.serve` before anything of it is imported."""

from importlib.util import find_spec

from clipsight.core.errors import ServerError


def check_installed(*, page: bool) -> None:
    """Raises `ServerError` that says what to install."""
    server = ("cachetools", "fastapi", "prometheus_client", "uvicorn")
    needed = (*server, "gradio") if page else server
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ServerError(
            f"the server needs {' and '.join(missing)}: pip install 'clipsight[web]' (or uv, pipx inject ...)"
        )
