"""The options of the section `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TrainOptions:
    """How exactly the weights are found, what is kept on the way, and when to give up.

    Options:
        start_from: finished experiments whose weights are taken over, in this order, where name and shape fit.
        start_parts: parts that are taken over, such as [encoder, bridge]; empty takes all.
        start_names: names that changed, as OLD=NEW: what start_from holds below OLD is taken over below NEW, such as
            encoder.table=bridge.table.
        seed: seed of weights, order, dropout and augmentation.
        precision: arithmetic of the forward pass; fp32, or bf16 autocast.
        accumulate: batches whose gradients are added before a step.
        parallel: how several processes share the work: none, ddp (a copy each) or fsdp (a piece each).
        recompute: keep only the inputs of each layer and compute the rest again in the backward pass; less memory,
            about a third more time.
        threads: OpenMP threads of a process; 0 leaves it to the environment.
        device: where to train; auto takes the GPU if there is one.
        log_every: steps between two log lines.
        valid_every: steps between validations; each writes a checkpoint and the curves.
        save_every: steps between checkpoints besides those of the validations; 0 for none.
        keep: last checkpoints that are kept to go on from.
        average: best checkpoints (by `metric`; the last ones without validation) whose mean becomes the final model.
        metric: the validation result that decides which checkpoint is best; loss is always there.
        larger_is_better: whether a larger `metric` is better.
        patience: validations without a better result before training stops; 0 never stops early.
        max_bad_steps: steps in a row whose loss or gradient is not finite before training stops.
        trial: try the largest batch before the first step, so that too little memory shows at once.
        stall_minutes: minutes without a step after which batch and stacks of a process are written down; 0 never.
        tensorboard: write curves for TensorBoard besides metrics.jsonl.
    """

    start_from: list[str] = field(default_factory=list)
    start_parts: list[str] = field(default_factory=list)
    start_names: list[str] = field(default_factory=list)
    seed: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    accumulate: int = 1
    parallel: Literal["none", "ddp", "fsdp"] = "none"
    recompute: bool = False
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    log_every: int = 20
    valid_every: int = 200
    save_every: int = 0
    keep: int = 3
    average: int = 3
    metric: str = "loss"
    larger_is_better: bool = False
    patience: int = 0
    max_bad_steps: int = 20
    trial: bool = True
    stall_minutes: float = 20.0
    tensorboard: bool = True
