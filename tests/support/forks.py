"""Work in a forked process."""

import os
from collections.abc import Callable


def in_child(work: Callable[[], str]) -> str:
    """The text that `work` returns in a forked process, or the error that it raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, work().encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    return text
