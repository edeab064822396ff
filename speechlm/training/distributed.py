"""Several processes that train one model: who am I, sums over all, one word for all. One process needs none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from speechlm.core.errors import UserError


def rank() -> int:
    """Give this process's number, 0 for the first or only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Give the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def main_rank() -> bool:
    """Say whether this is the process that writes files and log lines."""
    return rank() == 0


def choose_device(wanted: Literal["auto", "cpu", "cuda"] = "auto") -> torch.device:
    """Give the device of this process: its own GPU of the machine, or the CPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device is cuda, but no GPU is visible; ask for one (--gpu 1) or set it to auto")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def process_group(device: torch.device, *, timeout_minutes: float = 30.0) -> Iterator[None]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE …); without torchrun do nothing.

    nccl on GPUs, gloo on CPUs. A process that waits longer than `timeout_minutes` for the others stops with an error
    instead of hanging for ever.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=timeout_minutes))
    try:
        yield
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Give the sum of a tensor over all processes, the same on each."""
    if world() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def from_main(value: Any) -> Any:
    """Give the first process's value to all."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def wait_for_all() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()
