"""One self-contained HTML page about a trained model: what it saw, what it makes, how well, and from what."""

from .inputs import Example, ReportInputs
from .page import write_report

__all__ = ["Example", "ReportInputs", "write_report"]
