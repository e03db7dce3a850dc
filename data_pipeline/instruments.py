"""The classes of instruments: the one place that lists them.

A source of a mixture is of one class. The first five are the paper's; the others are the remaining
families of General MIDI, as Slakh has them, and two that no program plays. To add a class, add a
line to `INSTRUMENTS`.
"""

from collections.abc import Collection
from dataclasses import dataclass

REST = "rest"
DRUM_PROGRAM = 128  # what Slakh's metadata give for a drum kit


@dataclass(frozen=True)
class Instrument:
    """A class of instruments.

    Args:
        programs: its General MIDI programs (from 0); a program is of one class at most.
        midi_program: the program that plays its track in the MIDI files that are written.
        colours: on a light and on a dark ground.
        is_drum: its notes are hits on a drum kit: MIDI channel 10, keys that name its pieces.
        is_transcribed: it has notes to be found, and so a roll of its own.
        has_offsets: the ends of its notes mean something, and are scored.
        may_be_shifted: resampling it to another pitch gives a sound of the same class.
    """

    programs: frozenset[int]
    midi_program: int
    colours: tuple[str, str]
    is_drum: bool = False
    is_transcribed: bool = True
    has_offsets: bool = True
    may_be_shifted: bool = True


def _programs(*ranges: tuple[int, int]) -> frozenset[int]:
    return frozenset(program for first, last in ranges for program in range(first, last + 1))


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(_programs((0, 7)), 0, ("#2f6fb3", "#58c4ff")),
    "guitar": Instrument(_programs((24, 31)), 25, ("#c2611a", "#ffb454")),
    "bass": Instrument(_programs((32, 39)), 33, ("#23805a", "#7ee787")),
    "drums": Instrument(
        frozenset([DRUM_PROGRAM]),
        0,
        ("#b3325f", "#ff6b9a"),
        is_drum=True,
        has_offsets=False,
        may_be_shifted=False,
    ),
    # Without harp, timpani, choir and orchestra hit, which General MIDI counts among the strings.
    "strings": Instrument(_programs((40, 45), (48, 51)), 48, ("#7b52ab", "#c9a7ff")),
    "chromatic_percussion": Instrument(_programs((8, 15)), 11, ("#8a7a12", "#d3c04a")),
    "organ": Instrument(_programs((16, 23)), 19, ("#8c4a2f", "#d99a7c")),
    "harp": Instrument(_programs((46, 46)), 46, ("#4f7a1f", "#a9cf6a")),
    "choir": Instrument(_programs((52, 54)), 52, ("#a04668", "#e59ab5")),
    "brass": Instrument(_programs((56, 63)), 61, ("#9a6a00", "#e8b84a")),
    "reed": Instrument(_programs((64, 71)), 66, ("#2c7a7b", "#6cc9c9")),
    "pipe": Instrument(_programs((72, 79)), 73, ("#3f6f8f", "#8fc1df")),
    "synth_lead": Instrument(_programs((80, 87)), 81, ("#5a5fb8", "#a3a8ff")),
    "synth_pad": Instrument(_programs((88, 95)), 89, ("#6f6f8f", "#b9b9dd")),
    "synth_effects": Instrument(_programs((96, 103)), 99, ("#7a5c8a", "#c7a8d8")),
    "ethnic": Instrument(_programs((104, 111)), 104, ("#a0522d", "#e0a27c")),
    "percussive": Instrument(_programs((47, 47), (55, 55), (112, 119)), 47, ("#66707a", "#a3adb7")),
    "sound_effects": Instrument(
        _programs((120, 127)), 122, ("#5c6670", "#8f99a3"), is_transcribed=False
    ),
    "vocals": Instrument(frozenset(), 53, ("#b3431f", "#f0875f"), is_transcribed=False),
    # All that is none of the set's other instruments; MUSDB18 calls it "other".
    REST: Instrument(frozenset(), 0, ("#66707a", "#a3adb7"), is_transcribed=False),
}


def instrument_of(program: int, *, is_drum: bool) -> str:
    """The class of a General MIDI program (from 0), '' for none."""
    if is_drum:
        program = DRUM_PROGRAM
    return next((name for name in INSTRUMENTS if program in INSTRUMENTS[name].programs), "")


def takes(slot: str, instrument: str, slots: Collection[str]) -> bool:
    """Whether a stem of a class may fill a slot: one of its own class, and `rest` all that is of no
    other slot."""
    return instrument == slot or (slot == REST and instrument not in slots)
