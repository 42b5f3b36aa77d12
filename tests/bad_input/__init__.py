"""Bad input, by command: ``CASES`` maps a name to what its error must say and to what builds the command."""

from . import oceans, sampling, scoring, training  # noqa: F401 (they register their cases)
from .place import CASES, Place, sample  # noqa: F401
