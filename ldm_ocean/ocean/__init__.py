"""An ocean state: its grid, its variables, and what may be asked of it or done to it."""

CURRENTS = GENERATED, BALANCED = "generated", "balanced"  # here `--help` finds them without torch
