"""What a command prints never ends it: other encodings, names that are no text, closed pipes."""

import os
import subprocess
import sys

import pytest

from data_pipeline.cli.console import forgiving_output, printable
from tests import ROOT
from tests.waiting import MAX_SECONDS

LATIN_1_NAME = os.fsdecode(b"caf\xe9.wav")
COMMANDS = ("experiments.run", "experiments.separate", "data_pipeline.prepare")
# A command that prints a line at once and, when the reader has gone, some more.
LONG_COMMAND = """
import sys
from data_pipeline.cli.flags import CommandFlags, run_command
def command(flags):
    print("first", flush=True)
    sys.stdin.readline()
    for number in range(10000):
        print(number, flush=True)
    open(sys.argv[1], "w").write("done")
    print("last")
sys.exit(run_command(command, CommandFlags("command", "prints"), argv=[]))
"""
ODD_TEXT = """
import sys
from data_pipeline.cli.flags import CommandFlags, run_command
def command(flags):
    print("F\\xfcr Elise \\u2192 \\u97f3", "caf\\udce9.wav")
    raise ValueError("F\\xfcr Elise \\u2192 \\u97f3 caf\\udce9.wav")
sys.exit(run_command(command, CommandFlags("command", "prints"), argv=[]))
"""


def run(*command, environment=None, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"GLIBC_TUNABLES": "", **(environment or {})}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=MAX_SECONDS,
        **options,
    )


@pytest.mark.parametrize(
    ("environment", "encoding", "expected"),
    [
        ({"PYTHONIOENCODING": "utf-8"}, "utf-8", "Für Elise → 音 caf\\udce9.wav"),
        ({"PYTHONIOENCODING": "ascii"}, "ascii", r"F\xfcr Elise \u2192 \u97f3 caf\udce9.wav"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", r"Für Elise \u2192 \u97f3 caf\udce9.wav"),
        ({"PYTHONIOENCODING": "cp1252"}, "cp1252", r"Für Elise \u2192 \u97f3 caf\udce9.wav"),
        (
            {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            "ascii",
            r"F\xfcr Elise \u2192 \u97f3 caf\udce9.wav",
        ),
    ],
)
def test_any_console_shows_any_text(environment, encoding, expected):
    result = run("-c", ODD_TEXT, environment=environment, capture_output=True)
    assert result.stdout.decode(encoding) == f"{expected}\n"
    assert result.stderr.decode(encoding) == f"error: {expected}\n"
    assert result.returncode == 1


@pytest.mark.parametrize("module", COMMANDS)
def test_help_may_be_cut_off_by_its_reader(module):
    reader, writer = os.pipe()
    os.close(reader)
    result = run("-m", module, "--help", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_command_goes_on_when_nobody_reads_any_more(tmp_path):
    command = [sys.executable, "-c", LONG_COMMAND, str(tmp_path / "file")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == b"first\n"
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert (process.stderr.read(), process.wait(MAX_SECONDS)) == (b"", 0)
    assert (tmp_path / "file").read_text() == "done"


def test_a_closed_output_is_no_error(tmp_path):
    result = subprocess.run(
        f"exec {sys.executable} -m data_pipeline.prepare --help >&- 2>&-", shell=True, cwd=ROOT
    )
    assert result.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_to_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        result = run("-m", "data_pipeline.prepare", "--help", stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1 and b"No space left" in result.stderr


def test_text_that_is_no_utf_8_is_spelled_out_and_stays_distinct():
    other = os.fsdecode(b"caf\xe8.wav")
    assert printable(LATIN_1_NAME) == "caf\\udce9.wav"
    assert printable(other) == "caf\\udce8.wav"
    assert printable("Für Elise") == "Für Elise"


def test_the_streams_are_put_back(capsys):
    streams = (sys.stdout, sys.stderr)
    with pytest.raises(ValueError), forgiving_output():
        print("inside")
        raise ValueError
    assert (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr().out == "inside\n"
