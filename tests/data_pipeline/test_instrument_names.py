"""What names of tracks tell, and what they do not."""

import pytest

from data_pipeline.instrument_names import instrument_named
from data_pipeline.instruments import INSTRUMENTS, instrument_of
from data_pipeline.minislakh.programs import PROGRAM_NAMES


@pytest.mark.parametrize(
    ("instrument", "names"),
    [
        (
            "piano",
            "Piano, PIANO 1, Acoustic Grand Piano, E-Piano, Rhodes, Piano (left hand), Grand_Piano",
        ),
        ("guitar", "Lead Guitar, gtr 2, Acoustic Guitar (steel strings), RhythmGuitar, Guitars"),
        ("bass", "Electric Bass, Bass, BASS, Synth Bass 2, Bass Guitar, String Bass, Slap Bass"),
        ("drums", "Drum Kit, Drums, DrumKit, Bass Drum, percussion, Drums & Percussion, Hi-Hat"),
        ("strings", "String Ensemble, Strings, Violin I, 2 Cellos, Synth Strings"),
        ("reed", "Bass Clarinet, English Horn, Alto Sax"),
        ("organ", "Hammond Organ, Piano Accordion"),
        ("percussive", "Steel Drums, timpani"),
        ("synth_lead", "Lead 8 (bass + lead)|synth_lead"),
        ("chromatic_percussion", "chromatic_percussion"),
        ("rest", "rest"),
        ("", "Track|Bassoonist|Guitarra|Piano, Strings|Drum and Bass|Lead||Rest of it|Tom Sawyer"),
    ],
)  # fmt: skip
def test_whole_words_tell(instrument, names):
    for name in names.split("|") if "|" in names else names.split(", "):
        assert instrument_named(name) == instrument, name


def test_names_of_classes_and_of_programs_are_theirs():
    for name in INSTRUMENTS:
        assert instrument_named(name) == instrument_named(name.upper()) == name
    for program, name in enumerate(PROGRAM_NAMES):
        assert instrument_named(name) == instrument_of(program, is_drum=False), name
