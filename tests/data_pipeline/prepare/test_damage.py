"""Damaged stems beside good ones, by the real command: left out with the reason, the rest kept."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import REPORT, prepared_folder
from data_pipeline.prepared.report import Report
from tests import ROOT
from tests.data_pipeline.io.broken_audio import with_flac_length
from tests.tiny_slakh import FIVE, make_track


def _stem_of(catalogue, name):
    t = catalogue.tables
    row = int(np.flatnonzero(t.stem_instruments == name)[0])
    return catalogue.pcm()[0][t.stem_pcm_start[row] :][: t.track_num_samples[0]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Piano with a cut FLAC, guitar with a cut MIDI file, bass in stereo, drums whose header says
    no length, strings whole."""
    root = tmp_path_factory.mktemp("damaged")
    track = root / "raw" / "train" / "Track00001"
    make_track(track, FIVE)
    for path in (track / "stems" / "S00.flac", track / "MIDI" / "S01.mid"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    bass, rate = soundfile.read(track / "stems" / "S02.flac", dtype="int16")
    stereo = np.stack([bass, np.zeros_like(bass)], axis=1)
    soundfile.write(track / "stems" / "S02.flac", stereo, rate, subtype="PCM_16")
    drums = track / "stems" / "S03.flac"
    drums.write_bytes(with_flac_length(drums.read_bytes(), 0))
    command = [sys.executable, "-m", "data_pipeline.prepare", "--corpus=slakh2100"]
    done = subprocess.run(
        [*command, f"--root={root / 'raw'}", f"--out={root / 'out'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, Catalogue.load(root / "out"), bass


def test_damaged_files_are_named_and_the_other_stems_kept(prepared):
    done, catalogue, _ = prepared
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = done.stdout + done.stderr
    assert "S00" in told and "S01" in told
    assert set(catalogue.tables.stem_instruments.tolist()) == {"bass", "drums", "strings"}


def test_what_is_doubtful_is_read_and_reported(prepared):
    done, catalogue, _ = prepared
    assert "S03.flac: its header says no length" in done.stderr
    assert "S03: its header says no length" in done.stdout
    report = Report.load(prepared_folder(catalogue.root / "slakh2100") / REPORT)
    assert [row[:2] for row in report.doubts] == [["Track00001", "S03"]]
    assert np.abs(_stem_of(catalogue, "drums")).max() > 100


def test_a_stereo_stem_is_the_mean_of_its_channels(prepared):
    _, catalogue, bass = prepared
    mono = _stem_of(catalogue, "bass").astype(int)
    assert np.abs(mono - bass[: len(mono)] / 2).max() <= 1
    assert np.abs(mono).max() > 100
