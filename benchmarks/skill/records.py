"""What is known already: the records of one method and seed in a JSON file, written again after each setting.

A killed benchmark goes on where it was. A file whose ``key`` differs, because model, states, config or diagnostics
changed, is begun again.
"""

import json
from collections.abc import Callable
from pathlib import Path

from ldm_ocean.io.atomic import write_text


class Records:
    """``records(name, make)`` → what ``make`` returned for ``name`` now or in an earlier run: nested JSON numbers."""

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        self.entries: dict[str, dict] = known["entries"] if known.get("key") == key else {}

    def __call__(self, name: str, make: Callable[[], dict]) -> dict:
        if name not in self.entries:
            self.entries[name] = make()
            write_text(self.path, json.dumps({"key": self.key, "entries": self.entries}))
        return self.entries[name]
