"""Drum kits that are not on channel 10, and channel 10 that is none."""

import mido
import pytest

from data_pipeline.io.midi import read_midi
from data_pipeline.io.midi_channels import Channels
from tests.data_pipeline.io.test_midi_notes import control, off, on, save

GS_RESET = [0x41, 0x10, 0x42, 0x12, 0x40, 0x00, 0x7F, 0x00, 0x41]


def program(number, channel=0, time=0):
    return mido.Message("program_change", program=number, channel=channel, time=time)


def sysex(*data):
    return mido.Message("sysex", data=data)


def gs_rhythm(block, value):
    return sysex(0x41, 0x10, 0x42, 0x12, 0x40, 0x10 | block, 0x15, value, 0x00)


def note(channel=0):
    return [on(40, channel=channel), off(40, 1, channel=channel)]


def drums(path, *tracks):
    return [part.is_drum for part in read_midi(save(path, *tracks))]


@pytest.mark.parametrize(
    ("setting", "channel", "is_drum"),
    [
        ([control(0, 120), program(0)], 0, True),
        ([control(0, 120, channel=3), program(8, 3)], 3, True),
        ([control(0, 120)], 0, True),  # never followed by a program
        ([control(0, 127), control(32, 0), program(0)], 0, True),
        ([control(0, 126), program(0)], 0, True),
        ([control(0, 0), program(0)], 0, False),
        ([control(0, 121), program(0)], 0, False),
        ([program(0), control(0, 120)], 0, False),  # waits for the next program
        ([control(0, 121, channel=9), program(0, 9)], 9, False),
        ([control(0, 0, channel=9), program(0, 9)], 9, True),
        ([sysex(*GS_RESET), control(0, 127), program(0)], 0, False),  # a sound of the MT-32
        ([gs_rhythm(1, 1)], 0, True),
        ([gs_rhythm(9, 2)], 8, True),
        ([gs_rhythm(0xA, 1)], 10, True),
        ([gs_rhythm(0xF, 1), program(40, 15)], 15, True),
        ([gs_rhythm(1, 1)], 1, False),
        ([gs_rhythm(0, 0)], 9, False),
        ([gs_rhythm(1, 1), gs_rhythm(1, 0)], 0, False),
        ([sysex(0x43, 0x10, 0x4C, 0x08, 0x02, 0x07, 0x02)], 2, True),
        ([sysex(0x43, 0x10, 0x4C, 0x08, 0x09, 0x07, 0x00)], 9, False),
        ([sysex(0x43, 0x10)], 9, True),
    ],
)
def test_who_is_a_drum_kit(tmp_path, setting, channel, is_drum):
    assert drums(tmp_path / "x.mid", [*setting, *note(channel)]) == [is_drum]
    assert drums(tmp_path / "x.mid", setting, note(channel)) == [is_drum]


def test_a_kit_is_of_its_own_track_and_time(tmp_path):
    kit = [control(0, 120), program(0), *note(), control(0, 121), program(33), *note()]
    path = tmp_path / "x.mid"
    tracks = [kit, [program(25), *note()]]
    parts = read_midi(save(path, *tracks))
    assert [(part.program, part.is_drum) for part in parts] == [(0, True), (33, False), (25, False)]
    assert [part.shares_track for part in parts] == [True, True, False]


def test_a_channel_of_which_nothing_is_said():
    assert Channels().voice(0, 0, 3) == (0, False, False)
    assert Channels().voice(0, 0, 9) == (0, True, False)
