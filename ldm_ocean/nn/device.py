"""The device that a user names."""

import torch

from ..errors import UserError


def device_named(name: str) -> torch.device:
    """``name`` as torch has it; ``auto`` is a GPU where there is one, else the CPU. UserError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:  # torch has no better word for it
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} is not there ({reason}): use auto or cpu") from error
