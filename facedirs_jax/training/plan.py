"""How long a training is to be, how far it has come, and why it ends."""

import dataclasses
from typing import Literal, NamedTuple

from facedirs_jax.errors import InputError

Stop = Literal["all steps", "patience", "minutes", "so many steps"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to train, and how often to look.

    Attributes:
        steps: in all.
        steps_per_epoch: validation follows each epoch, and the last step.
        seed: of the keys of the steps.
        watched: name of the validation's number that should grow.
        patience: epochs without growth after which training ends; None for never.
        max_minutes: of training, those of earlier runs included; None for no limit.
        max_steps: after which training ends, its schedule being that of all steps; None
            for no limit.
        checkpoint_seconds: at least, between two checkpoints within an epoch.
        precision: of the computation; the peak is measured in it.

    Raises:
        InputError: if a number is not positive.
    """

    steps: int
    steps_per_epoch: int
    seed: int = 0
    watched: str = "auc"
    patience: int | None = None
    max_minutes: float | None = None
    max_steps: int | None = None
    checkpoint_seconds: float = 60.0
    precision: str = "float32"

    def __post_init__(self):
        limits = ("patience", "max_minutes", "max_steps")
        for name in ("steps", "steps_per_epoch", *limits):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}; it must be positive")


class Standing(NamedTuple):
    """How far a training has come; kept beside each checkpoint.

    Attributes:
        step: steps done.
        seconds: that they took, all runs together.
        best: largest watched number so far; None where none was measured.
        best_step: step of it.
        stale: epochs since.
    """

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0


def reason_to_stop(plan: Plan, standing: Standing) -> Stop | None:
    """Why a training that has come so far ends; None if it goes on."""
    if standing.step >= plan.steps:
        return "all steps"
    if plan.patience is not None and standing.stale >= plan.patience:
        return "patience"
    if plan.max_minutes is not None and standing.seconds >= 60 * plan.max_minutes:
        return "minutes"
    if plan.max_steps is not None and standing.step >= plan.max_steps:
        return "so many steps"
    return None
