"""One self-contained HTML page about a trained model: what it saw, what it makes, how well, and from what."""

from .figures import map_panel
from .inputs import Case, ReportInputs
from .page import write_report

__all__ = ["Case", "ReportInputs", "map_panel", "write_report"]
