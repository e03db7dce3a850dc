"""The benchmarks of data and of whole commands, each once at a tiny size."""

import json
import statistics

import pytest

from data_pipeline.corpora import slakh
from experiments.benchmarks import input_pipeline, long_song, prepare, startup
from experiments.benchmarks.child import ChildFailed
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run
from tests.tiny_slakh import FIVE, make_tree

PEER = """
import json, sys
assert "--instruments=piano,guitar,bass,drums,strings" in sys.argv
workers = int(sys.argv[-2].removeprefix("--workers="))
print(json.dumps({"cpu_per_s": 10.0, "wall_per_s": 10.0 + workers}))
"""


def rows_of(out) -> list[dict]:
    """The rows of a result, whose table lies beside it."""
    result = json.loads(out.read_text())
    assert out.with_suffix(".md").read_text().startswith(f"{result['benchmark']}: ")
    return result["rows"]


def test_loaders(tmp_path):
    out, peer = tmp_path / "figures.json", tmp_path / "peer.py"
    peer.write_text(PEER)
    assert input_pipeline.main(["--small", f"--peer={peer}", f"--out={out}"]) == 0
    rows = rows_of(out)
    assert [row["loader"] for row in rows[:3]] == [
        input_pipeline.PEER,
        input_pipeline.OURS,
        input_pipeline.MIXED,
    ]
    assert len(rows) == 6
    assert (rows[0]["one_core"], rows[0]["two_cores"]) == (10, 12)
    for row in rows[1:3]:
        assert row["one_core"] > 0 < row["two_cores"]
        assert row["times_peer"] == pytest.approx(row["per_cpu_second"] / 10)
        assert 0 < row["rss_anon_gb"] < 2


def _table(ours, peer):
    """Rows for CPU times per round on one core; two cores give 1.7 times the wall time of one."""
    runs = []
    for loader, rates in ((input_pipeline.OURS, ours), (input_pipeline.PEER, peer)):
        for rate in rates:
            run = {"loader": loader, "excerpt_seconds": 3.2, "rss_anon_gb": rate / 1e4}
            runs.append(run | {"cores": 1, "per_cpu_second": rate, "per_second": rate - 1})
            two = {"cores": 2, "per_cpu_second": rate / 2, "per_second": 1.7 * (rate - 1)}
            runs.append(run | two)
    return input_pipeline.summarise(runs)


def test_medians_ratios_and_best_rounds_of_loaders():
    peer, ours = _table([3000.0, 5000.0, 4000.0], [100.0, 160.0])
    assert (peer["loader"], ours["loader"]) == (input_pipeline.PEER, input_pipeline.OURS)
    assert ours["per_cpu_second"] == statistics.median([3000, 5000, 4000])
    assert (ours["one_core"], ours["two_cores"]) == (4999, pytest.approx(1.7 * 4999))
    assert ours["scaling"] == pytest.approx(1.7)
    assert ours["times_peer"] == pytest.approx(4000 / 130)
    assert ours["rss_anon_gb"] == 0.5
    (alone,) = _table([3000.0], [])
    assert alone["times_peer"] is None


def test_the_published_loader_is_left_out_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(input_pipeline, "_data", lambda *_, **__: (tmp_path, tmp_path))
    monkeypatch.setattr(input_pipeline, "answers", lambda *_, **__: iter(()))
    assert input_pipeline.main(["--small"]) == 0
    assert "left out: no file of it given (--peer=FILE)" in capsys.readouterr().out
    (tmp_path / "peer.py").write_text("import torch_of_nobody")
    assert input_pipeline.main(["--small", f"--peer={tmp_path / 'peer.py'}"]) == 0
    note = "published loader, failed: ModuleNotFoundError: No module named 'torch_of_nobody'"
    assert note in capsys.readouterr().out
    assert input_pipeline.main(["--peer=nowhere.py"]) == 1
    assert "peer: the file of the published loader expected" in capsys.readouterr().err


def test_preparing_tones(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "bass"), seconds=2, rate=44100)
    out = tmp_path / "figures.json"
    assert prepare.main([f"--root={tmp_path / 'raw'}", "--hours=0", f"--out={out}"]) == 0
    (row,) = rows_of(out)
    assert (row["sample_rate_hz"], row["tracks"]) == (44100, 2)
    assert row["seconds"] == pytest.approx(4.0)
    assert row["rate"] == pytest.approx(4.0 / (row["user"] + row["system"]))
    assert row["user"] > 0.2  # its own process and children alone import that much


def test_the_corpus_is_as_long_as_asked_and_all_of_it_is_usable(tmp_path):
    samples = tmp_path / "samples"
    make_tree(samples, {"train": 1}, stems=("piano", "bass"), seconds=2, rate=44100)
    corpus = prepare.make_corpus(samples, tmp_path / "raw", 119.0)
    assert corpus == {"tracks": 60, "seconds": pytest.approx(120.0)}
    tracks = slakh.scan(tmp_path / "raw")
    assert [track.split for track in tracks] == ["train"] * 60  # of Slakh's 49 is in none
    used = set()
    for track in tracks:
        assert sorted(stem.instrument for stem in track.stems) == sorted(FIVE)
        assert not track.skipped
        used |= {stem.audio_path.resolve() for stem in track.stems}
    assert used == set(samples.rglob("*.flac"))


def test_what_was_left_out_is_no_figure(tmp_path, monkeypatch):
    def run_module(name, *options):
        (tmp_path / "slakh2100" / "1.0.0").mkdir(parents=True)
        report = {"skipped": {"no audio": 1}, "num_tracks": {"train": 2}}
        (tmp_path / "slakh2100" / "1.0.0" / "report.json").write_text(json.dumps(report))

    monkeypatch.setattr(prepare, "run_module", run_module)
    with pytest.raises(ValueError, match=r"prepare left stems out: .*no audio"):
        prepare.cpu_times(tmp_path, tmp_path, 2)


def test_a_command_that_fails(tmp_path):
    message = r"data_pipeline.prepare failed, ended with code 1: error: --root=.*no such folder"
    with pytest.raises(ChildFailed, match=message):
        prepare.cpu_times(tmp_path / "no", tmp_path / "out", 2)


def test_a_tiny_start_compiles_once_and_then_nothing(tmp_path):
    out, root = tmp_path / "figures.json", prepare_data(tmp_path / "data")
    tiny = {
        "data.root": root,
        "instruments": ",".join(INSTRUMENTS),
        "data.num_validation_excerpts": 8,
        "excerpt_seconds": 1.0,
        "batch_size": 2,
        "model.layers": 1,
        "model.hidden": 16,
    }
    fields = [f"--config.{name}={value}" for name, value in tiny.items()]
    assert startup.main(["--rounds=1", f"--out={out}", *fields]) == 0
    cold, warm = rows_of(out)
    assert (cold["start"], warm["start"]) == ("cold", "warm")
    assert cold["compiled"] > 0 == warm["compiled"]
    assert min(cold["median"], warm["median"]) > 0


def test_a_start_that_fails_says_why(tmp_path):
    with pytest.raises(ChildFailed, match=r"experiments.run failed: error: .*no_such_field"):
        startup.first_step({"no_such_field": 1}, tmp_path)


def test_a_song_is_separated_by_the_command(tmp_path):
    workdir, out = tmp_path / "run", tmp_path / "figures.json"
    write_run(workdir, tiny_config(prepare_data(tmp_path / "data")))
    argv = [f"--workdir={workdir}", "--minutes=0.25", f"--out={out}"]
    assert long_song.main(argv) == 0
    (row,) = rows_of(out)
    assert row["times_real_time"] == pytest.approx(15 / row["seconds"])
    assert row["peak_mb"] > 100 and row["page_mb"] > 0 and row["notes"] >= 0


@pytest.mark.parametrize(
    ("module", "argv", "message"),
    [
        (prepare, [], "--root is missing: a raw tree of Slakh's shape"),
        (prepare, ["--root=/no"], "/no"),
        (startup, ["--rounds=0"], "--rounds=0"),
        (long_song, ["--workdir=/no"], "/no"),
    ],
)
def test_wrong_flags(module, argv, message, capsys):
    assert module.main(argv) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("module", [input_pipeline, long_song, prepare, startup])
def test_help(module, capsys):
    assert module.main(["--help"]) == 0
    assert module.__name__ in capsys.readouterr().out
