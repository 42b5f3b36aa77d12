"""``python -m ldm_ocean`` is ``ldm-ocean``."""

from .commands.cli import main

if __name__ == "__main__":
    main()
