"""A short code for a raw corpus and how it is read: equal codes mean equal prepared data.

Times of files play no part, so a copied or newly unpacked corpus is the same corpus. Labels and WAV
files are read as a whole; a FLAC file is not, because its header holds the MD5 sum of its samples.
"""

import zlib
from pathlib import Path

from data_pipeline.corpora.track import Track
from data_pipeline.prepared.convert import RMS_HOP_SECONDS
from data_pipeline.prepared.layout import VERSION

_CHUNK = 1 << 20
_FLAC_MAGIC = b"fLaC"
_FLAC_MD5 = slice(26, 42)  # in STREAMINFO, always the first block; zeros where none was computed


def fingerprint_of(tracks: list[Track], sample_rate_hz: int) -> str:
    """The code of what preparing these tracks at this rate will write."""
    code = zlib.crc32(f"{VERSION} {sample_rate_hz} {RMS_HOP_SECONDS}".encode())
    for track in tracks:
        code = zlib.crc32(repr((track.split, track.id, track.skipped)).encode(), code)
        for s in track.stems:
            row = (s.id, s.instrument, s.program, s.pitch_shift, s.time_shift, s.sustain_pedal)
            code = zlib.crc32(repr(row).encode(), code)
            if s.instrument:  # of the others nothing is read
                for path in (s.audio_path, *s.other_audio):
                    code = crc_of_file(path, code)
                code = crc_of_file(s.notes_path, code) if s.is_labelled else code
    return f"{code:08x}"


def crc_of_file(path: Path, code: int = 0) -> int:
    """The checksum, begun at `code`, of a file's size and content; of FLAC, of size and header."""
    code = zlib.crc32(str(path.stat().st_size).encode(), code)
    with path.open("rb") as file:
        start = file.read(_FLAC_MD5.stop)
        if start.startswith(_FLAC_MAGIC) and any(start[_FLAC_MD5]):
            return zlib.crc32(start, code)
        code = zlib.crc32(start, code)
        while chunk := file.read(_CHUNK):
            code = zlib.crc32(chunk, code)
    return code
