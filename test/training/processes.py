"""Start real processes for tests: one training, or several ranks of one. torch is imported once, by the fork server."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from speechlm.training.distributed import process_group

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["test.training.toy", "speechlm.training.trainer"])


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    function: Callable[..., Any], *args: Any, rank: int = 0, world: int = 1, port: int = 0
) -> tuple[BaseProcess, Connection]:
    """Start `function(*args)` as one rank; its result, or the text of its error, comes through the connection."""
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_run, args=(there, rank, world, port, function, args), daemon=False)
    process.start()
    there.close()
    return process, here


def run_ranks(world: int, function: Callable[..., Any], *args: Any, timeout: float = 60.0) -> list[Any]:
    """Run `function(*args)` in `world` processes that know each other, as torchrun starts them; give their results."""
    port = free_port()
    started = [start(function, *args, rank=rank, world=world, port=port) for rank in range(world)]
    results = []
    try:
        for _, connection in started:
            assert connection.poll(timeout), "a rank did not answer"
            results.append(connection.recv())
    finally:
        for process, _ in started:
            process.join(5)
            if process.is_alive():
                process.kill()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def _run(
    connection: Connection, rank: int, world: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        with process_group(torch.device("cpu"), timeout_minutes=1.0):
            connection.send(function(*args))
    except Exception as error:  # told to the test, which raises it
        connection.send(RuntimeError(f"rank {rank}: {traceback.format_exc()}") if world > 1 else error)
