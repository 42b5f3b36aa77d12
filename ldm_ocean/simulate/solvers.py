"""What Veros solves in every step, solved directly: its elliptic equation in the plane, its diffusion in each column.

Veros' own solvers are loops of many small kernels (BiCGSTAB to a residual of 1e-8; a sweep over the levels), and at the
sizes here a kernel costs more to start than to run. Neither solution changes by more than what the first leaves open.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from veros.core import utilities
from veros.core.external import solvers
from veros.core.external.solvers.base import LinearSolver
from veros.core.external.solvers.scipy_jax import JAXSciPySolver

LARGEST = 3000  # unknowns: beyond, reading the inverse in every step takes longer than iterating


def plane_solver(state) -> LinearSolver:
    """Of this Veros ``state``; not to be made while a step is traced."""
    iterative = solvers.get_linear_solver(state)
    return PlaneSolver(state) if state.variables.psi[..., 0].size <= LARGEST else iterative


@contextmanager
def solved_directly(state, plane: LinearSolver) -> Iterator[None]:
    """Within, this Veros ``state`` is stepped with ``plane``, and all columns directly."""
    cache, sweep = solvers.get_linear_solver.__wrapped__.cache, utilities.solve_tridiagonal
    iterative = solvers.get_linear_solver(state)
    cache[(state,)], utilities.solve_tridiagonal = plane, columns
    try:
        yield
    finally:
        cache[(state,)], utilities.solve_tridiagonal = iterative, sweep


class PlaneSolver(JAXSciPySolver):
    """A x = r, of pressure or streamfunction, by the inverse of its matrix: A is the same in every step.

    ``inverse`` has the rows of A⁻¹ of cells that depend on neighbours; any other has x = r / A_ii.
    """

    def __init__(self, state):
        diagonals, offsets, inside = self._assemble_poisson_matrix(state)
        cells = np.arange(inside.size).reshape(inside.shape)
        matrix, coupled = np.zeros((cells.size, cells.size)), np.zeros(cells.shape, bool)
        for diagonal, offset in zip(map(np.asarray, diagonals), offsets, strict=True):
            i, j = np.nonzero(diagonal)
            matrix[cells[i, j], cells[i + offset[0], j + offset[1]]] = diagonal[i, j]
            coupled[i, j] |= offset != (0, 0)
        rows, own = cells[coupled], jnp.asarray(diagonals[0])
        self.inverse = jnp.asarray(np.linalg.inv(matrix)[rows], own.dtype)

        def solve(r: Array, x0: Array, boundary: Array) -> Array:
            r = jnp.where(inside, r, boundary)
            return (r / own).ravel().at[rows].set(self.inverse @ r.ravel()).reshape(r.shape)

        self._linear_solve = solve


def columns(a: Array, b: Array, c: Array, d: Array, water: Array, bottom: Array) -> Array:
    """x of a_k x_{k−1} + b_k x_k + c_k x_{k+1} = d_k in the water of each column (x, y, k), 0 on land."""
    below = jnp.where(water & ~bottom, a, 0.0).at[..., 0].set(0.0)
    above = jnp.where(water, c, 0.0).at[..., -1].set(0.0)
    middle, right = jnp.where(water, b, 1.0), jnp.where(water, d, 0.0)
    return lax.linalg.tridiagonal_solve(below, middle, above, right[..., None])[..., 0]
