"""What is written of a song, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.io.audio_stream import check_format
from data_pipeline.io.midi import MAX_BPM, MIN_BPM


@dataclass(frozen=True)
class SongOptions:
    """What is written of a song, and how.

    Args:
        format, subtype: of the audio files: wav or flac; PCM_16, PCM_24 or FLOAT.
        only: the instruments to write; none for all.
        minus: instruments of which to write the song without them.
        other: also write what is left of the song without the written stems.
        bpm: tempo of the MIDI file; moves the beat grid, not the notes.
        page: also write the page.

    Raises:
        ValueError: on a format that does not exist or a tempo MIDI cannot hold.
    """

    format: str = "wav"
    subtype: str = "PCM_16"
    only: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    other: bool = False
    bpm: float = 120.0
    page: bool = True

    def __post_init__(self):
        check_format(self.format, self.subtype)
        if not MIN_BPM <= self.bpm <= MAX_BPM:
            raise ValueError(f"bpm: must lie in {MIN_BPM}..{MAX_BPM}, got {self.bpm}")

    def check_instruments(self, known: Sequence[str]) -> None:
        """ValueError if an instrument is asked for that the network does not know."""
        for option, instruments in (("only", self.only), ("minus", self.minus)):
            if unknown := [name for name in instruments if name not in known]:
                raise ValueError(
                    f"{option}: {', '.join(unknown)} asked for; the network knows "
                    f"{', '.join(known)}"
                )
