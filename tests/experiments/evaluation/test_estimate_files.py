"""What another tool has written is scored, and what it has not is said."""

import os
import shutil

import mido
import numpy as np
import pytest
import soundfile

from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_audio, write_audio
from data_pipeline.io.midi import Part, read_midi, write_midi
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import grid_of
from experiments.evaluate import evaluate_files
from experiments.evaluation.estimate_files import EstimateFiles
from experiments.evaluation.excerpt_files import export_excerpts
from experiments.evaluation.result_table import results_table
from experiments.evaluation.scoring import METRICS, Estimate, Reference, score_item
from experiments.training import data
from tests.tiny_run import INSTRUMENTS, RATE, prepare_data, tiny_config, write_run

NOTE = Notes(np.array([[0.1, 0.2]]), np.array([60]), np.array([90]))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny_config(prepare_data(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def planner(config):
    return data.planner(config, "test")


@pytest.fixture(scope="module")
def exported(planner, tmp_path_factory):
    out = tmp_path_factory.mktemp("excerpts")
    export_excerpts(planner, out, count=2)
    return out / "references"


@pytest.fixture
def estimates(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "estimates")


def read(folder, planner):
    """The estimates, and the gaps."""
    files = EstimateFiles.find(folder, INSTRUMENTS, RATE, count=2)
    return files.read(list(read_excerpts(planner, 2))), files.gaps()


def test_a_complete_tool_has_no_gaps(estimates, planner):
    both, gaps = read(estimates, planner)
    assert gaps == []
    assert [estimate.absent for estimate in both] == [(), ()]


def test_a_tool_may_do_one_thing_only(estimates, planner):
    for folder in ("0000", "0001"):
        (estimates / folder / "transcription.mid").unlink()
    both, gaps = read(estimates, planner)
    assert both[1].notes is None
    assert gaps == [f"{name}: no notes in any excerpt, not scored." for name in INSTRUMENTS]


def test_a_missing_waveform_is_not_scored(estimates, planner, config):
    (estimates / "0001" / "piano.wav").unlink()
    (first, second), gaps = read(estimates, planner)
    assert (first.absent, second.absent) == ((), ("piano",))
    assert gaps == ["piano: no waveform, not scored (1 of 2 excerpts: 0001)."]
    excerpt = list(read_excerpts(planner, 2))[1]
    np.testing.assert_array_equal(second.sources[1], excerpt.sources[1])
    reference = Reference.of(excerpt, INSTRUMENTS)
    options = {"instruments": INSTRUMENTS, "grid": grid_of(config)}
    scores = score_item(second, reference, **options)
    whole = score_item(Estimate(excerpt.sources, second.notes), reference, **options)
    assert {scores["piano"][metric] for metric in METRICS[:4]} == {None}
    assert scores["piano"]["onset_f1"] == whole["piano"]["onset_f1"] == 1
    assert scores["drums"] == whole["drums"]


def test_a_missing_file_of_notes_is_not_scored(estimates, planner, config):
    (estimates / "0000" / "transcription.mid").unlink()
    both, gaps = read(estimates, planner)
    assert [sorted(estimate.notes) for estimate in both] == [[], ["drums", "piano"]]
    assert gaps == [f"{n}: no notes, not scored (1 of 2 excerpts: 0000)." for n in INSTRUMENTS]
    reference = Reference.of(next(read_excerpts(planner, 1)), INSTRUMENTS)
    scores = score_item(both[0], reference, instruments=INSTRUMENTS, grid=grid_of(config))
    assert {scores["piano"][metric] for metric in METRICS[4:]} == {None}


def test_an_instrument_without_a_track_in_any_excerpt_is_not_scored(estimates, planner):
    for folder in ("0000", "0001"):
        write_midi(estimates / folder / "transcription.mid", [Part("Piano", 0, False, NOTE)])
    both, gaps = read(estimates, planner)
    assert [sorted(estimate.notes) for estimate in both] == [["piano"], ["piano"]]
    assert gaps == ["drums: no notes in any excerpt, not scored."]
    silent = Part("Drum Kit", 0, True, Notes.empty())
    write_midi(estimates / "0001" / "transcription.mid", [silent])
    both, gaps = read(estimates, planner)
    assert [len(estimate.notes["drums"]) for estimate in both] == [0, 0]
    assert gaps == []


def test_a_tool_that_hears_nobody_is_scored(estimates, planner):
    for folder in ("0000", "0001"):
        write_midi(estimates / folder / "transcription.mid", [])
    both, gaps = read(estimates, planner)
    assert [len(estimate.notes[name]) for estimate in both for name in INSTRUMENTS] == [0] * 4
    assert gaps == []


def test_a_midi_file_per_instrument(estimates, planner):
    expected, _ = read(estimates, planner)
    for folder in ("0000", "0001"):
        file = estimates / folder / "transcription.mid"
        for part in read_midi(file):
            alone = Part("whoever", 81, part.is_drum, part.notes)
            write_midi(estimates / folder / f"{part.name}.mid", [alone])
        file.unlink()
    both, gaps = read(estimates, planner)
    assert gaps == []
    for estimate, same in zip(both, expected, strict=True):
        assert estimate.notes == same.notes
    write_midi(estimates / "0000" / "transcription.mid", [Part("piano", 0, False, NOTE)])
    assert read(estimates, planner)[0][0].notes == expected[0].notes


def test_flac_for_wav_and_of_both_wav(estimates, planner):
    expected, _ = read(estimates, planner)
    for name, is_alone in (("piano", True), ("drums", False)):
        wav = estimates / "0000" / f"{name}.wav"
        samples, _ = read_audio(wav)
        write_audio(
            wav.with_suffix(".flac"), samples * is_alone, sample_rate_hz=RATE, subtype="PCM_24"
        )
        if is_alone:
            wav.unlink()
    both, gaps = read(estimates, planner)
    np.testing.assert_allclose(both[0].sources, expected[0].sources, atol=2**-23)
    assert gaps == ["drums.flac: left aside (1 of 2 excerpts: 0000)."]


@pytest.mark.parametrize("difference", [-160, -1, 1, 160])
def test_a_few_samples_more_or_less(estimates, planner, difference):
    expected, _ = read(estimates, planner)
    wav = estimates / "0001" / "drums.wav"
    samples, _ = read_audio(wav)
    changed = np.pad(samples, ((0, 0), (0, max(difference, 0))), constant_values=0.5)
    write_audio(wav, changed[:, : 16000 + difference], sample_rate_hz=RATE, subtype="FLOAT")
    both, gaps = read(estimates, planner)
    same = 16000 + min(difference, 0)
    np.testing.assert_array_equal(both[1].sources[:, :same], expected[1].sources[:, :same])
    assert not both[1].sources[1, same:].any()
    done = f"cut by {difference}" if difference > 0 else f"padded by {-difference}"
    assert gaps == [f"drums.wav: {done} samples at its end (1 of 2 excerpts: 0001)."]


def test_other_kinds_of_audio_and_names_that_are_no_utf_8(estimates, planner):
    folder = estimates / "0000"
    samples, rate = soundfile.read(folder / "piano.wav", dtype="float32")
    soundfile.write(folder / "piano.oga", samples, rate, format="OGG")
    (folder / "piano.wav").unlink()
    (folder / "drums.m4a").write_bytes(b"....ftypM4A ")
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"")
    (first, _), gaps = read(estimates, planner)
    assert first.absent == ()
    decoded, _ = soundfile.read(folder / "piano.oga", dtype="float32")
    np.testing.assert_array_equal(first.sources[INSTRUMENTS.index("piano")], decoded)
    assert len(gaps) == 2 and gaps[0].startswith("caf\\udce9.wav: left aside (1 of 2")
    assert gaps[1].startswith("drums.m4a (not a kind of audio that libsndfile reads; convert it")


def test_further_instruments_are_left_aside(estimates, planner):
    expected, _ = read(estimates, planner)
    for folder in ("0000", "0001"):
        shutil.copy(estimates / folder / "piano.wav", estimates / folder / "organ.wav")
    file = estimates / "0000" / "transcription.mid"
    write_midi(file, [*read_midi(file), Part("Church", 19, False, NOTE)])
    both, gaps = read(estimates, planner)
    assert both[0].notes == expected[0].notes
    np.testing.assert_array_equal(both[0].sources, expected[0].sources)
    assert gaps == [
        "transcription.mid: part 'Church' (program 19) left aside (1 of 2 excerpts: 0000).",
        "organ.wav: left aside (2 of 2 excerpts: 0000, 0001).",
    ]


def test_a_part_of_nobody_is_refused_by_name(estimates, planner):
    file = mido.MidiFile()
    hit = [mido.Message(kind, time=240) for kind in ("note_on", "note_off")]
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name="Track 7"), *hit]))
    file.save(estimates / "0001" / "transcription.mid")
    with pytest.raises(ValueError, match=r"0001/transcription.mid: nothing tells who .*'Track 7'"):
        read(estimates, planner)


def test_gaps_stand_under_the_table(config, tmp_path):
    planner, count = data.test_excerpts(config, "test")
    export_excerpts(planner, tmp_path / "out", count=count)
    run, tool = write_run(tmp_path / "run", config), tmp_path / "out" / "references"
    whole = evaluate_files(run, tool)
    (tool / "0002" / "piano.wav").unlink()
    for folder in tool.glob("*/"):
        (folder / "drums.wav").unlink()
    scores = evaluate_files(run, tool)
    assert whole["mean"]["si_sdr"] == scores["mean"]["si_sdr"] == 100
    assert scores["per_instrument"]["drums"]["si_sdr"] is None
    assert scores["per_instrument"]["drums"]["onset_f1"] == 1
    counts = [
        [results["num_items_per_instrument"][name]["si_sdr"] for name in INSTRUMENTS]
        for results in (whole, scores)
    ]
    assert counts[1] == [counts[0][0] - 1, 0]
    assert scores["gaps"] == [
        "drums: no waveform in any excerpt, not scored.",
        "piano: no waveform, not scored (1 of 3 excerpts: 0002).",
    ]
    for gap in scores["gaps"]:
        assert gap in results_table(scores) and gap in (tool / "results.md").read_text()
