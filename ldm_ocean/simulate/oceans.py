"""The oceans by name."""

from collections.abc import Callable

from .acc import Acc
from .channel import Channel
from .dino import Dino
from .ocean import Ocean

OCEANS: dict[str, Callable[..., Ocean]] = {o.name: o for o in (Dino, Channel, Acc)}
