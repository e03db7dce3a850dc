"""What is written of a song, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.io.audio_stream import LOSSY, SUBTYPES, check_format
from data_pipeline.io.midi import MAX_BPM, MIN_BPM


@dataclass(frozen=True)
class SongOptions:
    """What is written of a song, and how.

    Args:
        format: of the audio files: wav, flac, mp3 or ogg.
        subtype: their bit depth: PCM_16, PCM_24 or FLOAT; '' for the first that the format has.
        only: the instruments to write; none for all.
        minus: instruments of which to write the song without them.
        other: also write what is left of the song without the written stems.
        bpm: tempo of the MIDI file; moves the beat grid, not the notes.
        page: also write the page.

    Raises:
        ValueError: on a format that does not exist or a tempo MIDI cannot hold.
    """

    format: str = "wav"
    subtype: str = ""
    only: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    other: bool = False
    bpm: float = 120.0
    page: bool = True

    def __post_init__(self):
        if self.subtype and self.format in LOSSY:
            raise ValueError(f"subtype: {self.format} files have no bit depth, got {self.subtype}")
        check_format(self.format, self.stored_subtype)
        if not MIN_BPM <= self.bpm <= MAX_BPM:
            raise ValueError(f"bpm: must lie in {MIN_BPM}..{MAX_BPM}, got {self.bpm}")

    @property
    def stored_subtype(self) -> str:
        """The subtype of the files, the format's default where none is asked for."""
        return self.subtype or SUBTYPES.get(self.format, ("",))[0]

    @property
    def is_lossy(self) -> bool:
        """Whether the files hold something else than what was separated."""
        return self.format in LOSSY

    def check_instruments(self, known: Sequence[str]) -> None:
        """ValueError if an instrument is asked for that the network does not know."""
        for option, instruments in (("only", self.only), ("minus", self.minus)):
            if unknown := [name for name in instruments if name not in known]:
                raise ValueError(
                    f"{option}: {', '.join(unknown)} asked for; the network knows "
                    f"{', '.join(known)}"
                )
