"""What the benchmarks of data compute, against a second computation."""

import statistics

import mir_eval
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.prepared.catalogue import Catalogue
from experiments.benchmarks import input_pipeline
from experiments.studies import ceiling, genuine_stems
from tests.tiny_slakh import random_notes, tiny_catalogue

GRID = FrameGrid()
RATE = GRID.sample_rate_hz


def _notes(*rows):
    """Notes of (onset, offset, pitch)."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Notes(table[:, :2], table[:, 2].astype(int), np.full(len(table), 80))


def _frames(notes):
    """Pitch, first and end frame of each note."""
    for (onset, offset), pitch in zip(notes.intervals, notes.pitches.tolist(), strict=True):
        first = round(onset * GRID.frame_rate_hz)
        yield pitch, first, max(first + 1, round(offset * GRID.frame_rate_hz))


def _cells(runs):
    return {(pitch, frame) for pitch, first, end in runs for frame in range(first, end)}


def _runs(notes, num_frames):
    """The notes of a roll, frame by frame and key by key: {(pitch, first frame, end frame)}."""
    held, onsets = _cells(_frames(notes)), {note[:2] for note in _frames(notes)}
    runs, open_since = set(), {}
    for pitch in range(21, 109):
        for frame in range(num_frames + 1):
            # A struck key is a new note unless it was struck in the frame before too.
            struck = (pitch, frame) in onsets and (pitch, frame - 1) not in onsets
            if pitch in open_since and (struck or (pitch, frame) not in held):
                # A pause of one frame cannot be told from the frame cleared before a repeat.
                pause = (pitch, frame) not in held and (pitch, frame + 1) in onsets
                runs.add((pitch, open_since.pop(pitch), frame + pause))
            if (pitch, frame) in held:
                open_since.setdefault(pitch, frame)
    return runs


def _f1(runs, notes, offset_ratio):
    rows = np.array(sorted(runs, key=lambda run: run[1]), np.float64)
    return mir_eval.transcription.precision_recall_f1_overlap(
        *(notes.intervals, mir_eval.util.midi_to_hz(notes.pitches)),
        *(rows[:, 1:] / GRID.frame_rate_hz, mir_eval.util.midi_to_hz(rows[:, 0])),
        offset_ratio=offset_ratio,
    )[2]


def test_scores_of_rolls():
    trill = [(4.0 + 0.004 * k, 4.002 + 0.004 * k, 60) for k in range(12)]
    repeats = [(5.0 + 0.1 * k, 5.1 + 0.1 * k, 62) for k in range(5)]
    for number in range(3):
        plain = random_notes(np.random.default_rng(number), 64, 4.0)
        rows = [
            (*times, pitch) for times, pitch in zip(plain.intervals, plain.pitches, strict=True)
        ]
        notes = _notes(*rows, *trill, *repeats)
        runs = _runs(notes, GRID.num_frames(6 * RATE))
        scores = ceiling.roll_scores(notes, GRID, 6 * RATE, "piano")
        back, held = _cells(runs), _cells(_frames(notes))
        assert scores["frame_f1"] == pytest.approx(2 * len(back & held) / (len(back) + len(held)))
        assert scores["onset_f1"] == pytest.approx(_f1(runs, notes, None))
        assert scores["onset_offset_f1"] == pytest.approx(_f1(runs, notes, 0.2))
        assert scores["onset_f1"] < 0.95  # the trill is too fast for frames
    assert ceiling.roll_scores(notes, GRID, 6 * RATE, "drums")["onset_offset_f1"] is None


def test_energy_where_notes_are():
    num_frames, held = 100, [10, 11, 12, 40]
    source = np.full(num_frames * GRID.hop + 77, 0.05)
    for frame in held:
        source[frame * GRID.hop : (frame + 1) * GRID.hop] = 0.5
    second = 1 / GRID.frame_rate_hz
    notes = _notes((10 * second, 13 * second, 60), (40 * second, 41 * second, 30))
    assert ceiling.energy_ratio_db(source, notes, GRID) == pytest.approx(20.0)
    moved = Notes(notes.intervals + second, notes.pitches, notes.velocities)  # two frames sound
    inside, outside = (2 * 0.5**2 + 2 * 0.05**2) / 4, (2 * 0.5**2 + 94 * 0.05**2) / 96
    wanted = 10 * np.log10(inside / outside)
    assert ceiling.energy_ratio_db(source, moved, GRID) == pytest.approx(wanted, abs=1e-6)
    for all_or_none in (_notes((0.0, 99.0, 60)), Notes.empty()):
        assert np.isnan(ceiling.energy_ratio_db(source, all_or_none, GRID))


@pytest.mark.parametrize(
    ("pitches", "share"), [((69,), 0.8), ((76,), 0.2), ((57, 88), 1.0), ((60,), 0.0)]
)
def test_energy_at_the_pitch_classes_of_the_notes(pitches, share):
    """A4 and E5, half as loud: by their amplitudes."""
    time = np.arange(4 * RATE) / RATE
    source = np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 659.255 * time)
    notes = _notes(*((0.0, 4.0, pitch) for pitch in pitches))
    assert ceiling.chroma_share(source, notes, GRID) == pytest.approx(share, abs=0.001)


def test_energy_at_pitch_classes_goes_by_time_and_silence_tells_nothing():
    time = np.arange(8 * RATE) / RATE
    source = np.sin(2 * np.pi * 440 * time)
    half = _notes((0.0, 4.0, 69))
    assert ceiling.chroma_share(source, half, GRID) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(ceiling.chroma_share(np.zeros(RATE), half, GRID))


def test_clicks_are_found_where_results_jump():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(2, 4000)), 1), 1)
    one, other = smooth, smooth + np.array([[50.0], [5.0]])
    borders, near = np.array([1000, 3000]), 40
    measured = genuine_stems.click_measures(
        one, other, borders, other_borders=np.array([2000]), near=near
    )
    for row, found in enumerate(measured):
        at = [n for n in range(4000) if min(abs(n - 1000), abs(n - 3000)) <= near]
        rest = [n for n in range(4000) if n not in at and abs(n - 2000) > near]
        for places, name in ((at, "near"), (rest, "elsewhere")):
            error = sum((one[row, n] - other[row, n]) ** 2 for n in places)
            level = 10 * np.log10(error / sum(one[row, n] ** 2 for n in places))
            assert found[f"difference_{name}_db"] == pytest.approx(level)
        jumps = [*one[row, :1000], *other[row, 1000:3000], *one[row, 3000:]]
        usual = sorted(_bend(one[row], n) for n in rest)
        usual = np.interp(0.999 * (len(usual) - 1), range(len(usual)), usual)
        for kind, signal in zip(genuine_stems.KINDS, (one[row], other[row], jumps), strict=True):
            roughness = max(_bend(signal, n) for n in at) / usual
            assert found[f"roughness{kind}"] == pytest.approx(roughness)
            clicks = [
                max(_bend(signal, n) for n in range(b - 2, b + 3))
                / statistics.median(_bend(signal, n) for n in range(b - near, b + near))
                for b in borders.tolist()
            ]
            assert found[f"click{kind}"] == pytest.approx(max(clicks))
    assert measured[0]["click_with_jumps"] > 5 * measured[0]["click"]


def _bend(signal, n):
    """The second difference; the ends go on as they are."""
    before, after = signal[max(n - 1, 0)], signal[min(n + 1, len(signal) - 1)]
    return abs(before - 2 * signal[n] + after)


def test_the_whole_song(tmp_path):
    catalogue = tiny_catalogue(tmp_path)
    found = genuine_stems.whole_song(catalogue, ("guitar", "bass"))
    folder = tmp_path / "raw/validation/Track01501"
    guitars = [folder / f"stems/{key}.flac" for key in ("S01", "S05")]
    wanted = sum(read_mono_pcm16(path, RATE) / 32768 for path in guitars)
    np.testing.assert_allclose(found.sources[0], wanted, atol=1e-6)
    t = catalogue.tables
    of_track = t.track_ids[t.stem_tracks] == "Track01501"
    stems = {key: int(np.flatnonzero(of_track & (t.stem_ids == key))[0]) for key in t.stem_ids[:7]}
    ones = [catalogue.notes(stems[key]) for key in ("S01", "S05")]
    onsets = sorted(onset for notes in ones for onset in notes.onsets.tolist())
    assert found.notes["guitar"].onsets.tolist() == onsets
    assert len(found.notes["bass"]) == len(catalogue.notes(stems["S02"]))
    missing = Catalogue.load(tmp_path / "out")
    missing.tables.track_ids[:] = "Track00001"
    with pytest.raises(ValueError, match="--root: validation/Track01501 expected"):
        genuine_stems.whole_song(missing, ("bass",))


def _run(loader, seconds, cores, cpu, wall):
    names = ("loader", "seconds", "cores", "per_cpu_second", "per_second")
    return dict(zip(names, (loader, seconds, cores, cpu, wall), strict=True))


def _table(ours, peer):
    """Rows for CPU times per round on one core; two cores give 1.7 times the wall time of one."""
    runs = []
    for loader, rates in ((input_pipeline.OURS, ours), (input_pipeline.PEER, peer)):
        for rate in rates:
            runs.append(_run(loader, 3.2, 1, rate, rate - 1))
            runs.append(_run(loader, 3.2, 2, rate / 2, 1.7 * (rate - 1)))
    return input_pipeline.summarise(runs)


def test_medians_ratios_and_best_rounds_of_loaders():
    ours, peer = _table([3000.0, 5000.0, 4000.0], [100.0, 160.0])
    assert (ours["loader"], peer["loader"]) == (input_pipeline.OURS, input_pipeline.PEER)
    assert ours["per_cpu_second"] == statistics.median([3000, 5000, 4000])
    assert (ours["lowest"], ours["highest"]) == (3000, 5000)
    assert (ours["one_core"], ours["two_cores"]) == (4999, pytest.approx(1.7 * 4999))
    assert ours["scaling"] == pytest.approx(1.7)
    assert ours["ratio"] == pytest.approx(4000 / 130)
    (alone,) = _table([3000.0], [])
    assert alone["ratio"] is None


@pytest.mark.parametrize(
    ("rate", "memory", "verdicts"), [(4000.0, 0.9, "ok"), (400.0, 1.1, "MISS")]
)
def test_aims_are_beside_what_was_reached(rate, memory, verdicts):
    figures = {"cpu": "CPU", "cores": 2, "python": "3.11", "tree_gb": 2.5}
    figures |= {"memory": {"file_gb": 60.0, "rss_anon_gb": memory}}
    text = input_pipeline.markdown(figures | {"table": _table([rate], [100.0])})
    row = next(line for line in text.splitlines() if line.startswith("| 3.2 s | int16"))
    assert f"| {rate:.0f} ({rate:.0f}-{rate:.0f}) | {rate / 100:.1f} |" in row
    aims = [line for line in text.splitlines() if line.startswith("* ")]
    of_rate = next(line for line in aims if "times the peer" in line)
    assert of_rate.startswith(f"* {verdicts}: ")
    assert f"{rate / 100:.2f} (at least 15)" in of_rate
    assert next(line for line in aims if "RssAnon" in line).startswith(f"* {verdicts}: ")
