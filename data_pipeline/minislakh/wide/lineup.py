"""Who plays in a wide song, and who of them in which section."""

from dataclasses import dataclass

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.programs import INSTRUMENTS

COMPLETE = 0.8  # share of songs with all five instruments
DOUBLED = {"guitar": 4, "strings": 3, "piano": 2, "bass": 1}
JOBS = ("lead", "comp", "texture")


@dataclass(frozen=True)
class Player:
    """One part of a song.

    Args:
        instrument: its class.
        number: among the players of its class, from 0.
        shift: semitones by which all it plays is shifted, where its range allows.
        gate: factor of the length of its notes.
        pedal: it holds its notes until the chord changes.
        follows: it doubles the notes of the first player of its class while that one plays.
    """

    instrument: str
    number: int = 0
    shift: int = 0
    gate: float | int = 1.0
    pedal: bool = False
    follows: bool = False

    @property
    def name(self) -> str:
        """Of its track: the instrument, and a number from the second player on."""
        return f"{self.instrument} {self.number + 1}" if self.number else self.instrument


def draw_players(dice: Dice, *, rest: float | int) -> list[Player]:
    """The players of a song.

    Args:
        dice: random choices.
        rest: probability of one or two players of other instruments.
    """
    names = list(INSTRUMENTS)
    if not dice.chance(COMPLETE):
        names = dice.shuffled(names)[: dice.pick((2, 3, 4), (1, 2, 3))]
    players = [_player(dice, name) for name in INSTRUMENTS if name in names]
    extra = dice.pick((0, 1, 2), (5, 4, 1))
    for _ in range(extra):
        name = dice.pick(DOUBLED, DOUBLED.values())
        number = sum(player.instrument == name for player in players)
        if number:
            players.append(_player(dice, name, number))
    if dice.chance(rest):
        players += [_player(dice, "rest", number) for number in range(dice.integer(1, 2))]
    return players


def _player(dice: Dice, name: str, number: int = 0) -> Player:
    if name == "drums":
        return Player(name)
    shift = dice.pick((0, -12, 12), (8, 1, 1))
    gate = dice.pick((1.0, dice.between(0.3, 0.6), 1.15), (8, 1.5, 0.5))
    pedal = name == "piano" and dice.chance(0.3)
    follows = number > 0 and name != "bass" and dice.chance(0.25)
    return Player(name, number, shift, gate, pedal, follows)


def active_players(dice: Dice, players: list[Player], *, is_first: bool) -> list[Player]:
    """Who plays in a section: most often all, at times fewer, at times one alone."""
    mode = dice.pick(("all", "fewer", "solo"), (4, 4, 1) if is_first else (14, 4, 1))
    if mode == "all" or len(players) < 3:
        return players
    order = dice.shuffled(range(len(players)))
    count = 1 if mode == "solo" else max(len(players) - dice.integer(1, 2), 1)
    return [player for index, player in enumerate(players) if index in order[:count]]


def draw_jobs(dice: Dice, players: list[Player]) -> dict[str, str]:
    """The job of each player that plays chords and melodies, by its name."""
    weights = {"guitar": 1.4, "piano": 1.0, "strings": 1.0, "rest": 0.8}
    order = sorted(
        (dice.uniform() ** (1 / weights[p.instrument]), index)
        for index, p in enumerate(players)
        if p.instrument in weights
    )
    jobs = [*JOBS, *(dice.pick(JOBS) for _ in order)]
    return {players[index].name: job for (_, index), job in zip(order[::-1], jobs, strict=False)}
