"""The commands of the pipeline: every wrong request is one clear line, --help is for people."""

import importlib
import logging

import pytest

from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.cli.version import version_text

COMMANDS = ("prepare", "minislakh.__main__", "inspect", "excerpts", "minislakh.statistics")


def run(name, capsys, *argv):
    code = importlib.import_module(f"data_pipeline.{name}").main(list(argv))
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "argv", "message"),
    [
        ("prepare", ["--corpus=jazz"], "--corpus=jazz: value should be one of <slakh2100|"),
        ("prepare", ["--routes=x"], "Unknown command line flag 'routes'"),
        ("prepare", ["--rooot=x"], "Did you mean: root"),
        ("prepare", ["--num_workers=two"], "--num_workers=two: invalid literal"),
        ("prepare", ["--num_workers=-1"], "-1 is not a non-negative integer"),
        ("prepare", ["--splits=best"], "should be one of <redux|orig|split2|folders>"),
        ("prepare", ["--root=x"], "--root=DIR and --out=DIR (or --check) are needed"),
        ("prepare", ["--out=x"], "--root=DIR and --out=DIR (or --check) are needed"),
        ("prepare", ["x", "--check"], "unexpected argument 'x'; flags begin with --"),
        ("prepare", ["--root=no/where", "--check"], "--root=no/where: no such folder"),
        ("minislakh.__main__", ["--songs=3"], "Unknown command line flag 'songs'"),
        ("minislakh.__main__", [], "--out=DIR is needed"),
        ("minislakh.__main__", ["--out=x", "more"], "unexpected argument 'more'"),
        ("inspect", ["--index=-1"], "-1 is not a non-negative integer"),
        ("inspect", ["--data=x"], "--out=DIR is needed"),
        ("inspect", ["--data=no/where", "--out=x"], "data.root=no/where: no such folder"),
        ("excerpts", ["--count=0"], "0 is not a positive integer"),
        ("excerpts", ["--data=x"], "--out=FILE is needed"),
        ("minislakh.statistics", [], "--slakh=DIR is needed"),
        ("minislakh.statistics", ["--slakh=no/where"], "no/where holds no stem of piano"),
    ],
)
def test_a_wrong_request_is_one_line(monkeypatch, tmp_path, capsys, name, argv, message):
    monkeypatch.chdir(tmp_path)
    code, out, error = run(name, capsys, *argv)
    assert code == 1
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_short_and_names_the_flags_of_the_command_alone(capsys, name):
    code, out, error = run(name, capsys, "--help")
    assert (code, error) == (0, "")
    assert "usage: python -m data_pipeline." in out
    assert "verbosity" not in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_help_shows_defaults_choices_and_switches(capsys):
    flags = CommandFlags("command", "What it does.")
    flags.choice("fruit", "apple", ["apple", "pear"], "Which.")
    flags.names("colours", ["red", "blue"], "Which too.")
    flags.paths("file", "May be repeated.")
    flags.integer("count", 0, "How many.")
    flags.boolean("fast", "Now or never.", default=None)
    flags.boolean("bright", "As always.", default=True)
    assert run_command(print, flags, argv=["--help"]) == 0
    assert capsys.readouterr().out.split("flags:\n")[1].splitlines() == [
        "  --fruit=apple|pear",
        "      Which. (default: apple)",
        "  --colours=COLOURS",
        "      Which too. (default: red,blue)",
        "  --file=FILE",
        "      May be repeated.",
        "  --count=COUNT",
        "      How many. (default: 0)",
        "  --[no]fast",
        "      Now or never.",
        "  --[no]bright",
        "      As always. (default: on)",
        "  --debug",
        "      Show the whole traceback of an error.",
        "  --version",
        "      Show the version.",
        "  --help",
        "      Show this help.",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_the_version(capsys, name):
    code, out, error = run(name, capsys, "--version")
    assert (code, out, error) == (0, version_text() + "\n", "")


def test_what_is_taken_goes_to_the_command():
    found = []
    flags = CommandFlags("command", "What it does.")
    flags.integer("count", 1, "How many.")
    code = run_command(
        lambda flags, taken: found.append((flags.count, taken)),
        flags,
        argv=["song.wav", "--count=3"],
        take=lambda argv: (argv[:1], list(argv[1:])),
    )
    assert (code, found) == (0, [(3, ["song.wav"])])


def parsed(*argv, takes_arguments=False):
    flags = CommandFlags("command", "What it does.", takes_arguments=takes_arguments)
    flags.boolean("two_words", "On by default.", default=True)
    flags.boolean("no_good", "A name that begins like a negation.")
    flags.number("pace", 2.0, "How fast.", lowest=1.0, highest=3.0)
    flags.names("colours", [], "Which.")
    flags.parse(argv)
    return flags


@pytest.mark.parametrize(
    "argument", ["--notwo_words", "--no_two_words", "--no-two-words", "--two-words=false"]
)
def test_a_switch_is_turned_off_by_any_spelling(argument):
    assert parsed("--two_words").two_words
    assert not parsed(argument).two_words


def test_flags_have_types():
    flags = parsed("--no-good", "--pace=1.5", "--colours=a, b")
    assert flags.no_good is True and flags.pace == 1.5 and flags.colours == ["a", "b"]


def test_arguments_may_stand_before_flags_and_behind_a_double_hyphen():
    flags = parsed("a-b.wav", "--pace=3", "--", "--c-d.wav", takes_arguments=True)
    assert flags.arguments == ("a-b.wav", "--c-d.wav")
    assert flags.pace == 3


def test_errors_and_ctrl_c(capsys):
    def fails(error):
        def command(flags):
            raise error

        return run_command(command, CommandFlags("c", "d"), argv=[], on_interrupt="Go on.")

    assert fails(ValueError("two\n  lines")) == 1
    assert capsys.readouterr().err == "error: two lines\n"
    assert fails(PermissionError(13, "Permission denied", "there")) == 1
    assert capsys.readouterr().err == "error: Permission denied: there\n"
    assert fails(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "\nGo on.\n"
    with pytest.raises(KeyError):
        fails(KeyError("a bug"))


def test_debug_shows_the_traceback():
    def command(flags):
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        run_command(command, CommandFlags("c", "d"), argv=["--debug"])


def test_warnings_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [])
    flags = CommandFlags("c", "d")
    assert run_command(lambda _: logging.warning("%d too many", 3), flags, argv=[]) == 0
    assert capsys.readouterr().err == "warning: 3 too many\n"
