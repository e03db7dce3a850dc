"""A corpus is added by its file and an entry of the registry, without a change anywhere else."""

import ast
from dataclasses import replace

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.cli.flags import CommandFlags
from data_pipeline.corpora import download
from data_pipeline.corpora.corpus import Corpus
from data_pipeline.corpora.flags import add_option_flags, options_of_flags
from data_pipeline.corpora.guess import guess_corpus
from data_pipeline.corpora.registry import CORPORA, DEFAULT_CORPUS
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared.catalogue import Catalogue
from tests import ROOT
from tests.data_pipeline.corpora import toy


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setitem(CORPORA, "toy", toy.TOY)
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(3):
        tone = np.full(8000 * (number + 1), 0.25)
        write_audio(folder / f"song{number}.wav", tone, sample_rate_hz=16000)
        (folder / f"song{number}.notes").write_text(f"0.1 0.3 {60 + number}\n0.3 0.4 72\n")
    return folder


def test_a_new_corpus_goes_through_the_pool_of_processes(raw, tmp_path):
    report = prepare.prepare("toy", raw, out=tmp_path / "out", num_workers=2, progress=False)
    assert report.num_tracks == {"train": 3}
    catalogue = Catalogue.load(tmp_path / "out")
    assert catalogue.corpora == ("toy",)
    for stem in range(3):
        assert catalogue.notes(stem).pitches.tolist() == [60 + stem, 72]
    assert catalogue.tables.track_num_samples.tolist() == [8000, 16000, 24000]


def test_the_command_line_knows_it_and_its_options(raw, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [f"--root={raw}", f"--out={out}", "--num_workers=1"]
    assert prepare.main(["--corpus=toy", "--toy_split=test", *flags]) == 0
    assert Catalogue.load(out).splits == ["test"]
    assert prepare.main(["--corpus=guitarset", "--toy_split=test", *flags]) == 1
    assert "--corpus=guitarset has no option --toy_split (it has none)" in capsys.readouterr().err
    assert prepare.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "|toy" in shown
    assert "For toy: the split of all." in shown


def test_it_is_guessed_and_cannot_be_downloaded(raw, tmp_path):
    assert guess_corpus(raw) == "toy"
    with pytest.raises(ValueError, match=r"--corpus=toy: Write your own\. \(--download knows"):
        download.download("toy", tmp_path / "new")


@pytest.mark.parametrize("kind", ["lambda", "script"])
def test_a_function_that_other_processes_cannot_import(raw, tmp_path, monkeypatch, kind):
    def of_a_script(stem):
        return toy.read_notes(stem)

    of_a_script.__module__, of_a_script.__qualname__ = "__main__", "of_a_script"
    monkeypatch.setattr("__main__.of_a_script", of_a_script, raising=False)
    read_notes = of_a_script if kind == "script" else lambda stem: toy.read_notes(stem)
    monkeypatch.setitem(CORPORA, "toy", replace(toy.TOY, read_notes=read_notes))
    settings = {"out": tmp_path / "out", "progress": False}
    with pytest.raises(ValueError, match=r"read_notes, .*, cannot be imported.*--num_workers=1"):
        prepare.prepare("toy", raw, **settings)
    assert prepare.prepare("toy", raw, num_workers=1, **settings).num_tracks == {"train": 3}


def test_corpora_are_named_in_their_own_folder_alone():
    """But for what is said to people, and the folder of MiniSlakh's songs."""
    package = ROOT / "data_pipeline"
    own = (package / "corpora", package / "minislakh")
    offences = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(package.rglob("*.py"))
        if path.parent not in own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in tuple(CORPORA)
    ]
    assert not offences


def test_every_corpus_says_what_it_is():
    assert DEFAULT_CORPUS in CORPORA
    for corpus in CORPORA.values():
        assert isinstance(corpus, Corpus)
        names = [option.name for option in corpus.options]
        assert len(set(names)) == len(names)


def test_options_that_are_not_given_are_left_to_the_corpus():
    flags = CommandFlags("x", "y")
    add_option_flags(flags)
    flags(["x", "--nosustain_pedal", "--maps_sections=MUS", "--splits=orig"])
    assert options_of_flags(flags) == {
        "sustain_pedal": False,
        "maps_sections": ["MUS"],
        "splits": "orig",
    }
