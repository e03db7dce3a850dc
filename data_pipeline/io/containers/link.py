"""What the readers of containers say about a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """One stream of a file; files joined end to end have several.

    Attributes:
        pieces: what the decoder gets: bytes, or ranges of bytes of the file. Empty: the file as it
            is.
        has_length: whether the decoder's length of the stream must be reached; where not, what is
            decoded is all there is.
    """

    pieces: tuple[bytes | range, ...] = ()
    has_length: bool = True


@dataclass(frozen=True)
class Layout:
    """The streams of a file in order, and what is doubtful about them.

    Attributes:
        links: the streams, at least one.
        doubts: what a person should know, each the rest of a sentence about the file.
    """

    links: tuple[Link, ...] = (Link(),)
    doubts: tuple[str, ...] = ()


def joined(count: int) -> tuple[str, ...]:
    """The doubt about a file of `count` streams."""
    return (f"{count} files joined end to end; all of them are read",) if count > 1 else ()
