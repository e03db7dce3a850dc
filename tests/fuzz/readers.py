"""The calls that a target makes, each by the name of the file that holds the fuzzer's bytes.

A function whose attribute `named` is set is refused by that name instead of its file's: a
checkpoint by its folder, an option of the command line by nothing.
"""

import re
import shutil
from pathlib import Path

from tests.fuzz.judge import Reader
from tests.fuzz.seeds import metadata as metadata_seeds
from tests.fuzz.seeds import midi as midi_seeds


def audio() -> dict[str, Reader]:
    from data_pipeline.io.audio import read_audio
    from data_pipeline.io.audio_decoding import estimated_length
    from data_pipeline.io.audio_stream import audio_info, read_blocks

    def in_blocks(path: Path) -> None:
        length = audio_info(path).num_samples
        read = sum(block.shape[1] for block in read_blocks(path, block_seconds=0.01))
        if read != length:
            raise AssertionError(f"{length} samples by audio_info, {read} by read_blocks")

    return {"whole.wav": read_audio, "blocks.wav": in_blocks, "length.wav": estimated_length}


def midi() -> dict[str, Reader]:
    from data_pipeline.io.midi import read_midi, read_notes
    from experiments.songs.notes import by_instrument, who_plays

    def pedalled(path: Path) -> None:
        parts = read_midi(path, sustain_pedal=True)
        by_instrument(parts, ("piano", "drums"))
        for part in parts:
            who_plays(part)

    return {"notes.mid": read_notes, "pedal.mid": pedalled}


def jams() -> dict[str, Reader]:
    from data_pipeline.corpora.guitarset import read_jams

    return {"song.jams": read_jams}


def maps() -> dict[str, Reader]:
    from data_pipeline.corpora.maps import read_text

    return {"song.txt": read_text}


def maestro() -> dict[str, Reader]:
    from data_pipeline.corpora.maestro import scan

    return {"maestro-v3.0.0.csv": lambda path: scan(path.parent)}


def slakh() -> dict[str, Reader]:
    from data_pipeline.corpora import slakh
    from data_pipeline.minislakh.statistics import slakh_figures
    from data_pipeline.prepared.fingerprint import fingerprint_of

    def scanned(path: Path) -> None:
        for key in ("S00", "S01"):
            for name in (f"stems/{key}.wav", f"MIDI/{key}.mid"):
                (path.parent / name).parent.mkdir(exist_ok=True)
                (path.parent / name).touch()
        fingerprint_of(slakh.scan(path.parent.parent, corpus="slakh2100"), 16000)

    song = midi_seeds()[0]

    def figures(path: Path) -> None:
        (path.parent / "MIDI").mkdir(exist_ok=True)
        (path.parent / "MIDI" / "S00.mid").write_bytes(song)
        slakh_figures(path.parent)

    figures.named = ""  # or the folder, where it holds no stem
    return {"train/Track00001/metadata.yaml": scanned, "one/metadata.yaml": figures}


def names() -> dict[str, Reader]:
    from data_pipeline.corpora import guitarset, maps, musdb

    def scanned(path: Path) -> None:
        root = path.parent / "tree"
        shutil.rmtree(root, ignore_errors=True)
        for name in path.read_bytes().split(b"\n")[:8]:
            parts = [part for part in re.split(rb"[/\0]+", name) if part not in (b"", b".", b"..")]
            if not parts:
                continue
            file = root.joinpath(*(part[:200].decode("utf-8", "surrogateescape") for part in parts))
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
            except OSError:  # no name for a file
                continue
        if not root.is_dir():
            return
        for scan in (musdb.scan, maps.scan, guitarset.scan):
            try:
                scan(root)
            except ValueError as error:
                if "tree" not in str(error):
                    raise

    scanned.named = ""
    return {"names": scanned}


def archive() -> dict[str, Reader]:
    from data_pipeline.corpora.archive import unpack

    def unpacked(path: Path) -> None:
        target = path.parent / "unpacked"
        try:
            unpack(path, target, progress=False)
        finally:
            shutil.rmtree(target, ignore_errors=True)

    return {"corpus.zip": unpacked}


def arrays() -> dict[str, Reader]:
    from data_pipeline.prepared.convert import read_converted
    from data_pipeline.prepared.tables_cache import kept_tables
    from data_pipeline.prepared.version_1 import read_tables
    from experiments.import_torch import read_state_dict

    return {
        "track.npz": lambda path: read_converted(path, with_pcm=True),
        "kept.npz": lambda path: kept_tables(path, "00000000"),
        "catalogue.npz": read_tables,
        "weights.npz": read_state_dict,
    }


def records() -> dict[str, Reader]:
    from data_pipeline.prepared.tables_cache import load_tables
    from tests.fuzz.seeds import prepared_folder

    source = prepared_folder()

    def reader_of(name: str) -> Reader:
        def read(path: Path) -> None:
            for file in source.iterdir():
                if file.name != path.name and not (path.parent / file.name).exists():
                    shutil.copy(file, path.parent / file.name)
            (path.parent / "catalogue.npz").unlink(missing_ok=True)
            load_tables(path.parent)

        read.named = "2.0.0"
        return read

    record = next(file.name for file in source.iterdir() if "array_record" in file.name)
    names = ("dataset_info.json", "features.json", record)
    return {f"{number}/tiny/2.0.0/{name}": reader_of(name) for number, name in enumerate(names)}


def lists() -> dict[str, Reader]:
    from data_pipeline.minislakh.tree import found_settings
    from data_pipeline.planning.excerpt_list import ExcerptList
    from data_pipeline.prepared.report import Report

    return {
        "excerpts.json": ExcerptList.load,
        "report.json": lambda path: Report.load(path).text(),
        "minislakh.json": found_settings,
    }


def config() -> dict[str, Reader]:
    from experiments.config.loading import load_config, load_run_config
    from experiments.config.resume import check_resume, saved_fingerprints

    present = load_config("sets/set1.py")

    def resumed(path: Path) -> None:
        check_resume(present, path.parent)

    resumed.named = ""  # the run's directory where its config is another
    return {
        "run/config.json": lambda path: load_run_config(path.parent),
        "resumed/config.json": resumed,
        "run/data.json": lambda path: saved_fingerprints(path.parent),
    }


def overrides() -> dict[str, Reader]:
    from experiments.config.command_line import split_overrides
    from experiments.config.loading import load_config

    def parsed(path: Path) -> None:
        argv = path.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        fields, _ = split_overrides(argv)
        load_config("sets/set1.py", fields)

    parsed.named = ""
    return {"arguments": parsed}


def results() -> dict[str, Reader]:
    from experiments.evaluation.report_excerpts import choose
    from experiments.evaluation.result_table import read_results
    from experiments.pages.scores import scores_html

    def shown(path: Path) -> None:
        found = read_results(path)
        scores_html(found)
        if found.get("items"):
            choose(found, 2)

    return {"results.json": shown}


def metrics() -> dict[str, Reader]:
    from experiments.pages.curves import curves
    from experiments.training.metric_log import MetricLog, read_metrics

    def resumed(path: Path) -> None:
        MetricLog(path.parent, start_step=100).close()

    return {
        "run/metrics.jsonl": lambda path: curves(read_metrics(path.parent)),
        "resumed/metrics.jsonl": resumed,
    }


def metadata() -> dict[str, Reader]:
    from cerberus_jax.checkpoint import read_network

    def network(path: Path) -> None:
        read_network(path.parents[1])

    seed, _ = metadata_seeds()

    def decoding(path: Path) -> None:
        (path.parent / "metadata").mkdir(exist_ok=True)
        (path.parent / "metadata" / "metadata").write_bytes(seed)
        read_network(path.parent)

    network.named = decoding.named = "best"
    return {"1/best/metadata/metadata": network, "2/best/decoding.json": decoding}


def parameters() -> dict[str, Reader]:
    from cerberus_jax.checkpoint import restore_model
    from tests.fuzz.seeds import run_folder

    source = run_folder() / "checkpoints"
    stored = [path for path in sorted(source.glob("best/*/params/**/*")) if path.is_file()]
    kept = ("manifest.ocdbt", "d")
    stored = [path for path in stored if path.relative_to(source).parts[3] in kept]

    def reader_of(original: Path) -> Reader:
        def read(path: Path) -> None:
            home = path.parents[len(original.relative_to(source).parts) - 1]
            if not (home / "copied").exists():
                shutil.copytree(source, home, dirs_exist_ok=True, ignore=_only(original.name))
                (home / "copied").touch()
            restore_model(home.parent)

        read.named = "best"
        return read

    return {
        f"{number}/checkpoints/{path.relative_to(source)}": reader_of(path)
        for number, path in enumerate(stored)
    }


def _only(name: str):
    return lambda folder, names: [other for other in names if other == name and "params" in folder]


def safetensors() -> dict[str, Reader]:
    from experiments.import_torch import read_state_dict

    return {"weights.safetensors": read_state_dict}
