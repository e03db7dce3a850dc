"""Which corpus a raw folder holds, for the error that says how to prepare it."""

import os
from pathlib import Path

from data_pipeline.corpora.registry import CORPORA, DEFAULT_CORPUS


def guess_corpus(root: str | os.PathLike) -> str:
    """The corpus that a raw folder looks like; DEFAULT_CORPUS if nothing speaks for another."""
    names = (name for name, corpus in CORPORA.items() if corpus.looks_like(Path(root)))
    return next(names, DEFAULT_CORPUS)


def prepare_hint(root: Path | None, out: Path) -> str:
    """The command that prepares `root`, as text."""
    corpus, root = (guess_corpus(root), str(root)) if root else (DEFAULT_CORPUS, "RAW_FOLDER")
    return (
        "prepare a corpus with\n  python -m data_pipeline.prepare "
        f"--corpus={corpus} --root={root} --out={out}"
    )
