"""The heads a network may have, by the names of their losses: to add one, write a file and a line
here.

A head exists if and only if its loss weight is positive. Its parameters depend on its name and the
seed alone, so they are the same with and without the other heads.
"""

from collections.abc import Iterable

from cerberus_jax.heads.base import Context, Head
from cerberus_jax.heads.deep_clustering import DeepClustering
from cerberus_jax.heads.mask_inference import MaskInference
from cerberus_jax.heads.onsets import Onsets
from cerberus_jax.heads.transcription import Transcription

HEADS: dict[str, type[Head]] = {
    "deep_clustering": DeepClustering,
    "mask_inference": MaskInference,
    "transcription": Transcription,
    "onsets": Onsets,
}

PAPER_HEADS = tuple(name for name, head in HEADS.items() if head.default_weight > 0)

__all__ = [
    "HEADS",
    "PAPER_HEADS",
    "Context",
    "Head",
    "head_giving",
    "separates",
    "transcribes",
]


def head_giving(gives: str, names: Iterable[str]) -> str | None:
    """The first of the heads `names` that gives 'masks', 'rolls', 'onsets' or 'clusters'; None if
    none does."""
    return next((name for name in names if HEADS[name].gives == gives), None)


def separates(names: Iterable[str]) -> bool:
    """Whether one of the heads gives masks."""
    return head_giving("masks", names) is not None


def transcribes(names: Iterable[str]) -> bool:
    """Whether one of the heads gives rolls."""
    return head_giving("rolls", names) is not None
