"""The drummer of a wide song: which keys a groove becomes, and what is struck beside it."""

from collections import Counter

import pytest

from data_pipeline.minislakh import drums
from data_pipeline.minislakh.composer import form
from data_pipeline.minislakh.dice import Dice, song_seed
from data_pipeline.minislakh.harmony import Key
from data_pipeline.minislakh.wide.composer import compose_wide
from data_pipeline.minislakh.wide.kit import CRASHES, FIGURES, FOOT, PERCUSSION, TOMS, Kit
from data_pipeline.minislakh.wide.styles import STYLES

PLAIN = {drum: drum for drum in (drums.KICK, drums.SNARE, drums.HAT, drums.RIDE)}


@pytest.fixture(scope="module")
def section():
    style = next(style for style in STYLES if style.beats == 4)
    return form(Dice(1), style, Key(0, False), 120.0, 8.0)[0]


def test_every_stroke_stays_and_takes_the_key_of_this_kit(section):
    kit = Kit(PLAIN | {drums.SNARE: 40, drums.HIGH_TOM: 48}, (57, 52), 0.0, ())
    written = [
        (0.0, 0.01, drums.KICK, 1.0),
        (1.0, 0.01, drums.SNARE, 0.5),
        (2.0, 0.01, drums.HIGH_TOM, 0.7),
        (3.0, 0.01, drums.RIM, 0.7),
    ]
    played = kit.play(written, section, Dice(0))
    assert [event[2] for event in played] == [drums.KICK, 40, 48, drums.RIM]
    assert [(b, n, v) for b, n, _, v in played] == [(b, n, v) for b, n, _, v in written]


def test_crashes_take_turns(section):
    written = [(float(beat), 0.01, drums.CRASH, 1.0) for beat in range(6)]
    keys = [event[2] for event in Kit(PLAIN, (57, 52), 0.0, ()).play(written, section, Dice(0))]
    assert keys in ([57, 52] * 3, [52, 57] * 3)


def test_some_strokes_on_the_hat_are_open(section):
    written = [(beat / 4, 0.01, drums.HAT, 1.0) for beat in range(400)]
    played = Kit(PLAIN, (49, 49), 0.2, ()).play(written, section, Dice(0))
    count = Counter(key for _, _, key, _ in played)
    assert set(count) == {drums.HAT, drums.OPEN_HAT} and 40 < count[drums.OPEN_HAT] < 120


def test_what_is_added_is_struck_in_every_bar_by_keys_that_take_turns(section):
    kit = Kit(PLAIN, (49, 49), 0.0, (((62, 63, 64), "x..x..x...x.x..."),))
    played = kit.play([], section, Dice(0))
    assert len(played) == 5 * len(section.bars)
    assert [key for _, _, key, _ in played[:5]] == [62, 63, 64, 62, 63]
    assert [beat - section.bars[0].start for beat, *_ in played[:5]] == [0, 0.75, 1.5, 2.5, 3]


def test_a_drum_is_struck_once_at_a_time(section):
    kit = Kit(PLAIN, (49, 49), 0.0, (((drums.PEDAL,), FOOT[16]),))
    written = [(section.bars[0].start + 1.0, 0.01, drums.PEDAL, 1.0)]
    played = [event for event in kit.play(written, section, Dice(0)) if event[0] < 2]
    assert len(played) == 1 and played[0][3] == 1.0


@pytest.mark.parametrize("beats", [3, 4])
def test_kits_are_of_many_kinds_and_fit_the_bar(beats):
    kits = [Kit.draw(Dice(seed), beats) for seed in range(200)]
    assert {len(pattern) for kit in kits for _, pattern in kit.added} == {4 * beats}
    assert {key for kit in kits for key in kit.crashes} == set(CRASHES)
    assert {kit.keys[drums.SNARE] for kit in kits} == {38, 40}
    assert 0.2 < sum(bool(kit.added) for kit in kits) / 200 < 0.7
    assert {len(figure) for figure in FIGURES} == {12, 16} == set(FOOT)


def test_songs_have_all_keys_of_a_drum_set():
    songs = [compose_wide(song_seed(0, "train", i), seconds=20.0) for i in range(120)]
    parts = [part for song in songs for part in song.parts if part.is_drum]
    keys = {int(pitch) for part in parts for pitch in part.notes.pitches}
    wanted = {35, 36, 37, 38, 39, 40, 42, 44, 46, 49, 51, 52, 53, 55, 57, 59}
    assert wanted | {tom for toms in TOMS for tom in toms} <= keys
    assert len(keys & {key for group in PERCUSSION for key in group}) > 12
