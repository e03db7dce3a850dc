"""Wide songs: repeatable, of many kinds, and played by sounds that the splits do not share."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from data_pipeline.minislakh import renderer
from data_pipeline.minislakh.composer import form
from data_pipeline.minislakh.dice import Dice, song_seed
from data_pipeline.minislakh.harmony import Key
from data_pipeline.minislakh.programs import INSTRUMENTS
from data_pipeline.minislakh.wide import (
    WIDE_VERSION,
    casting,
    composer,
    mixed_kit,
    palettes,
    styles,
)
from data_pipeline.minislakh.wide.composer import compose_wide, instrument_of_part
from data_pipeline.minislakh.wide.lineup import Player
from data_pipeline.minislakh.wide.midi_excerpt import midi_excerpt
from data_pipeline.minislakh.wide.palettes import (
    SEEN,
    TRAINING,
    UNSEEN,
    VALIDATION,
    palette_of,
)
from data_pipeline.minislakh.wide.sizes import LARGEST


@pytest.fixture(scope="module")
def songs():
    return [compose_wide(song_seed(0, "train", i), seconds=20.0, rest=0.3) for i in range(60)]


@pytest.fixture(scope="module")
def synths():
    return renderer.Renderer()


def test_a_seed_always_gives_the_same_song_and_the_version_counts():
    first, again = (compose_wide(1, seconds=20.0) for _ in range(2))
    assert first.parts == again.parts
    notes = np.concatenate([p.notes.pitches for p in first.parts]).astype(np.uint8)
    digest = hashlib.sha256(notes.tobytes()).hexdigest()[:16]
    assert (WIDE_VERSION, digest) == (6, "51fca81ab34cd834"), "raise WIDE_VERSION with every change"


def test_arrangements_are_of_many_kinds(songs):
    names = [[instrument_of_part(part) for part in song.parts] for song in songs]
    complete = np.mean([set(INSTRUMENTS) <= set(row) for row in names])
    assert 0.6 < complete < 0.9
    assert np.mean([len(set(row)) < len(row) for row in names]) > 0.2  # doubled
    assert 0.1 < np.mean(["rest" in row for row in names]) < 0.5
    assert {song.style for song in songs} > {"six_eight", "waltz", "swing"}
    silent = [_silent_share(part.notes, 20.0) for song in songs for part in song.parts]
    assert np.mean(np.array(silent) > 0.4) > 0.1


def _silent_share(notes, seconds):
    times = np.arange(0, seconds, 0.25)
    sounds = (notes.onsets[:, None] < times + 0.25) & (notes.offsets[:, None] > times)
    return 1 - sounds.any(axis=0).mean()


def test_notes_stay_inside_the_song_and_the_instrument(songs):
    for song in songs:
        for part in song.parts:
            low, high = composer.RANGES.get(instrument_of_part(part), (21, 108))
            notes = part.notes
            assert low <= notes.pitches.min() and notes.pitches.max() <= high
            assert notes.onsets.min() >= 0 and notes.offsets.max() <= song.seconds
            for pitch in np.unique(notes.pitches):
                same = notes.select(notes.pitches == pitch)
                assert (same.onsets[1:] >= same.offsets[:-1]).all()


def test_a_doubling_player_arranges_the_notes_that_its_leader_plays_and_not_its_arrangement():
    style = styles.draw_style(Dice(0))
    sections = form(Dice(1), style, Key(0, False), 120.0, 20.0)
    doubling = Player("strings", 1, follows=True)
    plain, other = (
        composer._play(Dice(2), style, sections, [leader, doubling])
        for leader in (Player("strings"), Player("strings", shift=-12, gate=0.5))
    )
    assert plain["strings 2"] == plain["strings"] != other["strings"]
    assert other["strings 2"] == plain["strings"]


def test_tempo_changes_in_a_part_of_the_songs():
    steady = 0
    for seed in range(60):
        clock = composer._clock(Dice(seed), 120.0, 4, 20.0)
        seconds = clock(np.arange(0.0, 40.0))
        assert (np.diff(seconds) > 0.3).all() and (np.diff(seconds) < 0.8).all()
        steady += np.allclose(np.diff(seconds), 0.5)
    assert 20 < steady < 50


def test_tables_of_styles_are_complete():
    for style in styles.STYLES:
        for (name, job), table in style.roles.items():
            assert job in styles.JOBS[name] and set(table) <= set(styles.ROLES[name])
    for name, jobs in styles.JOBS.items():
        assert all(set(table) <= set(styles.ROLES[name]) for table in jobs.values())
    drawn = [styles.draw_style(Dice(seed)) for seed in range(200)]
    assert len({style.grooves for style in drawn}) > 20
    assert 0.5 not in {style.swing for style in drawn if style.name == "swing"}


def test_splits_share_no_held_out_sound():
    palettes_ = (SEEN, VALIDATION, UNSEEN)
    for name in SEEN.programs:
        programs = [set(palette.programs[name]) for palette in palettes_]
        assert all(programs) and sum(map(len, programs)) == len(set.union(*programs))
    for field in ("reverbs", "drives"):
        kinds = [kind for palette in palettes_ for kind in getattr(palette, field)]
        assert len(kinds) == len(set(kinds)) >= 3
    assert palette_of("test", 30002) is palette_of("validation", 1) is SEEN
    training = palette_of("train", 1)
    assert training.other_sizes and training.layered and training.mixed_kits
    assert replace(training, other_sizes=0.0, layered=0.0, mixed_kits=0.0) == SEEN
    assert palette_of("validation", 2) is VALIDATION and palette_of("test_unseen", 1) is UNSEEN


class Fonts(renderer.Renderer):
    """Soundfonts of which some presets are slow or missing."""

    soundfonts = ("a.sf2", palettes.HELD_OUT_SOUNDFONTS[0])

    def __init__(self):
        self.sample_rate_hz = 16000

    def attack_seconds(self, soundfont, program, pitch):
        if (soundfont, program) == ("a.sf2", 40):
            return None
        return 0.3 if program == 49 else 0.01

    def heard_keys(self, soundfont, kit, keys):
        """Kit 8 lacks the crash and the ride."""
        return len(set(keys) - ({49, 51} if kit == 8 else set()))

    def draw_soundfont(self, part, dice, soundfonts):
        return f"kit {part.program} of {', '.join(soundfonts)}"


def _casts(songs, palette, name):
    found = Counter()
    for seed, song in enumerate(songs):
        names = [instrument_of_part(part) for part in song.parts]
        parts, voices = casting.cast(song.parts, names, palette, Fonts(), seed, has_effects=False)
        for part, voice, instrument in zip(parts, voices, names, strict=True):
            if instrument == name:
                length = np.median(part.notes.offsets - part.notes.onsets)
                found[part.program, voice.name, "long" if length > 0.6 else "short"] += 1
    return found


def test_a_part_is_cast_by_sounds_that_fit_it(songs):
    strings = _casts(songs, SEEN, "strings")
    assert {program for program, _, _ in strings} <= set(SEEN.programs["strings"]) - {40}
    assert {length for program, _, length in strings if program == 49} <= {"long"}
    assert {font for _, font, _ in strings} == {"a.sf2"}
    guitars = _casts(songs, SEEN, "guitar")
    assert {font for _, font, _ in guitars} == {"a.sf2", "plucked string"}
    unseen = _casts(songs[:40], UNSEEN, "guitar")
    assert {font for _, font, _ in unseen} == set(Fonts.soundfonts)
    assert {program for program, _, _ in unseen} == {27}


@pytest.mark.parametrize(
    ("palette", "has_effects", "is_varied"),
    [(TRAINING, True, True), (TRAINING, False, False), (SEEN, True, False)],
)
def test_training_alone_hears_mixed_kits_layers_and_other_sizes(
    songs, monkeypatch, palette, has_effects, is_varied
):
    drawn, kits, told = set(), set(), set()

    def played_in_size(*_, semitones, **__):
        drawn.add(semitones)
        return np.zeros(2000, np.float32)

    monkeypatch.setattr(casting, "played_in_size", played_in_size)
    for seed, song in enumerate(songs):
        names = [instrument_of_part(part) for part in song.parts]
        parts, voices = casting.cast(
            song.parts, names, palette, Fonts(), seed, has_effects=has_effects
        )
        for part, voice in zip(parts, voices, strict=True):
            if part.is_drum:
                kits.add(voice.name)
            if voice.name == "a.sf2":
                voice.play(part, 2000)
            told.add(voice.effects.split(" ")[0])
    assert kits == {"a.sf2", *([mixed_kit.NAME] if is_varied else ())}
    made = {"size", "with", "kits"}
    assert (told >= made) == is_varied == bool(told & made)
    assert drawn == (set(range(-LARGEST, LARGEST + 1)) if is_varied else {0})


def test_a_kit_without_a_key_of_the_part_does_not_play_it(songs):
    """Nor does it lend its piece to a mixed kit; what no kit has is played by any."""
    found = {True: Counter(), False: Counter()}
    for seed, song in enumerate(songs):
        (part,) = [part for part in song.parts if part.is_drum] or [None]
        if part is None:
            continue
        lacks = bool({49, 51}.intersection(part.notes.pitches))
        (played,), (voice,) = casting.cast([part], ["drums"], TRAINING, Fonts(), seed)
        if voice.name != mixed_kit.NAME:
            found[lacks][played.program] += 1
        elif lacks:
            cymbals = voice.effects.split(";")[0].split(", ")[4]
            assert not cymbals.startswith("a.sf2 8 ")
    assert found[True] and 8 not in found[True] and 8 in found[False]
    fonts = Fonts()
    fonts.heard_keys = lambda *_: 0
    drums = next(part for song in songs for part in song.parts if part.is_drum)
    _, (voice,) = casting.cast([drums], ["drums"], SEEN, fonts, 1)
    assert voice.name == "a.sf2"


@pytest.mark.parametrize(
    ("palette", "kit", "allowed"),
    [(SEEN, 0, Fonts.soundfonts[:1]), (UNSEEN, 24, Fonts.soundfonts)],
)
def test_a_missing_kit_is_the_standard_one_of_a_soundfont_that_may_play(palette, kit, allowed):
    fonts = Fonts()
    fonts.heard_keys = lambda *_: None
    song = compose_wide(3, seconds=4.0)
    part = next(part for part in song.parts if part.is_drum)
    _, (voice,) = casting.cast([part], ["drums"], palette, fonts, 1)
    assert voice.name == f"kit {kit} of {', '.join(allowed)}"


def test_effects_leave_onsets_where_they_are(songs, synths):
    """The slopes of the envelopes, with and without effects, agree best without a shift."""
    shifts = []
    for seed, song in enumerate(songs[:6]):
        names = [instrument_of_part(part) for part in song.parts]
        sounds = []
        for has_effects in (True, False):
            parts, voices = casting.cast(
                song.parts, names, SEEN, synths, seed, has_effects=has_effects
            )
            sounds.append([v.play(p, 96000) for p, v in zip(parts, voices, strict=True)])
        assert all(np.isfinite(sound).all() for sound in sounds[0])
        shifts += [_shift(wet, dry) for wet, dry in zip(*sounds, strict=True) if dry.any()]
    assert abs(np.median(shifts)) <= 1 and np.mean(np.abs(shifts) <= 2) > 0.85


def _shift(wet, dry):
    """Milliseconds by which the slopes of the level are later, at most 20."""
    slopes = []
    for sound in (wet, dry):
        power = np.square(sound.astype(np.float64)).reshape(-1, 16).mean(axis=1)
        level = np.log10(np.convolve(power, np.ones(3) / 3, "same") + 1e-5 * power.max())
        slopes.append(np.maximum(level[4:] - level[:-4], 0))
    lags = range(-20, 21)
    return lags[np.argmax([np.dot(np.roll(slopes[1], lag), slopes[0]) for lag in lags])]


def test_passages_of_midi_files(samples):
    file = min((samples / "freedoom_midi").glob("*.mid"), key=lambda path: path.stat().st_size)
    first, again = (midi_excerpt(file, seed=5, seconds=8.0, rest=1.0) for _ in range(2))
    assert first.parts == again.parts and first.seconds == 8.0
    assert {instrument_of_part(p) for p in first.parts} <= {*INSTRUMENTS, "rest"}
    assert len({p.name for p in first.parts}) == len(first.parts) > 1
    for part in first.parts:
        assert part.notes.onsets.min() >= 0 and part.notes.offsets.max() <= 8.0
    others = midi_excerpt(file, seed=5, seconds=8.0, rest=0.0)
    assert {instrument_of_part(p) for p in others.parts} <= set(INSTRUMENTS)
