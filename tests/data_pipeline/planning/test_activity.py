"""Where stems are active, against the RMS of the audio; draws are uniform over what there is."""

import numpy as np
import pytest

from data_pipeline.planning.activity import StartPositions, find_activity, usable_stems
from tests.tiny_slakh import tiny_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("activity"))


def _activity(catalogue, names, threshold_db):
    stems = [usable_stems(catalogue, name, "", "train") for name in names]
    return find_activity(catalogue, stems, num_samples=24000, threshold_db=threshold_db), stems


def test_start_positions_are_those_above_the_threshold(catalogue):
    t, (pcm,) = catalogue.tables, catalogue.pcm()
    activity, (stems,) = _activity(catalogue, ["guitar"], -22)
    flags = []
    for stem in stems:
        rows = activity.active[activity.active_start[stem] : activity.active_start[stem + 1]]
        audio = pcm[t.stem_pcm_start[stem] :][: 6 * 16000] / 32768.0
        windows = [
            audio[p * 1600 : p * 1600 + 24000] for p in range((6 * 16000 - 24000) // 1600 + 1)
        ]
        rms_db = np.array([10 * np.log10(np.mean(w**2)) for w in windows])
        assert len(rows) == len(rms_db)
        sure = np.abs(rms_db + 22) > 0.05  # the tables hold half precision
        np.testing.assert_array_equal(rows[sure], rms_db[sure] > -22)
        flags.extend(rows)
    assert 0 < np.mean(flags) < 1


def test_joint_positions_are_where_every_class_is_active(catalogue):
    activity, stems = _activity(catalogue, ["piano", "guitar"], -23)
    t = catalogue.tables
    for track in range(len(t.track_ids)):
        expected = np.ones(activity.num_starts[track], np.bool_)
        for of_slot in stems:
            of_track = of_slot[t.stem_tracks[of_slot] == track]
            pointers = [slice(*activity.active_start[s : s + 2]) for s in of_track]
            any_stem = np.zeros(len(expected), np.bool_)
            for rows in pointers:
                any_stem |= activity.active[rows]
            expected &= any_stem
        joint = activity.joint
        positions = joint.positions[joint.start[track] : joint.start[track + 1]]
        np.testing.assert_array_equal(positions, np.flatnonzero(expected))


def test_tracks_then_positions_are_uniform():
    starts = StartPositions(np.array([0, 2, 2, 5]), np.array([4, 7, 1, 2, 3]), np.array([0, 2]))
    rng = np.random.default_rng(0)
    track, position = starts.pick(rng.random(6000), rng.random(6000))
    counts = dict.fromkeys(((0, 4), (0, 7), (2, 1), (2, 2), (2, 3)), 0)
    for pair in zip(track.tolist(), position.tolist(), strict=True):
        counts[pair] += 1
    expected = [1500, 1500, 1000, 1000, 1000]
    np.testing.assert_allclose(list(counts.values()), expected, rtol=0.12)


def test_stems_are_chosen_among_the_active_ones(catalogue):
    activity, (stems,) = _activity(catalogue, ["piano"], -60)
    t = catalogue.tables
    of_first = stems[t.stem_tracks[stems] == t.stem_tracks[stems[0]]]
    assert len(of_first) == 2
    rng = np.random.default_rng(0)
    track = np.full(4000, t.stem_tracks[stems[0]])
    chosen = activity.choose(0, track, np.full(4000, 5), rng.random(4000))
    np.testing.assert_allclose([np.mean(chosen == stem) for stem in of_first], 0.5, atol=0.05)
    activity.active[activity.active_start[of_first[0]] + 5] = False
    assert set(activity.choose(0, track, np.full(4000, 5), rng.random(4000))) == {of_first[1]}


def test_other_splits_corpora_and_short_tracks(catalogue):
    assert len(usable_stems(catalogue, "piano", "", None)) == 12
    assert len(usable_stems(catalogue, "piano", "slakh2100", "train")) == 7
    assert not len(usable_stems(catalogue, "flute", "", None))
    short = [usable_stems(catalogue, "piano", "", "short")]
    activity = find_activity(catalogue, short, num_samples=24000, threshold_db=-60)
    assert not len(activity.joint.tracks)


def test_the_rest_is_all_that_has_no_slot_of_its_own(catalogue):
    t = catalogue.tables
    others = ("piano", "bass", "rest")
    expected = np.flatnonzero(~np.isin(t.stem_instruments, ["piano", "bass"]))
    found = usable_stems(catalogue, "rest", "", None, others)
    assert len(found) and np.array_equal(found, expected)
    everything = (*np.unique(t.stem_instruments).tolist(), "rest")
    assert not len(usable_stems(catalogue, "rest", "", None, everything))
