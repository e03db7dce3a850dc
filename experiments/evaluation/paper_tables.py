"""The authors' results on Slakh2100 (docs/paper.md), to stand beside ours.

They stood on the first version of their demo page (interactiveaudiolab.github.io, commit 430e11c,
December 2019).
"""

from collections.abc import Iterable, Sequence

from cerberus_jax.heads import PAPER_HEADS

NOTE = (
    "*theirs*: the authors' results on Slakh2100, another data set with other songs and sounds; "
    "docs/paper.md"
)
_DECIBELS = ("si_sdr", "si_sir", "si_sar")
_NOTES = tuple(
    f"{kind}_{part}"
    for kind in ("frame", "onset", "onset_offset")
    for part in ("precision", "recall", "f1")
)
_DC, _MI, _TR = PAPER_HEADS

# Piano and guitar, means of the two, by heads.
_HEADS = {
    (_DC,): ("8.5 16.5 9.8", ""),
    (_MI,): ("10.0 16.9 11.9", ""),
    (_TR,): ("", ".90 .83 .85 .77 .70 .71 .48 .43 .44"),
    (_DC, _MI): ("9.8 16.5 11.6", ""),
    (_DC, _TR): ("9.3 18.1 10.4", ".91 .81 .84 .79 .68 .71 .48 .41 .43"),
    (_MI, _TR): ("9.8 16.7 11.6", ".91 .84 .86 .81 .71 .74 .51 .46 .47"),
    (_DC, _MI, _TR): ("10.0 16.9 11.8", ".91 .83 .85 .81 .71 .73 .51 .45 .47"),
}
# Cerberus on more instruments, by instrument.
_SETS = (
    {
        "piano": ("7.6 13.5 9.7", ".91 .83 .85 .77 .73 .73 .44 .42 .42"),
        "guitar": ("6.9 12.5 9.8", ".91 .78 .82 .75 .59 .63 .46 .35 .38"),
        "bass": ("10.1 16.9 11.9", ".96 .93 .94 .94 .89 .91 .85 .80 .82"),
    },
    {
        "piano": ("6.1 11.5 8.3", ".89 .81 .83 .73 .70 .68 .38 .36 .36"),
        "guitar": ("5.8 10.8 8.7", ".89 .76 .79 .72 .55 .58 .42 .32 .34"),
        "bass": ("7.7 13.0 10.0", ".96 .92 .94 .92 .88 .89 .82 .78 .79"),
        "drums": ("11.3 19.2 12.2", ".64 .71 .63 .61 .76 .63"),
    },
    {
        "piano": ("3.4 6.7 7.3", ".86 .75 .78 .69 .62 .61 .31 .28 .28"),
        "guitar": ("3.1 6.5 7.0", ".84 .70 .73 .64 .45 .49 .29 .20 .22"),
        "bass": ("6.4 11.4 8.6", ".95 .91 .93 .91 .84 .87 .77 .72 .74"),
        "drums": ("10.6 18.7 11.5", ".63 .71 .63 .62 .75 .64"),
        "strings": ("4.1 8.6 8.5", ".91 .83 .85 .62 .53 .53 .39 .35 .35"),
    },
)


def paper_means(instruments: Sequence[str], heads: Iterable[str]) -> dict[str, float | None] | None:
    """Their means over the instruments, by metric, of the network with these heads; None where they
    have published none."""
    heads = tuple(heads)
    if tuple(instruments) == ("piano", "guitar"):
        return _scores(*_HEADS[heads]) if heads in _HEADS else None
    rows = next((rows for rows in _SETS if tuple(rows) == tuple(instruments)), None)
    if rows is None or heads != PAPER_HEADS:
        return None
    scores = [_scores(*row) for row in rows.values()]
    return {metric: _mean([own[metric] for own in scores]) for metric in scores[0]}


def _scores(decibels: str, notes: str) -> dict[str, float | None]:
    found = dict.fromkeys((*_DECIBELS, *_NOTES, "si_sdr_improvement"))
    for metrics, text in ((_DECIBELS, decibels), (_NOTES, notes)):
        found |= dict(zip(metrics, map(float, text.split()), strict=False))
    return found


def _mean(values):
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
