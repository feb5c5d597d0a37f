"""The training loop: steps, log, validation, checkpoints, and an exact resume.

It knows nothing of what is trained. A step is a pure function (state, batch, key) ->
(state, metrics); the batch depends on the number of the step alone, and so does the
key, folded from the seed. A run that was killed goes on from its last checkpoint and
logs the same losses as one that was not.
"""

import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import grain
import jax
from absl import logging

from facedirs_jax import devices
from facedirs_jax.errors import InputError

from . import metrics, state_files
from .plan import Plan, Standing, Stop, reason_to_stop

LOG_FILE = "metrics.jsonl"
_LAST, _BEST = "last_state", "best_state"
_BEGIN = "begin with a finished run of the same recipe on as many people"
_FORESIGHT = 12  # steps, after which the time of all is told

Batch = Mapping[str, jax.Array]
Step = Callable[[Any, Batch, jax.Array], tuple[Any, dict[str, jax.Array]]]
Evaluate = Callable[[Any], Mapping[str, float]]


class Outcome(NamedTuple):
    """What training gave.

    Attributes:
        state: the best by validation, or the last without one; arrays of any shape.
        standing: of the last step.
        stopped: why it ended.
        speed: of this process's steps.
        peak_gflops: that the machine's matrix products reach.
    """

    state: Any
    standing: Standing
    stopped: Stop
    speed: metrics.Speed
    peak_gflops: float


def train(
    state: Any,
    step: Step,
    batches: grain.MapDataset,
    plan: Plan,
    *,
    folder: pathlib.Path,
    mesh: jax.sharding.Mesh | None = None,
    evaluate: Evaluate | None = None,
) -> Outcome:
    """Trains from the last checkpoint of a folder, or from the beginning.

    Args:
        state: to begin with: a pytree of arrays of any shape. Its buffers are given
            away.
        step: the pure function of one step; of its metrics, [] each, `loss` is needed.
        batches: number of the step -> name -> [B, ...] array.
        plan: how long.
        folder: for the log, `LOG_FILE`, and the checkpoints; of this training alone.
        mesh: batches are split over it; None for one device.
        evaluate: state -> numbers, `plan.watched` among them; called after each epoch.

    Returns:
        Outcome.

    Raises:
        InputError: if the loss is not finite, a checkpoint is damaged, or a batch
            cannot be split.
    """
    mesh = devices.data_mesh(devices=1) if mesh is None else mesh
    run = _Run(step, batches, plan, folder, mesh, evaluate)
    state = devices.copied(state, mesh)
    saved = state_files.load_state(folder / _LAST, state)
    standing = Standing()
    if saved is not None:
        state, standing = saved.state, Standing(**saved.about)
        logging.info("going on after step %d of %d", standing.step, plan.steps)
    log = metrics.MetricsLog(folder / LOG_FILE, step=standing.step)
    outcome = _finish(run, log, state, standing)
    best = state_files.load_state(folder / _BEST, outcome.state)
    return outcome if best is None else outcome._replace(state=best.state)


def best_state(folder: pathlib.Path, like: Any) -> Any:
    """What a training in another folder ended with.

    Args:
        folder: of that training.
        like: a pytree of the same structure, arrays of any values.

    Returns:
        Its best state by validation, or the last where none was measured.

    Raises:
        InputError: if there is none, it is damaged, or of another structure.
    """
    for kept in (_BEST, _LAST):
        saved = state_files.load_state(folder / kept, like, remedy=_BEGIN)
        if saved is not None:
            return saved.state
    raise InputError(f"{folder}: no state of a training lies there; {_BEGIN}")


class _Run(NamedTuple):
    """The arguments of `train` that stay the same."""

    step: Step
    batches: grain.MapDataset
    plan: Plan
    folder: pathlib.Path
    mesh: jax.sharding.Mesh
    evaluate: Evaluate | None


def _finish(
    run: _Run, log: metrics.MetricsLog, state: Any, standing: Standing
) -> Outcome:
    """Does the steps that are left."""
    plan = run.plan
    stopped = reason_to_stop(plan, standing)
    if stopped:
        unknown = metrics.Speed(math.nan, math.nan, math.nan)
        return Outcome(state, standing, stopped, unknown, math.nan)
    advance, meter, peak = _prepared(run, state, standing.step)
    saved_at = mark = time.monotonic()
    batches = iter(_batches_from(run, standing.step))
    with meter:
        while not stopped:
            batch, begun = next(batches), time.monotonic()
            state, told = advance(state, batch, standing.step)
            took = time.monotonic() - begun
            standing = standing._replace(step=standing.step + 1)
            _check_loss(told["loss"], standing.step)
            meter.advance(standing.step, took, f"loss {told['loss']:.4g}")
            rate = len(jax.tree.leaves(batch)[0]) / took
            log.add(_about(plan, standing.step) | told | {"examples_per_second": rate})
            epoch_ends = standing.step % plan.steps_per_epoch == 0
            if epoch_ends or standing.step == plan.steps:
                standing = _validated(run, log, state, standing)
            if meter.steps_seen == _FORESIGHT:
                _foresee(plan, standing, meter.seconds_left(standing.step))
            now = time.monotonic()
            standing = standing._replace(seconds=standing.seconds + now - mark)
            mark = now
            stopped = reason_to_stop(plan, standing)
            if epoch_ends or stopped or now - saved_at > plan.checkpoint_seconds:
                _save(run.folder / _LAST, state, standing)
                saved_at = time.monotonic()
    return Outcome(state, standing, stopped, meter.speed(), peak)


def _prepared(
    run: _Run, state: Any, done: int
) -> tuple[Callable[..., Any], metrics.Meter, float]:
    """The compiled step, what measures it, and the machine's peak, GFLOP/s."""
    key = jax.random.key(run.plan.seed)
    first = devices.split(run.batches[done], run.mesh)
    jitted = jax.jit(run.step, donate_argnums=0)
    compiled = jitted.lower(state, first, key).compile()
    peak = metrics.matmul_peak(run.mesh, dtype=run.plan.precision)
    meter = metrics.Meter(
        steps=run.plan.steps,
        done=done,
        examples=len(jax.tree.leaves(first)[0]),
        flops=metrics.step_flops(compiled, run.mesh),
        peak=peak,
    )

    def advance(state: Any, batch: Batch, number: int) -> tuple[Any, dict[str, float]]:
        batch = devices.split(batch, run.mesh)
        state, told = compiled(state, batch, jax.random.fold_in(key, number))
        return state, {name: float(value) for name, value in told.items()}

    return advance, meter, peak


def _batches_from(run: _Run, done: int) -> grain.IterDataset:
    """The batches that are left, read ahead in a thread."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    return run.batches[done : run.plan.steps].to_iter_dataset(options)


def _foresee(plan: Plan, standing: Standing, left: float) -> None:
    """Warns of a limit that ends the run while the learning rate is still high."""
    minutes = (standing.seconds + left) / 60
    logging.info("all %d steps should take %.0f minutes", plan.steps, minutes)
    if plan.max_minutes is not None and minutes > 1.1 * plan.max_minutes:
        epochs = plan.steps / plan.steps_per_epoch * plan.max_minutes / minutes
        logging.warning(
            "that is more than max_minutes, %.0f: choose %.1f epochs, so that the "
            "learning rate falls in time",
            *(plan.max_minutes, epochs),
        )


def _about(plan: Plan, step: int) -> dict[str, Any]:
    return {"step": step, "epoch": round(step / plan.steps_per_epoch, 4)}


def _check_loss(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"the loss of step {step} is {loss}; lower the learning rate, or clip "
            "gradients"
        )


def _validated(
    run: _Run, log: metrics.MetricsLog, state: Any, standing: Standing
) -> Standing:
    """Evaluates, logs it, and keeps the state if it is the best so far."""
    if run.evaluate is None:
        return standing
    found = {name: float(value) for name, value in run.evaluate(state).items()}
    log.add({**_about(run.plan, standing.step), "validation": True, **found})
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
    logging.info("epoch %s: %s", _about(run.plan, standing.step)["epoch"], numbers)
    value = found[run.plan.watched]
    if standing.best is not None and not value > standing.best:
        return standing._replace(stale=standing.stale + 1)
    standing = standing._replace(best=value, best_step=standing.step, stale=0)
    _save(run.folder / _BEST, state, standing)
    return standing


def _save(folder: pathlib.Path, state: Any, standing: Standing) -> None:
    state_files.save_state(folder, state, step=standing.step, about=standing._asdict())
