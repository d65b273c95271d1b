"""The ASGI application and the process that runs it."""
