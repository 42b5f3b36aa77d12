"""The oceans by name."""

from .channel import Channel
from .dino import Dino
from .ocean import Ocean

OCEANS: dict[str, type[Ocean]] = {o.name: o for o in (Dino, Channel)}
