"""What a command says where a package is not installed: one line, with what to install."""

import sys

_OWN = ("cerberus_jax", "data_pipeline", "experiments", "tests")
_REMEDIES = {
    "tinysoundfont": "pip install --no-deps tinysoundfont",  # its pyaudio is not used here
    "torch": "pip install torch",  # for networks and benchmarks of PyTorch alone
}
_TRAINING = "pip install '.[train]' in the project's folder"


def explanation(error: BaseException) -> str:
    """The line about a package that could not be imported; '' for any other error."""
    package = ((error.name if isinstance(error, ModuleNotFoundError) else "") or "").split(".")[0]
    if package in ("", *_OWN):
        return ""
    return f"error: {package} is not installed; {_REMEDIES.get(package, _TRAINING)}"


def explain_in_commands() -> None:
    """Have `python -m PACKAGE.COMMAND` end with that line rather than a traceback.

    To be called while PACKAGE is imported: Python shows by argv[0] that a module is to be run, and
    the imports of that module fail before any of its own lines can catch it. --debug shows all.
    """
    if sys.argv[:1] == ["-m"] and "--debug" not in sys.argv:
        sys.excepthook = _show


def _show(kind, error, traceback) -> None:
    if line := explanation(error):
        print(line, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
