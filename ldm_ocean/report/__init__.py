"""One self-contained HTML page about a trained model: what it saw, what it makes, how well, and from what."""

from .figures import map_panel
from .page import Case, ReportInputs, write_report

__all__ = ["Case", "ReportInputs", "map_panel", "write_report"]
