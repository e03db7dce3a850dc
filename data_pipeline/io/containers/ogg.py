"""Ogg files by their pages: where a stream begins, whether it ends, whether a page is missing."""

import struct
from collections import Counter
from typing import NamedTuple

from data_pipeline.io.containers.link import Layout, Link, joined

_BEGINS, _ENDS = 2, 4


class _Page(NamedTuple):
    start: int
    stop: int
    flags: int
    serial: int
    number: int


def ogg_links(data) -> Layout:
    """The streams of an Ogg file.

    Raises:
        ValueError: if a stream has no last page, or pages are missing in the middle.
    """
    links, pages = [], []
    for page in _pages(data):
        if page.flags & _BEGINS and pages and not pages[-1].flags & _BEGINS:
            links.append(_link(pages))
            pages = []
        pages.append(page)
    if pages:
        links.append(_link(pages))
    if len(links) < 2:
        return Layout()
    return Layout(tuple(links), joined(len(links)))


def _pages(data):
    at = 0
    while (at := data.find(b"OggS", at)) >= 0:
        segments_at = at + 27
        if segments_at > len(data):
            break
        flags, serial, number = data[at + 5], *struct.unpack_from("<II", data, at + 14)
        segments = data[segments_at : segments_at + data[at + 26]]
        stop = segments_at + data[at + 26] + sum(segments)
        if stop > len(data):
            raise ValueError(
                f"damaged or cut short: the last page has {stop - at} bytes, {len(data) - at} there"
            )
        yield _Page(at, stop, flags, serial, number)
        at = stop


def _link(pages) -> Link:
    """The stream of these pages; streams that run beside the longest one count for nothing."""
    ((serial, _),) = Counter(page.serial for page in pages).most_common(1)
    stream = [page for page in pages if page.serial == serial]
    for i in range(1, len(stream)):
        expected, number = stream[i - 1].number + 1, stream[i].number
        if number != expected:
            raise ValueError(f"damaged: page {expected} expected, page {number} found")
    if not stream[-1].flags & _ENDS:
        raise ValueError(
            f"damaged or cut short: a page that ends the stream expected, {len(stream)} pages found"
            " without one"
        )
    return Link((range(pages[0].start, pages[-1].stop),))
