"""The excerpts in the report are those that were scored, and a browser can play them."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import load_run_config
from experiments.evaluate import evaluate
from experiments.evaluation.report_excerpts import Listening, choose, listen
from experiments.evaluation.report_players import title_of
from experiments.report import main, write_report
from experiments.training import data
from tests.browser import chromium, console_errors
from tests.tiny_run import prepare_data, tiny_config, write_run
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    workdir = write_run(tmp_path_factory.mktemp("run"), tiny_config(root), with_notes=True)
    evaluate(workdir)
    return workdir


def test_the_ends_of_the_list():
    values = [1.0, None, -3.0, 8.0, 2.0]
    items = [{"id": "x", "metrics": {"piano": {"si_sdr_improvement": v}}} for v in values]
    assert choose({"items": items}, 1) == [(3, "best", 8.0), (2, "worst", -3.0)]
    assert [index for index, _, _ in choose({"items": items}, 9)] == [3, 4, 2, 0]
    assert choose({"items": items[:2]}, 3) == []


def players_of(page):
    """The data of every player of a page."""
    found = re.findall(r'class="listening">(.*?)</script>', page.read_text(), re.DOTALL)
    return [json.loads(text) for text in found]


def decoded(uri):
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert uri.startswith("data:audio/flac;base64,") and rate == 16000
    return samples


def mixture_of(player):
    return decoded(player["rows"][0]["sets"]["mixture"]["src"])


def test_the_page_holds_its_sounds(run):
    page = write_report(run, excerpts=1)
    text = page.read_text()
    assert [file.name for file in page.parent.iterdir()] == ["index.html"]
    assert "Best: Track" in text and "Worst: Track" in text and "bootstrap" in text
    assert text.count("<details open>") == 1
    players = players_of(page)
    assert len(players) == 2 and players[0]["seconds"] == 2.0
    assert [own["title"] for own in players[0]["sets"]] == ["Mixture", "True", "Separated"]
    _, *rows = players[0]["rows"]
    assert [row["name"] for row in rows] == ["piano", "drums"]
    true = sum(decoded(row["sets"]["true"]["src"]) for row in rows)
    np.testing.assert_allclose(true, mixture_of(players[0]), atol=3 / 32768)
    pictures = [row["sets"][key]["picture"] for row in rows for key in ("true", "run0")]
    assert len({players[0]["rows"][0]["picture"], *pictures}) == 5
    assert all(len(row["reference"]) in (2, 3) for row in rows)
    assert rows[0]["reference"] == rows[0]["sets"]["true"]["notes"]


def test_what_is_heard_is_what_was_scored(run):
    """The improvement that the page prints is that of results.json."""
    results = json.loads((run / "results.json").read_text())
    printed = re.findall(
        r"SI-SDR improvement +([+-]\d+\.\d) dB", write_report(run, excerpts=1).read_text()
    )
    expected = [f"{score:+.1f}" for _, _, score in choose(results, 1)]
    assert printed == expected


def test_titles():
    def titled(name):
        excerpt = Excerpt(name, np.zeros((1, 2), np.float32), (), ())
        return title_of(Listening("worst", excerpt, 10.0, {}))

    assert titled("Track30016@8.494[S00,S01]") == "Worst: Track30016, 8.5 to 18.5 s"
    assert titled("Live @ 8 + B [demo]@8.000[S00]") == "Worst: Live @ 8 + B [demo], 8.0 to 18.0 s"
    mixed = titled("Track1@0.500[S00]+Track2@3.000[S01]+Track1@4.000[S02]")
    assert mixed == "Worst: a mixture of Track1, Track2"


def test_two_runs_hear_the_same_excerpts(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "<other>")
    (other / "results.json").unlink()  # not evaluated: its best checkpoint is heard
    page = write_report([run, other], excerpts=1)
    best, _ = players_of(page)
    titles = [own["title"] for own in best["sets"]]
    assert titles == ["Mixture", "True", run.name, "<other>"]
    for row in best["rows"][1:]:
        assert list(row["sets"]) == ["true", "run0", "run1"]
        np.testing.assert_array_equal(
            *(decoded(row["sets"][key]["src"]) for key in ("run0", "run1"))
        )
        assert row["notes"]
        assert row["sets"]["run0"]["notes"] == row["sets"]["run1"]["notes"] == row["notes"]
    scores = re.search(r"SI-SDR improvement (.*?)</p>", page.read_text())[1]
    assert re.fullmatch(rf"{run.name} (\S+) dB, &lt;other&gt; \1 dB", scores)


def test_a_run_that_cannot_be_heard_beside_the_first_is_named(run, tmp_path):
    config = load_run_config(run)
    config = tiny_config(config.data.root, **{"loss.mask_inference": 0.0})
    silent = write_run(tmp_path / "silent", config)
    page = write_report([run, silent], excerpts=1)
    assert f"silent cannot be heard beside {run.name}: it has no mask head" in page.read_text()
    assert [own["title"] for own in players_of(page)[0]["sets"]] == ["Mixture", "True", "Separated"]


@pytest.fixture(scope="module")
def browser(run):
    page = write_report(run, excerpts=1)
    with chromium() as found:
        found.get(page.as_uri())
        yield found
        assert not console_errors(found)


def test_one_excerpt_sounds_at_a_time(browser):
    for summary in browser.find_elements("css selector", "article summary")[1:]:
        summary.click()
    opened = "return listenings.map(({ player }) => player.playing)"
    for number in (0, 1):
        plays = browser.find_elements("css selector", "button.play")
        browser.execute_script("arguments[0].click()", plays[number])
        wait_for(lambda number=number: browser.execute_script(opened)[number])
        moved = f"return listenings[{number}].player.now"
        wait_for(lambda moved=moved: browser.execute_script(moved) > 0.2)
        assert sum(browser.execute_script(opened)) == 1
    heard = "return listenings.map(({ root }) => root.querySelector('.heard').textContent)"
    assert browser.execute_script(heard) == ["Chosen: Mixture", "Playing: Mixture"]
    head = browser.execute_script("return listenings[1].rows[1].playhead.style.transform")
    assert float(re.search(r"\(([\d.]+)px", head)[1]) > 0
    opened = "return listenings.map(({ player }) => player.leader.hasAttribute('src'))"
    assert browser.execute_script(opened) == [False, True]  # few sounds are open at a time


def test_a_set_shows_its_own_notes_and_picture_and_keys_go_to_the_one_in_focus(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    shown = """const { rows } = listenings[1], { notes, image } = rows[1].shown;
        return [notes.length, image.src.length, image.src.slice(-80)]"""
    row = browser.execute_script(
        "listenings[1].player.pause(); return listenings[1].rows[1].element"
    )
    browser.execute_script("arguments[0].focus()", row)
    found = []
    for key in "23":
        ActionChains(browser).send_keys(key).perform()
        found.append(browser.execute_script(shown))
    chosen = browser.execute_script("return listenings.map(({ player }) => player.listen)")
    assert chosen == ["mixture", "run0"]
    data = browser.execute_script("return listenings[1].data.rows[1].sets")
    for (count, length, end), key in zip(found, ("true", "run0"), strict=True):
        assert count == len(data[key]["notes"])
        assert (length, end) == (len(data[key]["picture"]), data[key]["picture"][-80:])
    ActionChains(browser).send_keys(" ").perform()
    wait_for(lambda: browser.execute_script("return listenings[1].player.playing"))
    browser.execute_script("listenings[1].player.pause()")


def test_without_the_data_the_page_comes_without_sounds(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    results = json.loads((copy / "results.json").read_text())
    results["config"]["data"]["root"] = str(tmp_path / "gone")
    (copy / "results.json").write_text(json.dumps(results))
    assert main([f"--workdir={copy}"]) == 0
    assert "no excerpts to listen to" in capsys.readouterr().err
    assert not players_of(copy / "report" / "index.html")
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
    mixture = mixture_of(players_of(page)[0])
    results = json.loads((copy / "results.json").read_text())
    ((index, _, _), _) = choose(results, 1)
    (excerpt,) = read_excerpts(planner, 1, first=index)
    np.testing.assert_allclose(mixture, excerpt.sources.sum(0), atol=1 / 32768)


def test_scores_of_other_excerpts_than_those_of_their_config_are_refused(run):
    results = json.loads((run / "results.json").read_text())
    results["config"]["data"]["seed"] += 1
    with pytest.raises(ValueError, match=r"scores other excerpts than the config's; evaluate agai"):
        listen({"run": run}, {"run": results}, count=1)
