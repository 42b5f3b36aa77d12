"""``python -m ldm_ocean`` is ``ldm-ocean``."""

from .commands.cli import main

main()
