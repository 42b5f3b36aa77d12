"""An ocean state: its grid, its variables, and what may be asked of it or done to it."""
