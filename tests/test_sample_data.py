"""The genuine excerpts under tests/data: small, and each with its origin and licence."""

import re


def test_every_folder_has_a_row_with_its_licence_and_a_link_to_its_corpus(samples):
    rows = re.findall(r"^\| `(\w+)/` \|(.*)\|$", (samples / "SOURCES.md").read_text(), re.M)
    folders = {path.name for path in samples.iterdir() if path.is_dir()}
    assert {name for name, _ in rows} == folders
    for _, row in rows:
        what, how, authors, licence = (cell.strip() for cell in row.split(" | "))
        assert what and how and "](http" in authors
        assert licence.split()[0].strip("[") in ("CC", "MIT,", "BSD")


def test_they_fit_into_a_repository(samples):
    sizes = [path.stat().st_size for path in samples.rglob("*") if path.is_file()]
    assert max(sizes) < 1e6 and sum(sizes) < 1.2e6
