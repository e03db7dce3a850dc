"""Files and folders as users write them on a command line or in a config."""

import os
import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local_path(path: str) -> str:
    """The path of a file or folder as a user gives it; a leading ~ is the home folder.

    Raises:
        ValueError: on an address such as gs://bucket/run, which would be made as a local folder.
    """
    if scheme := _SCHEME.match(path):
        raise ValueError(
            f"{path}: a local file or folder expected, got an address ({scheme[0]}); mount that "
            "storage as a folder, or copy what is needed, and give the local path"
        )
    return os.path.expanduser(path)
