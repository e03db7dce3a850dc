"""The page of a run: well-formed, self-contained, right numbers, clear refusals."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from experiments import report
from experiments.config.loading import load_config, save_config
from experiments.evaluation.result_table import UNTUNED
from experiments.pages.comparison import OTHER_EXCERPTS
from experiments.pages.curves import curves, plots_html
from experiments.pages.scores import scores_html
from tests.full_disk import room_for

VOID = {"meta", "link", "br", "path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """Checks that tags nest, collects table cells and outside references."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.references, self.tags, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells.append(data)


def _run(workdir, *, metrics=True, results=True):
    save_config(load_config("sets/set1.py"), workdir)
    if metrics:
        entries = [
            {
                "step": step,
                "loss": 1 / step,
                "transcription": 2 / step,
                "time": {"seconds_per_step": 0.1},
            }
            | ({"validation_loss": 1.5 / step} if step % 2 == 0 else {})
            for step in range(1, 9)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    if results:
        scores = {"si_sdr": 5.04, "onset_f1": 0.456}
        (workdir / "results.json").write_text(
            json.dumps(
                {
                    "instruments": ["piano", "guitar"],
                    "split": "test",
                    "step": 8,
                    "num_items": 3,
                    "per_instrument": {"piano": scores, "guitar": {"si_sdr": None}},
                    "mean": scores,
                    "baselines": {"mixture": {"mean": {"si_sdr": -6.31}}, "oracle_mask": {}},
                    "splits": {"test_unseen": {"mean": {"si_sdr": 2.34}}},
                    "commit": "abc<1>",
                    "versions": {"jax": "9.9"},
                }
            )
        )


def test_a_full_page(tmp_path):
    _run(tmp_path)
    path = report.write_report(tmp_path)
    assert path == tmp_path / "report" / "index.html"
    page = Page(path.read_text())
    assert page.open == []
    assert page.references == ["data:,"]
    assert len(set(page.ids)) == len(page.ids)
    drawn = json.loads(re.search(r'id="curves">(.*?)</script>', path.read_text())[1])
    assert [plot["title"] for plot in drawn["plots"]] == ["loss", "transcription"]
    training, validation = drawn["plots"][0]["lines"]
    assert (training["kind"], validation["kind"]) == ("training", "validation")
    assert training["points"] == [[k, float(f"{1 / k:.5g}")] for k in range(1, 9)]
    assert [step for step, _ in validation["points"]] == [2, 4, 6, 8]
    for cell in (
        "5.0",
        "0.46",
        "-6.3",
        "split test_unseen",
        "2.3",
        "mixture",
        "abc<1>",
        "9.9",
        "piano, guitar",
    ):
        assert cell in page.cells
    assert "frame F1" not in page.cells  # no such score


def test_pages_before_training_and_evaluation(tmp_path):
    _run(tmp_path, metrics=False, results=False)
    text = report.write_report(tmp_path).read_text()
    assert Page(text).open == []
    assert "No step logged" in text
    assert "Not evaluated yet" in text


def test_the_page_is_the_same_every_time(tmp_path):
    _run(tmp_path)
    first = report.write_report(tmp_path).read_bytes()
    assert report.write_report(tmp_path).read_bytes() == first
    assert [file.name for file in (tmp_path / "report").iterdir()] == ["index.html"]


def test_a_full_disk_leaves_the_earlier_page_whole(tmp_path):
    _run(tmp_path)
    page = report.write_report(tmp_path)
    before = page.read_bytes()
    with room_for(1000), pytest.raises(OSError, match=r"File too large.*report/index\.html'$"):
        report.write_report(tmp_path)
    assert [file.read_bytes() for file in page.parent.iterdir()] == [before]


def test_scores_by_default_thresholds_are_marked(tmp_path):
    _run(tmp_path)
    file = tmp_path / "results.json"
    scores = json.loads(file.read_text())
    for tuned in (True, False):
        file.write_text(json.dumps(scores | {"decoding": {"tuned": tuned, "per_instrument": {}}}))
        assert (UNTUNED in report.write_report(tmp_path).read_text()) == (not tuned)


def test_columns_without_a_score_are_left_out():
    scores = {"si_sdr": 1.04}
    results = {"split": "test", "step": 1, "num_items": 2, "instruments": ["piano", "bass"]}
    results |= {"per_instrument": {"piano": scores, "bass": {"si_sdr": None}}, "mean": scores}
    cells = Page(scores_html(results)).cells
    assert cells == ["SI-SDR dB", "piano", "1.0", "bass", "mean", "1.0"]


def test_training_and_validation_share_a_plot():
    plots = curves(
        [
            {"step": 1, "loss": 2.0, "off_schedule": ["loss"]},
            {"step": 2, "loss": 1.0, "validation_loss": 3.0},
        ]
    )
    assert plots == {"loss": {"training": [(1, 2.0), (2, 1.0)], "validation": [(2, 3.0)]}}


def test_long_curves_are_thinned_and_keep_their_end():
    html = plots_html({"a": [{"step": k, "loss": 1.0} for k in range(1, 4001)]})
    (plot,) = json.loads(re.search(r'id="curves">(.*?)</script>', html)[1])["plots"]
    points = plot["lines"][0]["points"]
    assert 1000 <= len(points) <= 1500 and points[-1] == [4000, 1.0]
    assert len(set(np.diff([step for step, _ in points]))) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"mean": {}}', "3"])
def test_broken_results_are_named_and_leave_the_page(tmp_path, text):
    _run(tmp_path)
    page = report.write_report(tmp_path).read_bytes()
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results.json: not the scores"):
        report.write_report(tmp_path)
    assert (tmp_path / "report" / "index.html").read_bytes() == page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=nothing"], "nothing holds no config.json"),
        (["--workdir=a", "--workdir=nothing"], "nothing holds no config.json"),
        (["--workdir=a", "--workdir=./a"], "named twice"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    _run(tmp_path / "a")
    assert report.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_command(tmp_path, capsys):
    _run(tmp_path)
    assert report.main([f"--workdir={tmp_path}"]) == 0
    assert "index.html" in capsys.readouterr().out


def test_the_losses_come_first():
    entry = {"step": 1, "deep_clustering": 1.0, "gradient_norm": 1.0, "loss": 1.0}
    assert list(curves([entry])) == ["loss", "deep_clustering", "gradient_norm"]


def test_several_runs_side_by_side(tmp_path):
    for name, score, seed in (("first", 5.04, 0), ("second", 6.28, 1)):
        (tmp_path / name).mkdir()
        _run(tmp_path / name)
        config = load_config("sets/set1.py", {"seed": seed})
        save_config(config, tmp_path / name)
        file = tmp_path / name / "results.json"
        results = json.loads(file.read_text())
        results["mean"]["si_sdr"] = score
        results["interval_95"] = {"mean": {"si_sdr": [score - 1, score + 1.5]}}
        file.write_text(json.dumps(results))
    folders = [tmp_path / "first", tmp_path / "second"]
    path = report.write_report(folders)
    assert path == folders[0] / "report" / "comparison.html"
    text = path.read_text()
    page = Page(text)
    assert page.open == [] and page.references == ["data:,"]
    at = page.cells.index("mean")
    assert page.cells[at + 1 : at + 4] == ["first", "5.0", "4.0 to 6.5"]
    assert page.cells[page.cells.index("second", at) + 1] == "6.3"
    assert "split test_unseen, mean" in page.cells
    at = page.cells.index("seed")
    assert page.cells[at + 1 : at + 3] == ["0", "1"]  # what differs comes first
    drawn = json.loads(re.search(r'id="curves">(.*?)</script>', text)[1])
    assert drawn["runs"] == ["first", "second"]
    assert [line["run"] for line in drawn["plots"][0]["lines"]] == [0, 0, 1, 1]
    assert OTHER_EXCERPTS not in text


def test_runs_of_one_name_other_excerpts_and_another_place(tmp_path, capsys):
    folders = [tmp_path / parent / "run" for parent in "ab"]
    for folder, ids in zip(folders, ("xy", "xz"), strict=True):
        folder.mkdir(parents=True)
        _run(folder)
        file = folder / "results.json"
        items = [{"id": name, "metrics": {}} for name in ids]
        file.write_text(json.dumps(json.loads(file.read_text()) | {"items": items}))
    (tmp_path / "c").mkdir()
    _run(tmp_path / "c", results=False)
    arguments = [f"--workdir={folder}" for folder in (*folders, tmp_path / "c")]
    out = tmp_path / "new" / "page.html"
    assert report.main([*arguments, "--excerpts=0", f"--out={out}"]) == 0
    assert str(out) in capsys.readouterr().out
    text = out.read_text()
    assert "a/run, b/run and c" in text
    assert OTHER_EXCERPTS in text and "c: not evaluated yet" in text
    assert not (folders[0] / "report").exists()


def test_no_run_at_all():
    with pytest.raises(ValueError, match="at least one run expected"):
        report.write_report([])
