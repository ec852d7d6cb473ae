"""Steps that are captured once as a CUDA graph and then replayed.

On a GPU, a step of sampling is some 70 small operations, and Python launches each of them more
slowly than the GPU computes it. A graph launches all operations of a step with one call. It repeats
them on the same memory: what a step reads and writes must stay where it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Generator

Step = Callable[[], None]

# Steps that run as they are before one is captured: PyTorch and cuBLAS set up what they need in
# their first calls, which no graph may contain.
_WARM_UP = 2
_streams: dict[torch.device, torch.cuda.Stream] = {}
# For one thread at a time: what another put on the stream meanwhile would become part of its graph.
_in_use = threading.Lock()


class Recorder(Protocol):
    """What captures steps: :class:`CUDARecorder`, or a stand-in for it."""

    def warm_up(self, step: Step) -> None:
        """Run a step as it is."""

    def capture(self, step: Step) -> Step:
        """Capture a step, without running it; returns what replays it."""

    def finish(self) -> None:
        """Wait for all replays, so that their graphs may be destroyed."""


class CUDARecorder:
    """Captures steps on a CUDA device.

    Args:
        device: on which the steps run.
        generator: from which they draw; None: torch's own. Replays draw what the steps themselves
            would have drawn.
    """

    def __init__(self, device: torch.device, generator: Generator | None = None) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self._device, self._generator = torch.device("cuda", index), generator
        # One stream a device for all graphs: cuBLAS keeps a workspace for each stream.
        if self._device not in _streams:
            _streams[self._device] = torch.cuda.Stream(self._device)
        self._stream = _streams[self._device]

    def warm_up(self, step: Step) -> None:
        current = torch.cuda.current_stream(self._device)
        with _in_use, torch.cuda.stream(self._stream):
            self._stream.wait_stream(current)
            step()
        current.wait_stream(self._stream)

    def capture(self, step: Step) -> Step:
        with _in_use, torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            if self._generator is not None:  # torch's own is registered anyway
                graph.register_generator_state(self._generator)
            # Other threads, such as those of an app, may go on using the GPU, but must not wait for
            # all of it (torch.cuda.synchronize) meanwhile.
            mode = "thread_local"
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode=mode):
                step()
        return graph.replay

    def finish(self) -> None:
        torch.cuda.current_stream(self._device).synchronize()


class Steps:
    """A step that is run again and again: first as it is, then as a graph.

    Args:
        step: does the same operations in every call, on tensors that stay where they are, without
            waiting for a result of the device; Python's part of it is not repeated in replays.
        recorder: captures it; None: it always runs as it is.
    """

    def __init__(self, step: Step, recorder: Recorder | None) -> None:
        self._step, self._recorder = step, recorder
        self._warm = 0
        self._replay: Step | None = None

    def __call__(self) -> None:
        if self._recorder is None:
            self._step()
        elif self._warm < _WARM_UP:
            self._warm += 1
            self._recorder.warm_up(self._step)
        else:
            if self._replay is None:
                self._replay = self._recorder.capture(self._step)
            self._replay()
