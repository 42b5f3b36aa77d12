"""States of a store → what NEMO starts from: restart files, the namelist groups that name them, and its judgement.

from ldm_ocean import open_states, restart
for start in restart(open_states("samples.zarr"), "run/DINO_restart.nc", "mesh_mask.nc", time_step=2700):
    print(start.path, start.namelist, *start.findings, sep="\\n")
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from ..errors import UserError
from ..ocean import adjust
from ..ocean.grid import OceanGrid
from ..ocean.regrid import regrid as interpolated
from ..physics.eos import differentiable
from .atomic import recover, write_text
from .lock import only_writer
from .namelist import beside, check_run, read_namelist, start_block
from .namelist import time_step as time_step_of
from .nemo import ENDING, check_name, difference, read_grid, season_of, write_restart
from .output import check_apart, check_free, in_comment, mark, name_of_call, nobody_elses
from .restart_rules import NOTE, Finding, check_restart
from .states import members_as_samples


@dataclass(frozen=True)
class Start:
    """The restart file of state ``number``, the ``namelist`` group that starts NEMO from it, what NEMO would find."""

    number: int
    path: Path
    namelist: str
    findings: list[Finding]

    @property
    def good(self) -> bool:
        """Whether there are only notes."""
        return all(f.kind == NOTE for f in self.findings)


def restart(
    states: xr.Dataset,
    out: str | Path,
    mesh: str | Path,
    members: int | Sequence[int] = (),
    template: str | Path | None = None,
    time_step: float | None = None,
    namelist: str | Path | None = None,
    regrid: bool = False,
    overwrite: bool = False,
) -> list[Start]:
    """Write a NEMO restart of each of the ``states``; arguments as in ``starts``."""
    numbers = [members] if isinstance(members, int) else members
    template, namelist = (None if p is None else Path(p) for p in (template, namelist))
    return list(starts(states, Path(out), Path(mesh), numbers, template, time_step, namelist, regrid, overwrite))


def starts(
    states: xr.Dataset,
    out: Path,
    mesh: Path,
    members: Sequence[int] = (),
    template: Path | None = None,
    time_step: float | None = None,
    namelist: Path | None = None,
    regrid: bool = False,
    overwrite: bool = False,
    read_from: Sequence[Path] = (),
) -> Iterator[Start]:
    """One ``Start`` after the other, each written whole before the next.

    states: canonical, of a store or from ``OceanLDM.sample``; ``members`` chooses by number (all).
    out: a name in _restart.nc; several states are numbered before the ending.
    mesh: mesh_mask.nc of the NEMO that will run.
    template: a restart of the same configuration: whatever we do not know stays as it is there.
    time_step: of the run [s]; by the namelist or the template where it is not given.
    namelist: that of the run, compared with the states' own (namelist_cfg beside ``out``).
    regrid: interpolate states of another grid, then remove density inversions.
    read_from: files of the states: the same call again may then write its result again, and never over them.
    UserError for states on another grid, implausible values, and files that may not be written (see ``io.output``).
    """
    check_name(out)
    grid = replace(read_grid(mesh), equation_of_state=states.attrs.get("equation_of_state"))
    inputs = [*read_from, *(Path(p) for p in (template, mesh, namelist) if p)]
    namelist = namelist or beside(out)
    groups = read_namelist(namelist) if namelist else {}
    time_step = time_step or time_step_of(groups)
    asked = (time_step, regrid, grid.equation_of_state, () if read_from else nobody_elses())
    check_apart(out, inputs)
    with only_writer(out):
        for number, path, state, own in chosen(states, out, ENDING, members, asked, inputs, overwrite):
            if regrid and difference(state, grid) is not None:
                state = regridded(state, grid)
            kt = write_restart(path, state, grid, template, time_step, own)
            block = start_block(path, kt, season_of(state))
            write_text(_group(path), in_comment(own) + block)
            findings = check_run(state, groups, namelist) if namelist else []
            yield Start(number, path, block, [*findings, *check_restart(path, grid, time_step)])


def regridded(states: xr.Dataset, grid: OceanGrid) -> xr.Dataset:
    """States interpolated to ``grid``; no density inversion is left where the equation of state is known."""
    if states.attrs.get("equation_of_state") is None:
        return interpolated(states, grid)
    differentiable(states.attrs["equation_of_state"])
    return adjust.adjusted(interpolated(states, grid), adjust.convective)


def chosen(
    states: xr.Dataset,
    out: Path,
    ending: str,
    members: Sequence[int],
    asked: tuple,
    inputs: Sequence[Path],
    overwrite: bool,
) -> Iterator[tuple[int, Path, xr.Dataset, str]]:
    """(number, file, state, mark) of every state asked for; UserError before the first where a file may not be
    written."""
    states = members_as_samples(states, "generated")
    if "sample" not in states.dims:
        states = states.assign({k: v.expand_dims("sample") for k, v in states.items() if "mask" in v.attrs})
    files = _files(states.sizes["sample"], out, ending, members)
    calls = {number: name_of_call(("restart", *asked, number), inputs) for number in files}
    for number, path in files.items():
        for written in (path, _group(path)) if ending == ENDING else (path,):
            recover(written)
            check_free(written, inputs, calls[number], overwrite)
    for number, path in files.items():
        yield number, path, states.isel(sample=[number]).load(), mark("restart", calls[number])


def _files(count: int, out: Path, ending: str, members: Sequence[int]) -> dict[int, Path]:
    """Number of a state → its file; several are numbered before the ending, for NEMO's sake."""
    for number in members:
        if not 0 <= number < count:
            raise UserError(f"no state {number}: there are {count}, numbered from 0")
    numbers = sorted(set(members)) if members else list(range(count))
    if len(numbers) == 1:
        return {numbers[0]: out}
    stem = out.name.removesuffix(ending)
    return {number: out.with_name(f"{stem}_m{number:03d}{ending}") for number in numbers}


def _group(path: Path) -> Path:
    """The file of the namelist group that starts NEMO from the restart ``path``."""
    return path.with_suffix(".namelist")
