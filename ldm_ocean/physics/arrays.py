"""The kernels take numpy arrays and torch tensors alike, for both libraries name most functions alike."""

import sys

import numpy as np


def module(x):
    """torch for a tensor, numpy for anything else; who has a tensor has imported torch."""
    torch = sys.modules.get("torch")
    return torch if torch and isinstance(x, torch.Tensor) else np
