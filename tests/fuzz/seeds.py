"""The inputs that fuzzing begins with: cuts of the genuine samples, and what our writers write."""

import functools
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tests import ROOT

SAMPLES = ROOT / "tests" / "data"


def audio() -> list[bytes]:
    import soundfile

    rng = np.random.default_rng(0)
    wave = rng.uniform(-0.1, 0.1, (400, 2)).astype(np.float32)
    encoded = [
        bytes_of(soundfile.write, wave, 8000, format=kind) for kind in ("WAV", "FLAC", "OGG")
    ]
    others = ("AIFF", "AU", "W64", "RF64", "CAF", "SVX", "VOC", "MP3", "WAVEX", "NIST")
    for kind in others:
        channels = wave[:, 0] if kind == "SVX" else wave
        encoded.append(bytes_of(soundfile.write, channels, 8000, format=kind))
    wav, flac, ogg = encoded[:3]
    streamed = wav[:40] + b"\0\0\0\0" + wav[44:]
    unsized = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    mp3 = encoded[3 + others.index("MP3")]
    return [*encoded, streamed, unsized, wav + wav, flac + flac, ogg + ogg, mp3 + mp3, mp3[200:]]


def bytes_of(write, *args, **kwargs) -> bytes:
    """What a function writes into the file that is its first argument."""
    file = io.BytesIO()
    write(file, *args, **kwargs)
    return file.getvalue()


def midi() -> list[bytes]:
    from cerberus_jax.notes import Notes
    from data_pipeline.io.midi import Part, write_midi

    intervals = np.array([[0, 1], [0.5, 2], [0.7, 1]])
    notes = Notes(intervals, np.array([60, 62, 62]), np.array([80, 90, 100]))
    parts = [Part("Electric Piano", 4, False, notes), Part("drums", 0, True, notes)]
    plain = written("song.mid", lambda path: write_midi(path, parts))
    riff = b"RIFF" + (len(plain) + 12).to_bytes(4, "little") + b"RMIDdata"
    riff += len(plain).to_bytes(4, "little") + plain
    pedal = bytes.fromhex("00b04000 00b0407f 0090403c 6080403c 30b04000 00b07b00 00ff2f00")
    controls = b"MThd\0\0\0\x06\0\0\0\1\0\x60MTrk" + len(pedal).to_bytes(4) + pedal
    gs = bytes.fromhex("00f00a41104212401115020cf7 00c005 00903c40 60903c00 00ff2f00")
    kits = b"MThd\0\0\0\x06\0\1\0\1\0\x60MTrk" + len(gs).to_bytes(4) + gs
    return [plain, riff, controls, kits]


def written(name: str, write) -> bytes:
    """The bytes of the file that a function writes to the path that it is called with."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path.read_bytes()


def jams() -> list[bytes]:
    note = {"time": 1.5, "duration": 0.5, "value": 60.2, "confidence": None}
    other = {"namespace": "tempo", "data": [note]}
    short = {"annotations": [{"namespace": "note_midi", "data": [note, note]}, other]}
    (genuine,) = (SAMPLES / "guitarset" / "annotation").iterdir()
    return [json.dumps(short).encode(), genuine.read_bytes()]


def maps() -> list[bytes]:
    return [b"OnsetTime\tOffsetTime\tMidiPitch\r\n0.500004\t1.24205\t67\r\n\r\n1\t2e0\t21\n"]


def maestro() -> list[bytes]:
    head = "canonical_composer,split,year,midi_filename,audio_filename,duration\n"
    row = '"Bach, J.",train,2004,2004/a.midi,2004/a.wav,12.5\n'
    return [(head + row).encode(), b"\xef\xbb\xbf" + (head + row).replace("\n", "\r\n").encode()]


def slakh() -> list[bytes]:
    stem = "{inst_class: Piano, is_drum: false, program_num: 0}"
    short = f"UUID: 1a\nstems:\n  S00: {stem}\n  S01: {{is_drum: 'True', program_num: 128}}\n"
    own = f"renderer: minislakh\nstems: &stems\n  S00: {stem}\n  S02: *stems\n"
    genuine = SAMPLES / "slakh2100" / "train" / "Track00001" / "metadata.yaml"
    return [short.encode(), own.encode(), genuine.read_bytes()]


def names() -> list[bytes]:
    songs = b"train/Song One/vocals.wav\ntest/Song/other.flac\nSong/electric guitar.wav"
    return [
        songs,
        b"AkPnBcht/MUS/MAPS_MUS-alb_AkPnBcht.wav\nAkPnBcht/MUS/MAPS_MUS-alb_AkPnBcht.txt",
        b"annotation/00_BN1_comp.jams\nmic/00_BN1_comp_mic.wav\ntrain/a.stem.mp4",
    ]


def archive() -> list[bytes]:
    packed = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("corpus/a.txt", b"a" * 100)
            archive.writestr("corpus/b/c.txt", b"c")
        packed.append(file.getvalue())
    for mode in ("w", "w:gz", "w:xz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            member = tarfile.TarInfo("corpus/a.txt")
            member.size = 100
            archive.addfile(member, io.BytesIO(b"a" * 100))
        packed.append(file.getvalue())
    return packed


def converted_track() -> dict:
    """A converted track as `read_converted` gives it."""
    stem = {"id": "S00", "instrument": "piano", "program": 0, "is_drum": False, "labelled": True}
    meta = {"id": "Track1", "split": "train", "num_samples": 64, "sample_rate_hz": 16000}
    meta |= {"skipped": [["S01", "no audio file"]], "unreadable": [], "doubts": []}
    meta |= {"notes_out_of_range": 0, "corrections": {}, "stems": [stem]}
    return {
        "meta": meta,
        "rms_db": np.zeros((1, 0), np.float16),
        "note_stems": np.zeros(1, np.int16),
        "intervals": np.array([[0.0, 0.002]]),
        "pitches": np.array([60], np.int16),
        "velocities": np.array([80], np.int16),
        "pcm": np.zeros((1, 64), np.int16),
    }


def arrays() -> list[bytes]:
    from data_pipeline.prepared.pack import tables_of

    track = converted_track()
    tables = vars(tables_of([track]))
    former = {"rms_hop": "cell", "rms_start": "level_start", "rms_db": "levels"}
    first = {former.get(name, name): array for name, array in tables.items()}
    kept = {**tables, "records": np.array("00000000")}
    weights = {"cerberus.shared_body.lstm.bias_ih_l0": np.ones((2, 3), np.float32)}
    arrays = [track | {"meta": np.array(json.dumps(track["meta"]))}, kept, first, weights]
    return [bytes_of(np.savez, **each) for each in arrays] + [
        bytes_of(np.savez_compressed, **weights)
    ]


@functools.cache
def prepared_folder() -> Path:
    """OUT/tiny/2.0.0 of one prepared track, kept as long as the process runs."""
    from data_pipeline.prepared.pack import records_of
    from data_pipeline.prepared.records import write_records

    return write_records(records_of([converted_track()]), "tiny", _kept_folder())


def records() -> list[bytes]:
    suffixes = ("dataset_info.json", "features.json", "00001")
    files = sorted(prepared_folder().iterdir())
    return [file.read_bytes() for file in files if file.name.endswith(suffixes)]


def lists() -> list[bytes]:
    from data_pipeline.planning.excerpt_list import ExcerptList, Source
    from data_pipeline.prepared.report import make_report

    source = Source("tiny", "Track1", "S00", 0, 1.0, -20.0, 1, 60.0)
    excerpts = ExcerptList("2.0.0", "test", ("piano",), 16000, 32, ((source,),))
    report = make_report("tiny", [converted_track()], "0123abcd")
    settings = {"num_songs": 3, "seed": 0, "soundfont": "a.sf2"}
    return [
        written("excerpts.json", excerpts.save),
        json.dumps(asdict(report)).encode(),
        json.dumps(settings).encode(),
    ]


def config() -> list[bytes]:
    from experiments.config.loading import load_config, to_json

    present = to_json(load_config("sets/set1.py")).encode()
    return [present, b'{"fingerprints": {"tiny": "0123abcd"}}', b'{"loss": {"clips_per_turn": 4}}']


def overrides() -> list[bytes]:
    return [
        b"--config.loss.transcription=0.7\0--config.instruments=piano,bass\0--workdir=runs/a",
        b"--config.batch_size\0" + b"8\0-config.audio.window=2048\0--config.seed=3",
    ]


def results() -> list[bytes]:
    from experiments.evaluation.result_table import TEST_SPLIT

    names = [
        f"{kind}_{part}"
        for kind in ("frame", "onset", "onset_offset")
        for part in ("precision", "recall", "f1")
    ]
    scores = dict.fromkeys([*names, "si_sdr", "si_sir", "si_sar", "si_sdr_improvement"], 0.5)
    ends = {name: [0.4, 0.6] for name in scores}
    block = {"per_instrument": {"piano": scores}, "mean": scores}
    whole = {
        "instruments": ["piano"],
        "split": TEST_SPLIT,
        "step": 3,
        "num_items": 1,
        "excerpt_seconds": 2.0,
        **block,
        "interval_95": {"per_instrument": {"piano": ends}, "mean": ends},
        "baselines": {"mixture": block},
        "splits": {"test_unseen": {"num_items": 1, "baselines": {}, **block}},
        "items": [{"id": "a", "metrics": {"piano": scores}}],
        "decoding": {"tuned": False},
        "gaps": ["piano: no waveform"],
    }
    return [json.dumps(whole).encode()]


def metrics() -> list[bytes]:
    lines = [
        {"step": 50, "loss": 0.5, "time": 1.0},
        {"step": 100, "loss": 0.4, "validation_loss": 0.6, "off_schedule": ["validation_loss"]},
    ]
    return ["\n".join(map(json.dumps, lines)).encode() + b"\n", b'{"step": 1, "loss": 2.0}\n{"st']


@functools.cache
def run_folder() -> Path:
    """The directory of an untrained run, kept as long as the process runs."""
    from tests.tiny_run import tiny_config, write_run

    return write_run(_kept_folder() / "run", tiny_config("data"))


def metadata() -> list[bytes]:
    from cerberus_jax.architecture import metadata_of
    from cerberus_jax.decoding import DecodingConfig
    from cerberus_jax.frames import FrameGrid
    from cerberus_jax.model import Cerberus

    decoding = {"piano": asdict(DecodingConfig())}
    model = Cerberus(FrameGrid(), instruments=("piano",), layers=1, hidden=4)
    return [json.dumps(values).encode() for values in (metadata_of(model, decoding), decoding)]


def parameters() -> list[bytes]:
    from tests.fuzz.readers import parameters as readers_of_parameters

    source = run_folder()
    names = [name.partition("/")[2] for name in readers_of_parameters()]
    return [(source / name).read_bytes() for name in names]


def safetensors() -> list[bytes]:
    header = {
        "__metadata__": {"format": "pt"},
        "cerberus.bias": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "step": {"dtype": "I64", "shape": [], "data_offsets": [16, 24]},
    }
    text = json.dumps(header).encode()
    return [len(text).to_bytes(8, "little") + text + bytes(24)]


def _kept_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="fuzz-seeds-")
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
