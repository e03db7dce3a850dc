"""The options of all corpora as flags of a command."""

from data_pipeline.cli.flags import CommandFlags
from data_pipeline.corpora.registry import CORPORA


def add_option_flags(flags: CommandFlags) -> None:
    """Define a flag for each option that a corpus has; without a value it is not given."""
    for name in _option_names():
        _add_option(flags, name)


def options_of_flags(flags: CommandFlags) -> dict[str, object]:
    """The options that were given."""
    values = {name: flags[name].value for name in _option_names()}
    return {name: value for name, value in values.items() if value is not None}


def _option_names() -> list[str]:
    """The names of the options of all corpora, each once."""
    options = (option for corpus in CORPORA.values() for option in corpus.options)
    return list(dict.fromkeys(option.name for option in options))


def _add_option(flags: CommandFlags, name: str) -> None:
    """Define the flag of an option, which may mean something else for each corpus."""
    corpora_of = {}
    for corpus in CORPORA:
        for option in CORPORA[corpus].options:
            if option.name == name:
                corpora_of.setdefault(option, []).append(corpus)
    options = list(corpora_of)
    text = " ".join(f"For {', '.join(corpora_of[option])}: {option.text}" for option in options)
    choices = list(dict.fromkeys(choice for option in options for choice in option.choices))
    if any(option.several for option in options):
        flags.names(name, None, text)
    elif choices:
        flags.choice(name, None, choices, text)
    else:
        flags.boolean(name, text, default=None)
