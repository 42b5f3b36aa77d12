"""Which runs of NEMO are finished, from a table (CSV or YAML), and how each ended, by what it left in its folder.

A row is a run. Its columns, of which the first three are needed:

    folder    what NEMO ran in, seen from the table: output, run.stat, time.step, namelist_cfg
    setting   the parameters' name, as the reference states have it
    road      where the run began: generated, nearest_setting, rest (the ocean at rest), truth (a state known to be in
              equilibrium, from which the setting's own run goes on) or any other word
    files     its output, of one frequency, as globs seen from the folder; without: those of grid_T, grid_U and grid_V
    start     the restart that it began from, seen from the folder
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, nearest
from ..io.namelist import NAMES, Namelist, numbers_of, read_namelist
from ..io.run_stat import RunStat, read_run_stat
from ..io.simulations import matching, read_rows
from ..io.states import check_names

COLUMNS = ("folder", "setting", "road", "files", "start")
OUTPUT = "*grid_[TUV]*.nc"
LAST_STEP = "time.step"  # NEMO writes the step it is at over the one before
ABORT = "output.abort*.nc"  # the fields with which its run control stopped


@dataclass(frozen=True)
class Finished:
    """A run that NEMO did: ``files`` of its output, none where it ended too early for any; the restart of its start."""

    name: str
    folder: Path
    setting: str
    road: str
    files: list[Path]
    start: Path | None = None


@dataclass(frozen=True)
class Ending:
    """How a run ended: a ``note`` where it blew up, with the ``step`` where that is known; what else it left."""

    note: str | None
    step: int | None
    stat: RunStat | None
    namelist: Namelist

    @property
    def blown(self) -> bool:
        return self.note is not None


def read_finished(path: Path) -> list[Finished]:
    """The rows of a table; UserError in one line, with the row."""
    runs = [_row(row, path.parent, f"row {n} of {path}") for n, row in enumerate(read_rows(path), 1)]
    seen: dict[tuple, str] = {}
    for run in runs:
        if (key := (run.folder.resolve(), *map(str, run.files))) in seen:
            raise UserError(f"{path} names the run in {run.folder} twice: name it once")
        seen[key] = run.name
    return runs


def _row(row: dict, folder: Path, where: str) -> Finished:
    if unknown := [k for k in row if k not in COLUMNS]:
        raise UserError(f"{where} has an unknown column {unknown[0]!r}{nearest(unknown[0], COLUMNS)}")
    given = {k: v for k, v in row.items() if v not in (None, "")}
    if lacking := [k for k in COLUMNS[:3] if k not in given]:
        raise UserError(f"{where} has no {lacking[0]}: every run needs {', '.join(COLUMNS[:3])}")
    own = folder / str(given["folder"])
    if not own.is_dir():
        raise UserError(f"{where}: no folder {own}: correct the column folder, seen from the table")
    check_names([given["setting"]], where)
    files = matching(given["files"], own, where) if "files" in given else sorted(own.glob(OUTPUT))
    start = own / str(given["start"]) if "start" in given else None
    if start and not start.is_file():
        raise UserError(f"{where}: no file {start}: correct the column start, seen from the folder of the run")
    return Finished(str(given["folder"]), own, str(given["setting"]), str(given["road"]), files, start)


def ending(run: Finished) -> Ending:
    """By NEMO's run control: values beyond its limits, an abort, or an end before the last step of the namelist.

    UserError for a run that left nothing.
    """
    path = run.folder / NAMES["file"]
    namelist = read_namelist(path) if path.is_file() else {}
    stat = read_run_stat(run.folder)
    reached = max([_last_step(run.folder), int(stat.steps[-1]) if stat else 0])
    alarm, asked = stat.alarm() if stat else None, max(numbers_of(NAMES["last_step"], namelist), default=0)
    step: int | None = None
    note = None
    if alarm:
        step, note = alarm[0], f"blew up at step {alarm[0]} ({alarm[1]})"
    elif any(run.folder.glob(ABORT)):
        step, note = reached or None, f"was stopped by NEMO (output.abort){f' at step {reached}' if reached else ''}"
    elif 0 < reached < asked:
        step, note = reached, f"ended at step {reached} of {asked:.0f}, which counts as a blow-up"
    if not run.files and not note:
        raise UserError(f"no output of NEMO ({OUTPUT}) in {run.folder}: join the ranks' pieces, or name its files")
    return Ending(note, step, stat, namelist)


def _last_step(folder: Path) -> int:
    try:
        return int((folder / LAST_STEP).read_text().split()[0])
    except (OSError, ValueError, IndexError):  # none, or one that a dying disk cut short
        return 0
