"""What an experiment is: which starts, how many, for how long."""

from dataclasses import dataclass, field
from zlib import crc32

from ..metrics.regions import Regions
from .starts import ROADS, Case


@dataclass(frozen=True)
class Plan:
    """How many starts of each road, how long each runs [years], where diagnostics look, from which seed; ``first``: the
    parts [years] of the short run that precedes some of the roads."""

    members: int = 8
    years: float = 10
    cold_years: float = 150
    control_years: float = 50
    seed: int = 0
    roads: tuple[str, ...] = ROADS
    regions: Regions = field(default_factory=Regions)
    first: tuple[float, ...] = ()

    def noise(self, case: Case) -> int:
        """Seed of a case's states: with one for all, an unlucky member would be met in every case."""
        return self.seed + crc32(case.name.encode())
