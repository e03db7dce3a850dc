"""The page of a run: well-formed, self-contained, right numbers, clear refusals."""

import json
from html.parser import HTMLParser

import pytest

from experiments import report
from experiments.config.loading import load_config, save_config
from experiments.evaluation.result_table import UNTUNED
from experiments.pages.curves import curves, plot_svg
from experiments.pages.scores import scores_html
from tests.full_disk import room_for

VOID = {"meta", "br", "path", "use", "rect", "circle", "line"}


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
        if self.open and self.open[-1] in ("td", "th"):
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
    assert all(reference.startswith("#") for reference in page.references)
    assert "script" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert page.tags.count("figure") == 2
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


def test_plots_take_the_colour_of_the_text():
    svg = plot_svg("loss", {"training": [(1, 2.0), (3, 1.0)]})
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert svg.count("<svg") == 1


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
    [([], "--workdir is missing"), (["--workdir=nothing"], "nothing holds no config.json")],
)
def test_bad_requests_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
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
