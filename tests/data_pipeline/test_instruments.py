"""The classes of instruments: one for every program, and all that is said of them fits together."""

import pytest

from data_pipeline.instruments import DRUM_PROGRAM, INSTRUMENTS, instrument_of


def test_every_program_is_of_one_class():
    for program in range(128):
        names = [name for name in INSTRUMENTS if program in INSTRUMENTS[name].programs]
        assert len(names) == 1, (program, names)
        assert instrument_of(program, is_drum=False) == names[0]
    assert instrument_of(0, is_drum=True) == instrument_of(DRUM_PROGRAM, is_drum=False) == "drums"
    assert instrument_of(200, is_drum=False) == ""


@pytest.mark.parametrize(
    ("program", "name"),
    [(46, "harp"), (47, "percussive"), (50, "strings"), (52, "choir"), (55, "percussive")],
)
def test_strings_without_what_is_none(program, name):
    assert instrument_of(program, is_drum=False) == name


def test_a_track_is_played_by_a_program_of_its_class():
    for name, instrument in INSTRUMENTS.items():
        assert 0 <= instrument.midi_program < 128
        if instrument.programs and not instrument.is_drum:
            assert instrument.midi_program in instrument.programs, name
        assert not instrument.is_drum or not instrument.may_be_shifted
