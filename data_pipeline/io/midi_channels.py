"""Who plays on the channels of a MIDI file: programs, and the channels that are drum kits.

Channel 10 is a drum kit. Others are where General MIDI 2 or Yamaha XG say so by the bank (which
counts from the next program change on), or Roland GS or Yamaha XG by a system-exclusive message.
What a track sets on a channel is its own: other tracks of the channel hear it only where they set
no program themselves.
"""

from typing import NamedTuple

DRUM_CHANNEL = 9
GM2_DRUM_BANK, GM2_MELODIC_BANK = 120, 121
XG_DRUM_BANKS = (126, 127)  # melodic in Roland GS, where they are the sounds of the MT-32
_ROLAND_GS = (0x41, 0x42, 0x12)  # maker, model, "data set", with the device after the maker
_XG_PART_MODE = (0x43, 0x4C, 0x08, 0x07)  # maker, model, address without the part


class Voice(NamedTuple):
    """What a note sounds like.

    Args:
        program: General MIDI program, 0 where none was set.
        is_drum: whether the program chooses a drum kit.
        has_program: whether the file has set one.
    """

    program: int
    is_drum: bool
    has_program: bool


class Channels:
    """What is set on each channel at the present place of a file."""

    def __init__(self):
        self._banks: dict[tuple[int, int], int] = {}  # by track and channel
        self._own: dict[tuple[int, int], tuple[int, int | None]] = {}  # program and bank, the same
        self._shared: dict[tuple[int, int], tuple[int, int | None]] = {}  # by port and channel
        self._rhythm: dict[tuple[int, int], bool] = {}  # by port and channel
        self._is_roland = False

    def set_bank(self, track: int, channel: int, bank: int) -> None:
        """Controller 0."""
        self._banks[track, channel] = bank

    def set_program(self, track: int, port: int, channel: int, program: int) -> None:
        """A program change, for the track and for those of the channel that set none."""
        setting = program, self._banks.get((track, channel))
        self._own[track, channel] = self._shared[port, channel] = setting

    def system_exclusive(self, port: int, data: bytes) -> None:
        """Without the leading 0xF0."""
        if len(data) >= 8 and (data[0], data[2], data[3]) == _ROLAND_GS:
            self._is_roland = True
            if data[4] == 0x40 and data[5] >> 4 == 1 and data[6] == 0x15:  # use for rhythm part
                block = data[5] & 0xF  # channel 10 comes first
                channel = DRUM_CHANNEL if block == 0 else block - (block <= DRUM_CHANNEL)
                self._rhythm[port, channel] = data[7] > 0
        elif len(data) >= 7 and (data[0], *data[2:4], data[5]) == _XG_PART_MODE:
            self._rhythm[port, data[4]] = data[6] > 0

    def voice(self, track: int, port: int, channel: int) -> Voice:
        """What a note of the track would sound like now."""
        setting = self._own.get((track, channel)) or self._shared.get((port, channel))
        program, bank = setting or (0, self._banks.get((track, channel)))
        is_drum = self._rhythm.get((port, channel))
        if is_drum is None:
            is_drum = self._is_drum(channel, bank)
        return Voice(program, is_drum, setting is not None)

    def _is_drum(self, channel: int, bank: int | None) -> bool:
        if bank == GM2_DRUM_BANK or (bank in XG_DRUM_BANKS and not self._is_roland):
            return True
        return channel == DRUM_CHANNEL and bank != GM2_MELODIC_BANK
