"""An error of a socket's -> the system's words for it."""

import os


def reason(error: OSError) -> str:
    """`Connection refused`; libraries add the address to their words for it, asyncio twice."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    said = error.strerror or str(error) or type(error).__name__  # of a name that is not known: no errno of the system
    return said.partition(" (while attempting")[0]
