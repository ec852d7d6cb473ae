"""A stand-in for a GPU, for tests on machines without one.

Inside :func:`pretend_cuda`, tensors can be put "on cuda": they say that they lie there, and are
computed on the CPU. As on a GPU, an operation refuses tensors of both devices and a generator of
the other. cuDNN's LSTM is not there, so that PyTorch's own kernels run (here their arithmetic).
:class:`PretendRecorder` captures steps as a CUDA graph does: it notes the operations, with the
tensors they work on, and repeats them without running any Python of the step; it refuses what makes
the CPU wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)
ON_CUDA = ("cuda", "meta")
aten = torch.ops.aten
# What makes the CPU wait for a GPU, or copies from it or to it: no CUDA graph may contain it.
WAITING = {
    aten._local_scalar_dense.default: "a number is read",
    aten.equal.default: "a number is read",
    aten.nonzero.default: "a shape depends on values",
    aten.masked_select.default: "a shape depends on values",
    aten.repeat_interleave.Tensor: "a shape depends on values",
    aten.bincount.default: "a shape depends on values",
    aten._unique2.default: "a shape depends on values",
    aten.unique_consecutive.default: "a shape depends on values",
    aten.lift_fresh.default: "a tensor is made of Python's numbers",
    aten.is_pinned.default: "memory is looked up",
}

# What takes tensors of both devices.
MIXED = (
    aten._to_copy.default,
    aten.copy_.default,
    aten.index.Tensor,
    aten.index_put_.default,
    aten._pack_padded_sequence.default,
    aten._pack_padded_sequence_backward.default,
)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
# What refuses tensors of both devices even if some of them are single numbers.
STRICT = (aten.cat.default, aten.stack.default)


class OnCuda(Tensor):
    """A tensor that says it is on a GPU. (To PyTorch's C++, which knows no GPU here, it is on
    "meta", so that nothing but `held` has values.)

    Attributes:
        held: its values, on the CPU.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> OnCuda:
        made = Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=torch.device("meta"),
            requires_grad=False,
        )
        made.held = real
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_meta = is_cpu = property(lambda self: False)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCuda({self.held!r})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(function, args, kwargs or {})


class CudaGenerator(torch.Generator):
    """A generator that says it is on a GPU; it draws on the CPU."""

    device = DEVICE


class _AnyDevice(type):
    """In place of the type of torch.Generator: makes generators of either device."""

    def __call__(cls, device: object = "cpu") -> torch.Generator:
        return CudaGenerator() if _is_cuda(device) else _CPU_GENERATOR(device)  # type: ignore[arg-type]

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _CPU_GENERATOR)


class _Generator(metaclass=_AnyDevice):
    pass


_CPU_GENERATOR = torch.Generator


class _Factories(TorchDispatchMode):
    """Sees what is made on "cuda", and what is moved there."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        asked = kwargs.get("device")
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        ours = any(isinstance(each, OnCuda) for each in tensors)
        if ours or (asked is not None and torch.device(asked).type in ON_CUDA):
            return run(function, args, kwargs)
        return function(*args, **kwargs)


class _Moves(TorchFunctionMode):
    """Sees what Python puts "on cuda", which PyTorch's C++ would refuse."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(function, torch._ops.OpOverload):  # which gets a copy of the generator
            _check_generator(args, kwargs)
        if function == Tensor.cuda:
            function, args = Tensor.to, (args[0], DEVICE)
        if function == Tensor.new_tensor and isinstance(args[0], OnCuda):
            function, args, kwargs = torch.tensor, (args[1], DEVICE), {"dtype": args[0].dtype}
        if function == Tensor.__getitem__ and isinstance(args[0], OnCuda):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (
                args[0],
                tuple(torch.tensor(each) if isinstance(each, list) else each for each in index),
            )
        if function in (Tensor.to, torch.tensor):
            devices = [kwargs.get("device"), *args[1:]]
            wanted = [each for each in devices if _is_cuda(each)]
            if wanted:
                rest = [each for each in (*args[1:], *kwargs.values()) if not _is_cuda(each)]
                dtype = next((each for each in rest if isinstance(each, torch.dtype)), None)
                made = args[0] if function == Tensor.to else torch.tensor(args[0], dtype=dtype)
                made = made if dtype is None else made.to(dtype)
                if isinstance(made, OnCuda):
                    return made
                if _Notes.active:
                    raise RuntimeError("operation not permitted when stream is capturing: a copy")
                return OnCuda(made.detach().clone())
        return function(*args, **kwargs)


def _is_cuda(device: object) -> bool:
    if isinstance(device, str):
        return device.startswith("cuda")
    return isinstance(device, torch.device) and device.type == "cuda"


def run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation with tensors on the stand-in, on the CPU."""
    leaves = tree_flatten((args, kwargs))[0]
    tensors = [each for each in leaves if isinstance(each, Tensor)]
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    ours = [each for each in tensors if isinstance(each, OnCuda)]
    theirs = [each for each in tensors if not isinstance(each, OnCuda)]
    if function not in STRICT:
        theirs = [each for each in theirs if each.dim()]
    if ours and theirs and function not in MIXED:
        raise RuntimeError(f"{function}: expected all tensors on the same device, found two")
    if function in INDEXING and not isinstance(args[0], OnCuda):
        raise RuntimeError(f"{function}: indices on cuda, of a tensor on the CPU")
    to_cpu = asked is not None and asked.type == "cpu"
    stays = asked is None and not ours
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}

    def real(each: Any) -> Any:
        return each.held if isinstance(each, OnCuda) else each

    own = _KERNELS.get(function, function)
    with torch.no_grad():
        results = own(*tree_map(real, args), **tree_map(real, kwargs))
    if function == aten._local_scalar_dense.default or to_cpu or stays:
        return results
    by_identity = {id(each.held): each for each in ours}  # of what is changed in place
    if function == aten.copy_.default:
        return args[0]
    if function == aten._pack_padded_sequence.default:
        return OnCuda(results[0]), results[1]

    def wrap(each: Any) -> Any:
        if not isinstance(each, Tensor):
            return each
        return by_identity[id(each)] if id(each) in by_identity else OnCuda(each)

    return tree_map(wrap, results)


def _check_generator(args: Any, kwargs: dict[str, Any]) -> None:
    """Refuse to draw on one device by a generator of the other."""
    given = kwargs.get("generator")
    if given is None:
        return
    ours = any(isinstance(each, OnCuda) for each in tree_flatten((args, kwargs))[0])
    device = "cuda" if ours or _is_cuda(kwargs.get("device")) else "cpu"
    found = "cuda" if isinstance(given, CudaGenerator) else "cpu"
    if found != device:
        raise RuntimeError(f"Expected a '{device}' device type for generator but found '{found}'")
    if _Notes.active and given is not _Notes.generator:
        raise RuntimeError("the generator is not registered with the graph that is captured")


def _waits(function: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a GPU's queue would have to be waited for, or copied to."""
    if function in WAITING:
        return True
    if function in INDEXING:
        indices = [each for each in args[1] if isinstance(each, Tensor)]
        return any(each.dtype == torch.bool or not isinstance(each, OnCuda) for each in indices)
    if function == aten.copy_.default:
        return isinstance(args[0], OnCuda) != isinstance(args[1], OnCuda)
    if function == aten._to_copy.default and (asked := kwargs.get("device")) is not None:
        return isinstance(args[0], OnCuda) != (torch.device(asked).type in ON_CUDA)
    return False


def _lstm_cell(
    inputs: Tensor, hidden: Tensor, c: Tensor, bias: Tensor | None, other: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """PyTorch's fused cell on GPUs: outputs, cells, and the activated gates."""
    gates = inputs + hidden
    for each in (bias, other):
        gates = gates if each is None else gates + each
    i, f, g, o = gates.chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cells = f * c + i * g
    return o * cells.tanh(), cells, torch.cat([i, f, g, o], 1)


def _lstm_cell_backward(
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    c: Tensor,
    cells: Tensor,
    gates: Tensor,
    has_bias: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    i, f, g, o = gates.chunk(4, 1)
    grad_h = torch.zeros_like(c) if grad_h is None else grad_h
    grad_c = torch.zeros_like(c) if grad_c is None else grad_c
    squashed = cells.tanh()
    through = grad_c + grad_h * o * (1 - squashed**2)
    parts = (
        through * g * i * (1 - i),
        through * c * f * (1 - f),
        through * i * (1 - g**2),
        grad_h * squashed * o * (1 - o),
    )
    grad_gates = torch.cat(parts, 1)
    return grad_gates, through * f, grad_gates.sum(0) if has_bias else None


_KERNELS = {
    aten._thnn_fused_lstm_cell.default: _lstm_cell,
    aten._thnn_fused_lstm_cell_backward_impl.default: _lstm_cell_backward,
}


@contextmanager
def pretend_cuda() -> Iterator[None]:
    """A context in which "cuda" is a device, whose tensors are :class:`OnCuda`."""
    with (
        mock.patch("torch.cuda.is_available", lambda: True),
        mock.patch("torch.cuda._lazy_init", lambda: None),
        mock.patch("torch.Generator", _Generator),
        mock.patch("torch.cuda.get_rng_state", lambda *_: torch.get_rng_state()),
        mock.patch("torch.cuda.set_rng_state", lambda state, *_: torch.set_rng_state(state)),
        mock.patch("torch.cuda.is_current_stream_capturing", lambda: False),
        mock.patch("musicvae_torch.kernels.dispatch.CUDARecorder", PretendRecorder),
        _Moves(),
        _Factories(),  # type: ignore[no-untyped-call]
    ):
        yield


def values(tensor: Tensor) -> Tensor:
    """The values of a tensor that may be on the stand-in."""
    return tensor.held if isinstance(tensor, OnCuda) else tensor


class _Notes(TorchDispatchMode):
    """Notes operations, each with its arguments and results, and the values that were there before.

    Attributes:
        operations: what to repeat.
        before: of each tensor that the operations found, itself and its values.
    """

    active = False
    generator: torch.Generator | None = None  # that is registered with the graph

    def __enter__(self) -> _Notes:
        _Notes.active = True
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        _Notes.active = False
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _waits(function, args, kwargs):
            raise RuntimeError(f"operation not permitted when stream is capturing: {function}")
        for each in tree_flatten((args, kwargs))[0]:
            if isinstance(each, Tensor):
                self._keep(values(each))
        results = function(*args, **kwargs)
        found = [each for each in tree_flatten(results)[0] if isinstance(each, Tensor)]
        self._made |= {values(each).untyped_storage().data_ptr() for each in found}
        self.operations.append((function, args, kwargs, found))
        return results

    def _keep(self, tensor: Tensor) -> None:
        place = tensor.untyped_storage().data_ptr()
        if place not in self._made and place not in self.before:
            whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
            self.before[place] = whole, whole.clone()


class PretendRecorder:
    """Captures steps as :class:`musicvae_torch.kernels.cuda_graph.CUDARecorder` does, by notes."""

    made: list[PretendRecorder] = []  # noqa: RUF012

    def __init__(self, device: object = None, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self.warm, self.captured, self.replayed, self.finished = 0, 0, 0, False
        PretendRecorder.made.append(self)

    def warm_up(self, step: Callable[[], None]) -> None:
        self.warm += 1
        step()

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1
        before_all = torch.get_rng_state()
        own = None if self._generator is None else self._generator.get_state()
        notes = _Notes()
        _Notes.generator = self._generator
        with notes:
            step()
        # Nothing has run yet.
        torch.set_rng_state(before_all)
        if self._generator is not None and own is not None:
            self._generator.set_state(own)
        for tensor, before in notes.before.values():
            tensor.copy_(before)

        def replay() -> None:
            self.replayed += 1
            for function, args, kwargs, made in notes.operations:
                again = function(*args, **kwargs)
                fresh = [each for each in tree_flatten(again)[0] if isinstance(each, Tensor)]
                for old, new in zip(made, fresh, strict=True):
                    ours, theirs = values(old), values(new)
                    if ours.data_ptr() != theirs.data_ptr():
                        ours.copy_(theirs)

        return replay

    def finish(self) -> None:
        self.finished = True
