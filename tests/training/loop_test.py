"""The loop on a toy problem: exact resume, validation, limits, several devices."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax import devices
from facedirs_jax.errors import InputError
from facedirs_jax.training import batches, loop, metrics, state_files
from facedirs_jax.training.loop import Plan, train

PLAN = Plan(steps=20, steps_per_epoch=5, seed=3, checkpoint_seconds=0.0)


def start():
    return {"weights": jnp.zeros(4), "seen": jnp.int32(0)}


def step(state, batch, key):
    """Least squares with a noisy gradient, so that key, batch and state all matter."""

    def loss_of(weights):
        return ((batch["x"] @ weights - batch["y"]) ** 2).mean()

    loss, slope = jax.value_and_grad(loss_of)(state["weights"])
    noise = 0.01 * jax.random.normal(key, slope.shape)
    done = {"weights": state["weights"] - 0.1 * (slope + noise)}
    return done | {"seen": state["seen"] + 1}, {"loss": loss}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    y = x @ np.array([1, -2, 3, 0.5], np.float32)
    return batches.gathered(batches.epoch_rows(40, batch=8, seed=1), {"x": x, "y": y})


def score(state):
    gap = np.asarray(state["weights"]) - np.array([1, -2, 3, 0.5])
    return {"auc": -float(np.linalg.norm(gap))}


def curve(folder):
    """Step, loss and validation of each record: all but the speed."""
    return [
        {k: v for k, v in record.items() if k != "examples_per_second"}
        for record in metrics.read_log(folder / loop.LOG_FILE)
    ]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = train(start(), step, data, PLAN, folder=folder, evaluate=score)
    return folder, outcome


def test_a_run_learns_logs_each_step_and_validates_each_epoch(whole):
    folder, outcome = whole
    records = curve(folder)
    trained = [r for r in records if "validation" not in r]
    assert [r["step"] for r in trained] == list(range(1, 21))
    assert trained[-1]["loss"] < 0.2 * trained[0]["loss"]
    assert trained[6]["epoch"] == 7 / 5
    assert [r["step"] for r in records if "validation" in r] == [5, 10, 15, 20]
    assert outcome.stopped == "all steps"
    assert outcome.standing.step == outcome.standing.best_step == 20
    best = max(r["auc"] for r in records if "auc" in r)
    assert outcome.standing.best == pytest.approx(best, rel=1e-6)  # seven digits
    assert int(outcome.state["seen"]) == 20
    assert outcome.speed.examples_per_second > 0
    assert 0 < outcome.speed.share_of_peak < 1


def test_a_run_again_logs_the_same_to_the_bit(whole, data, tmp_path):
    train(start(), step, data, PLAN, folder=tmp_path, evaluate=score)
    assert curve(tmp_path) == curve(whole[0])


class Killed(RuntimeError):
    pass


@pytest.mark.parametrize("at", [1, 7, 10])
@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_a_run_that_breaks_off_goes_on_to_the_same_curve(
    whole, data, tmp_path, monkeypatch, at, seconds
):
    plan = dataclasses.replace(PLAN, checkpoint_seconds=seconds)
    advance = metrics.Meter.advance

    def breaking(self, number, *arguments):
        if number > at:
            raise Killed
        advance(self, number, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(metrics.Meter, "advance", breaking)
        with pytest.raises(Killed):
            train(start(), step, data, plan, folder=tmp_path, evaluate=score)
    with open(tmp_path / loop.LOG_FILE, "a") as log:
        log.write('{"step": 11, "lo')  # as a kill leaves it
    outcome = train(start(), step, data, plan, folder=tmp_path, evaluate=score)
    assert curve(tmp_path) == curve(whole[0])
    for name, array in outcome.state.items():
        np.testing.assert_array_equal(array, whole[1].state[name])


def test_a_finished_run_does_nothing_and_gives_the_same(whole, data, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "copy")
    outcome = train(start(), step, data, PLAN, folder=folder, evaluate=score)
    assert outcome.standing == whole[1].standing
    np.testing.assert_array_equal(outcome.state["weights"], whole[1].state["weights"])


def test_the_best_state_is_given_and_patience_ends_a_run(data, tmp_path):
    grades = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    plan = dataclasses.replace(PLAN, steps=50, patience=2)

    def evaluate(state):
        return {"auc": next(grades)}

    outcome = train(start(), step, data, plan, folder=tmp_path, evaluate=evaluate)
    assert outcome.stopped == "patience"
    assert (outcome.standing.step, outcome.standing.best_step) == (20, 10)
    assert outcome.standing.best == 3.0
    assert int(outcome.state["seen"]) == 10


def test_another_training_can_begin_with_the_best_state_of_one(data, tmp_path):
    for name in ("judged", "plain"):
        (tmp_path / name).mkdir()
    grades = iter([3.0, 1.0, 2.0, 2.0])
    train(
        *(start(), step, data, PLAN),
        folder=tmp_path / "judged",
        evaluate=lambda _: {"auc": next(grades)},
    )
    assert int(loop.best_state(tmp_path / "judged", start())["seen"]) == 5
    last = train(start(), step, data, PLAN, folder=tmp_path / "plain").state
    found = loop.best_state(tmp_path / "plain", start())
    assert int(found["seen"]) == 20
    np.testing.assert_array_equal(found["weights"], last["weights"])


def test_a_state_that_no_training_can_begin_with_is_refused(whole, tmp_path):
    remedy = "begin with a finished run of the same recipe on as many people"
    with pytest.raises(InputError, match=f"no state of a training .*; {remedy}"):
        loop.best_state(tmp_path, start())
    more = start() | {"weights": jnp.zeros(5)}
    with pytest.raises(InputError, match=f"the state of another training; {remedy}"):
        loop.best_state(whole[0], more)


def test_without_validation_the_last_state_is_given(data, tmp_path):
    outcome = train(start(), step, data, PLAN, folder=tmp_path)
    assert int(outcome.state["seen"]) == 20
    assert outcome.standing.best is None


def test_a_run_out_of_time_stops_and_goes_on_with_more(whole, data, tmp_path):
    short = dataclasses.replace(PLAN, max_minutes=1e-9)
    outcome = train(start(), step, data, short, folder=tmp_path, evaluate=score)
    assert (outcome.stopped, outcome.standing.step) == ("minutes", 1)
    train(start(), step, data, PLAN, folder=tmp_path, evaluate=score)
    assert curve(tmp_path) == curve(whole[0])


def test_two_devices_share_a_batch_and_find_what_one_does(whole, data, tmp_path):
    mesh = devices.data_mesh(devices=2)
    found = train(start(), step, data, PLAN, folder=tmp_path, mesh=mesh)
    # Sums over the batch are taken in another order.
    np.testing.assert_allclose(
        found.state["weights"], whole[1].state["weights"], atol=1e-5
    )


def test_batches_and_devices_that_do_not_fit_are_refused(data, tmp_path):
    with pytest.raises(InputError, match="3 devices are asked for and 2 are there"):
        devices.data_mesh(devices=3)
    odd = data.map(lambda batch: {name: a[:7] for name, a in batch.items()})
    with pytest.raises(InputError, match="a batch of 7 cannot be split evenly over 2"):
        train(
            *(start(), step, odd, PLAN),
            folder=tmp_path,
            mesh=devices.data_mesh(devices=2),
        )


def test_a_loss_that_is_not_finite_ends_the_run_by_name(data, tmp_path):
    broken = data.map(lambda batch: batch | {"y": batch["y"] * np.float32(np.inf)})
    with pytest.raises(
        InputError, match=r"loss of step 1 is .*lower the learning rate"
    ):
        train(start(), step, broken, PLAN, folder=tmp_path)


@pytest.mark.parametrize(
    "name", ["steps", "steps_per_epoch", "patience", "max_minutes"]
)
def test_plans_need_positive_numbers(name):
    with pytest.raises(InputError, match=f"{name} is 0"):
        dataclasses.replace(PLAN, **{name: 0})


def test_a_state_on_disk_is_checked_before_it_is_used(tmp_path):
    state = {"a": jnp.arange(3.0), "b": (jnp.ones((2, 2)), jnp.int32(4))}
    assert state_files.load_state(tmp_path, state) is None
    for number in (3, 12):
        state_files.save_state(tmp_path, state, step=number, about={"n": [number]})
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000012"]
    (tmp_path / "step_000000013.orbax-checkpoint-tmp").mkdir()  # of a killed run
    found = state_files.load_state(tmp_path, jax.tree.map(jnp.zeros_like, state))
    assert found is not None
    assert found.about == {"n": [12]}
    assert jax.tree.all(jax.tree.map(np.array_equal, found.state, state))
    for other in ({"a": jnp.arange(3.0)}, state | {"a": jnp.arange(3)}):
        with pytest.raises(InputError, match="another training"):
            state_files.load_state(tmp_path, other)


def test_a_damaged_state_is_refused(tmp_path):
    state = {"a": jnp.arange(100.0)}
    state_files.save_state(tmp_path, state, step=1, about={})
    metadata = tmp_path / "step_000000001" / "_CHECKPOINT_METADATA"
    text = metadata.read_text()
    digest = json.loads(text)["custom_metadata"]["sha256"]
    metadata.write_text(text.replace(digest, "0" * 64))
    with pytest.raises(InputError, match="damaged"):
        state_files.load_state(tmp_path, state)


def test_the_peak_and_the_operations_of_a_product_are_measured():
    mesh = devices.data_mesh(devices=1)
    assert metrics.matmul_peak(mesh) > 0.1
    compiled = jax.jit(jnp.matmul).lower(jnp.ones((8, 16)), jnp.ones((16, 4))).compile()
    assert metrics.step_flops(compiled, mesh) == 2 * 8 * 16 * 4


def test_a_log_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("loss 3\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be read"):
        metrics.read_log(tmp_path / "metrics.jsonl")
