"""Tables in Markdown."""

from experiments.evaluation.markdown import markdown_table


def test_a_table_has_a_line_under_its_headings():
    rows = [["piano", 1], ["guitar", 2.5]]
    assert markdown_table(["instrument", "dB"], rows).splitlines() == [
        "| instrument | dB |",
        "| --- | --- |",
        "| piano | 1 |",
        "| guitar | 2.5 |",
    ]
