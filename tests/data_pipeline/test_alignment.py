"""Genuine Slakh stems: the audio sounds where the notes are, bass in the octave of its notes."""

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue


@pytest.fixture(params=["excerpts", "two minutes"])
def raw(request):
    """A tree of Slakh; only in the longer one would clocks of audio and notes run apart."""
    if request.param == "excerpts":
        return request.getfixturevalue("samples") / "slakh2100"
    return request.getfixturevalue("larger_samples") / "slakh_16k_120s"


def test_genuine_audio_sounds_where_its_notes_are(raw, tmp_path):
    """Energy at note frames against elsewhere, and which octave of the bass holds its energy."""
    prepare.prepare("slakh2100", raw, out=tmp_path, progress=False, num_workers=1)
    catalogue = Catalogue.load(tmp_path)
    t, (pcm,) = catalogue.tables, catalogue.pcm()
    octaves, louder = [], []
    for stem in range(len(t.stem_ids)):
        start, length = t.stem_pcm_start[stem], t.track_num_samples[t.stem_tracks[stem]]
        audio = pcm[start : start + length].astype(np.float64) / 32768
        frames = audio[: length // 256 * 256].reshape(-1, 256)
        power = np.mean(frames**2, axis=1)
        notes = catalogue.notes(stem)
        active = np.zeros(len(power), np.bool_)
        for onset, offset in notes.intervals:
            active[round(onset * 62.5) : max(round(offset * 62.5), round(onset * 62.5) + 1)] = True
        if active.mean() < 0.9:
            louder.append(power[active].mean() / power[~active].mean())
        if t.stem_instruments[stem] == "bass":
            octaves.append(_octave_energies(audio, notes))
    assert len(louder) >= 9 and len(octaves) >= 2
    assert min(louder) > 2.5  # releases and reverberation sound on
    assert np.median(louder) > 10
    for below, at in octaves:
        assert at > 2 * below


def _octave_energies(audio, notes):
    """Median energy at half the labelled frequency and at it, over long notes."""
    energies = []
    for (onset, offset), pitch in zip(notes.intervals, notes.pitches, strict=True):
        piece = audio[int(onset * 16000) : int(offset * 16000)]
        if len(piece) < 4000:
            continue
        hz = 440 * 2 ** ((int(pitch) - 69) / 12)
        phase = 2j * np.pi * np.arange(len(piece)) / 16000
        window = np.hanning(len(piece))
        energies.append([abs(np.sum(window * piece * np.exp(phase * f))) for f in (hz / 2, hz)])
    return np.median(np.array(energies), axis=0)
