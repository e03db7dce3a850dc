"""The songs of MiniSlakh: repeatable, varied, playable, as dense as real ones."""

import hashlib
import math
from collections import Counter

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.minislakh import bass, chords, composer, programs, rhythm, roles, statistics
from data_pipeline.minislakh.composer import compose
from data_pipeline.minislakh.dice import Dice, song_seed
from data_pipeline.minislakh.drums import GROOVES
from data_pipeline.minislakh.harmony import (
    KEY_NAMES,
    PROGRESSIONS,
    Key,
    chord,
    progression,
    voicing,
)
from data_pipeline.minislakh.styles import STYLES

RANGES = {
    "piano": (21, 108),
    "guitar": (39, 90),
    "bass": (28, 52),
    "drums": (35, 81),
    "strings": (36, 103),
}


@pytest.fixture(scope="module")
def songs():
    return [compose(song_seed(0, "train", index), seconds=20.0) for index in range(300)]


def test_a_seed_always_gives_the_same_song():
    first = compose(11, seconds=10.0)
    compose(12, seconds=30.0)
    again = compose(11, seconds=10)
    assert first.parts == again.parts
    assert (first.bpm, first.style, first.key) == (again.bpm, again.style, again.key)
    assert compose(12, seconds=10.0).parts != first.parts


def test_songs_change_only_with_the_version():
    pitches = np.concatenate([p.notes.pitches for p in compose(1, seconds=20.0).parts])
    digest = hashlib.sha256(pitches.astype(np.uint8).tobytes()).hexdigest()[:16]
    assert composer.VERSION == 1 and digest == "31fe176258f93838", "raise VERSION with every change"


def test_splits_and_indices_have_their_own_seeds():
    seeds = {
        song_seed(seed, split, index)
        for seed in range(3)
        for split in ("train", "validation", "test", "test_unseen")
        for index in range(50)
    }
    assert len(seeds) == 600


def test_every_style_and_key_is_reached(songs):
    assert len(STYLES) >= 8
    assert {song.style for song in songs} == {style.name for style in STYLES}
    assert {song.key for song in songs} == {
        f"{name} {mode}" for name in KEY_NAMES for mode in ("major", "minor")
    }
    tempi = [song.bpm for song in songs]
    assert min(tempi) < 66 and max(tempi) > 172 and min(tempi) >= 60 and max(tempi) <= 180


def test_programs_of_training_and_of_unseen_sounds_are_disjoint(songs):
    for index, name in enumerate(programs.INSTRUMENTS):
        heard = {song.parts[index].program for song in songs}
        unseen = {compose(s, seconds=2.0, unseen=True).parts[index].program for s in range(20)}
        assert heard == set(programs.PROGRAMS[name][:-1])
        assert unseen == {programs.PROGRAMS[name][-1]}
        assert len(programs.PROGRAMS[name]) >= (3 if name == "drums" else 5)


def test_unseen_sounds_change_the_programs_alone():
    """But where strings are plucked, which then play roles of their own."""
    num_compared = 0
    for seed in range(6):
        seen, unseen = compose(seed, seconds=8.0), compose(seed, seconds=8.0, unseen=True)
        assert (seen.bpm, seen.style, seen.key) == (unseen.bpm, unseen.style, unseen.key)
        pairs = list(zip(seen.parts, unseen.parts, strict=True))
        assert all(heard.program != other.program for heard, other in pairs)
        if seen.parts[-1].program != programs.PIZZICATO:
            assert all(heard.notes == other.notes for heard, other in pairs)
            num_compared += 1
    assert num_compared > 2


def test_notes_stay_inside_the_song_and_the_instrument(songs):
    for song in songs:
        for part in song.parts:
            low, high = RANGES[part.name]
            notes = part.notes
            assert len(notes) and low <= notes.pitches.min() and notes.pitches.max() <= high
            assert notes.onsets.min() >= 0 and notes.offsets.max() <= song.seconds


def test_a_pitch_does_not_sound_twice_at_once(songs):
    for part in songs[3].parts + songs[4].parts:
        for pitch in np.unique(part.notes.pitches):
            of_pitch = part.notes.select(part.notes.pitches == pitch)
            assert (of_pitch.onsets[1:] >= of_pitch.offsets[:-1]).all()


def _sounds(notes, start, end):
    return ((notes.onsets < end) & (notes.offsets > start)).any()


def test_all_instruments_play_in_most_windows(songs):
    active = []
    for song in songs[:60]:
        for start in np.arange(0.0, 18.5, 1.5):
            active.append(all(_sounds(part.notes, start, start + 2.0) for part in song.parts))
    assert np.mean(active) >= 0.8


def test_dynamics_and_human_timing(songs):
    velocities = np.concatenate([p.notes.velocities for song in songs[:20] for p in song.parts])
    assert np.quantile(velocities, 0.05) < 52 and np.quantile(velocities, 0.95) > 95
    song = next(s for s in songs if s.style == "rock")
    beats = song.parts[3].notes.onsets * song.bpm / 60 * 4
    off_grid = np.abs(beats - np.rint(beats)) / (song.bpm / 60 * 4)
    assert 0.0005 < off_grid.mean() < 0.015


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_seconds_must_be_positive(seconds):
    with pytest.raises(ValueError, match="seconds must be positive and finite"):
        compose(1, seconds=seconds)


def test_instruments_swap_jobs(songs):
    assert {cast[0] for cast in roles.CASTS} == {"piano", "guitar", "strings"}
    polyphony = [statistics.figures(song.parts[1].notes).polyphony for song in songs]
    assert np.mean(np.array(polyphony) < 1.1) > 0.15  # lead guitar
    assert np.mean(np.array(polyphony) > 2) > 0.15  # comping guitar


def test_tables_of_styles_are_complete():
    for style in STYLES:
        size = 4 * style.beats
        for groove in style.grooves:
            assert {len(pattern) for pattern in GROOVES[groove].values()} == {size}
        for kind in style.bass:
            assert kind == "walking" or any(len(p) == size for p in bass.PATTERNS[kind])
        assert style.family in PROGRESSIONS
        for (name, job), table in style.roles.items():
            assert job in roles.JOBS[name] and set(table) <= set(roles.ROLES[name])
    for name, jobs in roles.JOBS.items():
        for table in jobs.values():
            assert set(table) <= set(roles.ROLES[name])
    assert set(roles.PLUCKED) | set(roles.PLUCKED.values()) <= set(roles.ROLES["strings"])


def test_every_groove_pattern_and_role_is_well_formed():
    for patterns in (*chords.BLOCKS, *chords.STABS, *chords.STRUMS):
        assert set(patterns) <= set("Xxo._") and len(patterns) in (12, 16)
    for groove in GROOVES.values():
        assert all(rhythm.hits(pattern) for pattern in groove.values())
    assert all(bass.parse(p) for patterns in bass.PATTERNS.values() for p in patterns)


def test_chords_of_numerals():
    c_major, a_minor = Key(0, False), Key(9, True)
    assert chord("V7", c_major).tones == (7, 11, 2, 5)
    assert chord("ii7", c_major).tones == (2, 5, 9, 0)
    assert chord("bVI", a_minor).tones == (5, 9, 0)
    assert chord("iiø", a_minor).tones == (11, 2, 5, 9)
    assert chord("iv", c_major).tones == (5, 8, 0)
    assert chord("i5", a_minor).tones == (9, 4)
    assert 9 not in chord("iv", c_major).scale and 8 in chord("iv", c_major).scale
    assert str(a_minor) == "A minor"
    with pytest.raises(ValueError, match="expected a Roman numeral"):
        chord("H7", c_major)


def test_every_progression_is_readable_in_every_key():
    for major, minor in PROGRESSIONS.values():
        for tonic in range(12):
            for text in major:
                assert all(progression(text, Key(tonic, False)))
            for text in minor:
                assert all(progression(text, Key(tonic, True)))


def test_voices_move_little():
    moves = []
    for tonic in range(12):
        previous = ()
        for bar in progression("I vi IV V I iii ii V", Key(tonic, False)):
            pitches = voicing(bar[0].tones, previous, 52, 74, 3)
            assert {p % 12 for p in pitches} == set(bar[0].tones)
            assert min(pitches) >= 52 and max(pitches) <= 74
            if previous:
                moves += [abs(a - b) for a, b in zip(pitches, previous, strict=True)]
            previous = pitches
    assert np.mean(moves) < 2.2


def test_voicing_without_room_reaches_above():
    assert voicing((0, 7), (), 60, 64, 4) == (60, 67, 72, 79)


def test_swing_delays_the_second_half_of_a_beat():
    swing = next(style for style in STYLES if style.name == "swing")
    rock = next(style for style in STYLES if style.name == "rock")
    beats = np.array([0.0, 0.25, 0.5, 1.0, 1.5])
    assert np.allclose(composer._swung(beats, rock), beats)
    moved = composer._swung(beats, swing)
    assert np.allclose(moved[[0, 3]], [0.0, 1.0])
    assert np.allclose(moved[[2, 4]], [swing.swing, 1 + swing.swing])


@pytest.mark.parametrize(("is_drum", "shortest"), [(True, 0.01), (False, 0.04)])
def test_only_hits_of_drums_are_shorter_than_40_ms(is_drum, shortest):
    events = [(beat, 0.02, 60, 1.0) for beat in range(8)]
    rock = next(style for style in STYLES if style.name == "rock")
    notes = composer.perform(events, Dice(0), rock, lambda b: b / 2, 9.0, is_drum=is_drum)
    np.testing.assert_allclose(notes.offsets - notes.onsets, shortest, atol=1e-9)


def test_dice_are_uniform_and_independent():
    dice = Dice(3)
    counts = Counter(dice.integer(1, 6) for _ in range(6000))
    assert set(counts) == set(range(1, 7)) and min(counts.values()) > 800
    heavy = Counter(dice.pick("ab", (3, 1)) for _ in range(4000))
    assert 0.7 < heavy["a"] / 4000 < 0.8
    assert Dice(3, "x").uniform() != Dice(3, "y").uniform()
    assert sorted(dice.shuffled(range(9))) == list(range(9))


def test_figures_agree_with_counting_frames():
    rng = np.random.default_rng(0)
    onsets = np.sort(rng.uniform(0, 9, 40)).round(3)
    notes = Notes(
        np.stack([onsets, onsets + rng.uniform(0.1, 1, 40).round(3)], axis=1),
        rng.integers(40, 80, 40),
        np.full(40, 90),
    )
    times = np.arange(0.0005, 11, 0.001)
    sounding = ((notes.onsets[:, None] <= times) & (times < notes.offsets[:, None])).sum(axis=0)
    found = statistics.figures(notes)
    assert found.polyphony == pytest.approx(sounding[sounding > 0].mean(), rel=1e-3)
    assert found.notes_per_second == len(notes) / len(set(times[sounding > 0].astype(int)))
    with pytest.raises(ValueError, match="at least one note"):
        statistics.figures(Notes.empty())


def test_songs_are_as_dense_as_slakh(samples, songs):
    theirs = statistics.slakh_figures(samples / "slakh2100")
    ours = {name: [] for name in programs.INSTRUMENTS}
    for song in songs[:200]:
        for part in song.parts:
            ours[part.name].append(statistics.figures(part.notes))
    for name, genuine in theirs.items():
        mine, real = statistics.medians(ours[name]), statistics.medians(genuine)
        for figure in statistics.FIGURES:
            assert 0.5 <= mine[figure] / real[figure] <= 2, (name, figure)
        assert min(f.pitch for f in ours[name]) <= min(f.pitch for f in genuine), name
        assert max(f.pitch for f in ours[name]) >= max(f.pitch for f in genuine), name
    assert "strings" in statistics.table(ours, theirs)


def test_statistics_of_a_folder_without_stems(tmp_path):
    with pytest.raises(ValueError, match="holds no stem"):
        statistics.slakh_figures(tmp_path)
