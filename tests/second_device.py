"""A GPU without a GPU: tensors that compute on the CPU but say that they live on ``DEVICE``.

As on a real one, an operation on tensors of both devices is an error (but for scalars, and for indices on the CPU), and
so is ``numpy()`` of a tensor that lives there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("lazy")  # of those that torch knows, the one that needs no driver
MOVES = ("aten::_to_copy", "aten::copy_")
INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class Elsewhere(torch.Tensor):
    """Holds a tensor of the CPU and names ``DEVICE`` as its own."""

    @staticmethod
    def __new__(cls, here: torch.Tensor):
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        out = torch.Tensor._make_wrapper_subclass(cls, here.shape, **layout, device=DEVICE)
        out.here = here
        return out

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _apply(operation, args, kwargs or {})

    def item(self):
        """Reading one number waits for the device, no more; torch would look for its driver."""
        return self.here.item()

    def __float__(self):
        return float(self.here)

    def __int__(self):
        return int(self.here)

    def __bool__(self):
        return bool(self.here)

    def tolist(self):
        return self.here.tolist()


class _Factories(TorchDispatchMode):
    """``torch.zeros(3, device=DEVICE)`` and the like."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _apply(operation, args, kwargs or {})


@contextmanager
def second_device() -> Iterator[torch.device]:
    """The device, as long as the block lasts; two switches of torch that FakeTensorMode sets, too, are on."""
    torch._C._set_only_lift_cpu_tensors(True)  # lists of indices become tensors of the CPU first
    torch.__future__.set_swap_module_params_on_conversion(True)  # a module's tensors change their class
    try:
        with _Factories():
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_swap_module_params_on_conversion(False)


def _apply(operation, args, kwargs):
    """The operation on the CPU, if its tensors may meet; results live where the operands do, or where it is asked."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    elsewhere, name = any(isinstance(x, Elsewhere) for x in tensors), operation._schema.name
    meeting = [] if name in MOVES else [x for x in tensors if not (name in INDEXED and x.dtype == torch.int64)]
    if elsewhere and not all(isinstance(x, Elsewhere) or x.ndim == 0 for x in meeting):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {DEVICE} and cpu")
    if kwargs.get("device") is not None:
        elsewhere = torch.device(kwargs["device"]).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args_here, kwargs_here = tree_map_only(Elsewhere, lambda x: x.here, (args, kwargs))
    out = operation(*args_here, **kwargs_here)
    if not elsewhere:
        return out
    known = {id(x.here): x for x in tensors if isinstance(x, Elsewhere)}  # what is changed in place stays itself
    return tree_map_only(torch.Tensor, lambda x: known[id(x)] if id(x) in known else Elsewhere(x), out)
