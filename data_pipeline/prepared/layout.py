"""What lies in a prepared directory: OUT/<corpus>/<version> with these files."""

from pathlib import Path

VERSION = "2.0.0"
# Its tables are read as they are, see `version_1`. Nothing writes it any more.
FIRST_VERSION = "1.0.0"

RECORDS = "*.array_record*"
RECORDS_INFO = "dataset_info.json"  # what TFDS says about the records
PCM = "pcm.int16"
TABLES = "catalogue.npz"
REPORT = "report.json"
PARTS = "part-*"  # beside the versions: folders of converted tracks, until they are packed

# Stems begin at multiples of this in a PCM file, and so do windows in a stem: TensorFlow takes a
# piece of an array without a copy where it begins at a multiple of 64 bytes.
ALIGNED_SAMPLES = 32


def named(root: Path) -> Path:
    """A folder by its name, which `.` and `..` do not tell."""
    return root.resolve() if root.name in ("", "..") else root


def prepared_folder(home: Path) -> Path | None:
    """The folder of the newest version of a prepared corpus; None where it is not prepared.

    Args:
        home: OUT/<corpus>.
    """
    if (home / VERSION / RECORDS_INFO).is_file():
        return home / VERSION
    if (home / FIRST_VERSION / TABLES).is_file():
        return home / FIRST_VERSION
    return None
