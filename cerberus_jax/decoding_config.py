"""The settings by which the rolls of one instrument become notes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

DIP_REACH = 2  # frames to either side of a dip in which its shoulders are looked for
MAX_ONSET_DISTANCE = 4


@dataclass(frozen=True)
class DecodingConfig:
    """How the roll of one instrument becomes notes. `dataclasses.asdict` gives its JSON form.

    Args:
        threshold: a note begins at the first frame whose probability reaches this.
        hysteresis: it lasts while the probability is at least this fraction of the threshold.
        dip: probability by which a frame must lie below both its shoulders to end one note and let
            the next begin; shallower gaps of at most `max_gap_frames` are bridged.
        max_gap_frames: longest gap that is bridged where it is shallower than `dip`.
        min_frames: shorter notes are dropped; drum hits are one frame long.
        onset_shift_seconds: added to every onset; to be tuned where a network is early or late.
        onset_threshold: with a roll of onsets, a note begins at a local maximum of it that reaches
            this.
        onset_distance_frames: such a maximum is the highest within so many frames to either side.
        frame_support: and the roll of what sounds must reach this there or within two frames after.
        onset_support: a note that only the roll of what sounds shows to begin counts where the roll
            of onsets reaches this within two frames; 1 rules such notes out.

    Raises:
        ValueError: if a value is out of range.
    """

    threshold: float = 0.5
    hysteresis: float = 0.7
    dip: float = 0.2
    max_gap_frames: int = 2
    min_frames: int = 1
    onset_shift_seconds: float = 0.0
    onset_threshold: float = 0.4
    onset_distance_frames: int = 1
    frame_support: float = 0.1
    onset_support: float = 0.2

    def __post_init__(self):
        for name, low, high in (
            ("threshold", 1e-3, 1.0),
            ("hysteresis", 1e-3, 1.0),
            ("dip", 1e-3, 1.0),
            ("max_gap_frames", 0, 2 * DIP_REACH - 1),
            ("min_frames", 1, np.inf),
            ("onset_shift_seconds", -1.0, 1.0),
            ("onset_threshold", 1e-3, 1.0),
            ("onset_distance_frames", 1, MAX_ONSET_DISTANCE),
            ("frame_support", 0.0, 1.0),
            ("onset_support", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(
                    f"DecodingConfig: {name} must lie between {low} and {high}, got {value!r}"
                )

    @classmethod
    def from_json(cls, values: Mapping) -> "DecodingConfig":
        """The configuration that `dataclasses.asdict` wrote; unknown names are a ValueError."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"DecodingConfig: unknown fields {unknown}; the fields are {', '.join(known)}"
            )
        return cls(**values)
