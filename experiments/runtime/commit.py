"""The commit of the code that runs."""

import subprocess
from pathlib import Path

_DESCRIBE = ("describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*")


def commit_of_code() -> str:
    """With + where files were changed since; '' where the code is not under version control, be it
    installed inside the repository of another project."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git(*_DESCRIBE)
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    folder = Path(__file__).parent
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout.strip()
