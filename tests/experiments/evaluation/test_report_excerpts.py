"""The excerpts in the report are those that were scored, and a browser can play them."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import load_run_config
from experiments.evaluate import evaluate
from experiments.evaluation.report_excerpts import choose
from experiments.report import main, write_report
from experiments.training import data
from tests.browser import chromium, console_errors
from tests.tiny_run import prepare_data, tiny_config, write_run
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    workdir = write_run(tmp_path_factory.mktemp("run"), tiny_config(root))
    evaluate(workdir)
    return workdir


def test_the_ends_of_the_list():
    values = [1.0, None, -3.0, 8.0, 2.0]
    items = [{"id": "x", "metrics": {"piano": {"si_sdr_improvement": v}}} for v in values]
    assert choose({"items": items}, 1) == [(3, "best", 8.0), (2, "worst", -3.0)]
    assert [index for index, _, _ in choose({"items": items}, 9)] == [3, 4, 2, 0]
    assert choose({"items": items[:2]}, 3) == []


def sounds_of(page):
    """Label and waveform of every player, in order."""
    players = re.findall(
        r'src="data:audio/flac;base64,([^"]*)" aria-label="([^"]*)"', page.read_text()
    )
    sounds = []
    for text, name in players:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
        assert rate == 16000
        sounds.append((name, samples))
    return sounds


def test_the_page_holds_its_sounds(run):
    page = write_report(run, excerpts=1)
    text = page.read_text()
    assert [file.name for file in page.parent.iterdir()] == ["index.html"]
    assert "best:" in text and "worst:" in text and "bootstrap" in text
    sounds = sounds_of(page)
    assert len(sounds) == text.count("src=") == 2 * (1 + 2 * 2)
    (name, mixture), *stems = sounds[:5]
    assert name == "mixture"
    true = [samples for name, samples in stems if name in ("piano, true", "drums, true")]
    assert len(true) == 2
    np.testing.assert_allclose(sum(true), mixture, atol=3 / 32768)


def test_the_page_in_a_browser(run):
    page = write_report(run, excerpts=1)
    with chromium() as browser:
        browser.get(page.as_uri())
        browser.execute_script("document.querySelector('audio').play()")
        moved = "return document.querySelector('audio').currentTime"
        wait_for(lambda: browser.execute_script(moved) > 0.2)
        assert not console_errors(browser)


def test_without_the_data_the_page_comes_without_sounds(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    results = json.loads((copy / "results.json").read_text())
    results["config"]["data"]["root"] = str(tmp_path / "gone")
    (copy / "results.json").write_text(json.dumps(results))
    assert main([f"--workdir={copy}"]) == 0
    assert "no excerpts to listen to" in capsys.readouterr().err
    assert "<audio" not in (copy / "report" / "index.html").read_text()
    assert main([f"--workdir={copy}", "--excerpts=few"]) == 1


def test_listed_excerpts_of_moved_data_are_those_that_were_scored(run, tmp_path):
    config = load_run_config(run)
    planner, _ = data.test_excerpts(config, "validation")
    ExcerptList.of(planner, 2).save(tmp_path / "list.json")
    moved = shutil.copytree(config.data.root, tmp_path / "moved data")
    copy = shutil.copytree(run, tmp_path / "run")
    places = {"data_root": str(moved), "excerpts": str(tmp_path / "list.json")}
    evaluate(copy, split="validation", **places)
    (copy / "results_validation_of_list.json").rename(copy / "results.json")
    page = write_report(copy, excerpts=1)
    (_, mixture), *_ = sounds_of(page)
    results = json.loads((copy / "results.json").read_text())
    ((index, _, _), _) = choose(results, 1)
    (excerpt,) = read_excerpts(planner, 1, first=index)
    np.testing.assert_allclose(mixture, excerpt.sources.sum(0), atol=1 / 32768)
