"""The corpora: the one place that lists them. To add one, write its file and add a line here."""

from data_pipeline.corpora import guitarset, maestro, maps, musdb, slakh
from data_pipeline.corpora.corpus import Corpus

CORPORA: dict[str, Corpus] = {
    "slakh2100": slakh.SLAKH2100,
    "babyslakh": slakh.BABYSLAKH,
    "minislakh": slakh.MINISLAKH,
    "guitarset": guitarset.GUITARSET,
    "maps": maps.MAPS,
    "musdb18": musdb.MUSDB18,
    "maestro": maestro.MAESTRO,
}
DEFAULT_CORPUS = "slakh2100"  # where none is named and nothing speaks for another
