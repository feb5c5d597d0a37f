import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from facedirs_jax.conversion.strict import Rule, fill
from facedirs_jax.errors import InputError

RULES = [
    Rule(r"layers\.(\d+)\.weight", r"linears.\1.kernel", np.transpose),
    Rule(r"layers\.(\d+)\.bias", r"linears.\1.bias"),
    Rule(r"bn\.running_(mean|var)", r"norm.\1"),
    Rule(r"bn\.weight", "norm.scale"),
    Rule(r"bn\.bias", "norm.bias"),
]


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.weights = "a card"
        self.linears = nnx.List(nnx.Linear(n, n + 1, rngs=rngs) for n in (2, 3))
        self.norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs)

    def __call__(self, x):
        for linear in self.linears:
            x = linear(x)
        return self.norm(x)


@pytest.fixture
def abstract():
    return nnx.eval_shape(lambda: Net(rngs=nnx.Rngs(0)))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = {
        **{"layers.0.weight": (3, 2), "layers.0.bias": (3,)},
        **{"layers.1.weight": (4, 3), "layers.1.bias": (4,)},
        **{"bn.running_mean": (4,), "bn.weight": (4,), "bn.bias": (4,)},
    }
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    arrays["bn.running_var"] = rng.uniform(1, 2, size=4)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def test_a_filled_module_computes_what_the_source_would(abstract, arrays):
    x = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    expected = x
    for n in (0, 1):
        weight, bias = arrays[f"layers.{n}.weight"], arrays[f"layers.{n}.bias"]
        expected = expected @ weight.T + bias
    expected = (expected - arrays["bn.running_mean"]) / np.sqrt(
        arrays["bn.running_var"] + 1e-5
    ) * arrays["bn.weight"] + arrays["bn.bias"]

    net = fill(abstract, arrays, RULES)

    assert isinstance(net, Net) and net.weights == "a card"
    # float32 rounding of sums of 3 terms
    np.testing.assert_allclose(net(jnp.array(x)), expected, rtol=1e-5, atol=1e-6)


def test_the_module_given_stays_as_it_is(arrays):
    net = Net(rngs=nnx.Rngs(0))
    before = np.asarray(net.linears[0].kernel)
    after = fill(net, arrays, RULES)
    np.testing.assert_array_equal(net.linears[0].kernel[...], before)
    np.testing.assert_array_equal(
        after.linears[0].kernel[...], arrays["layers.0.weight"].T
    )


def test_values_are_copied(abstract, arrays):
    net = fill(abstract, arrays, RULES)
    expected = arrays["layers.0.bias"].copy()
    arrays["layers.0.bias"][:] = 0
    np.testing.assert_array_equal(net.linears[0].bias[...], expected)


def test_all_problems_are_listed_in_one_error(abstract, arrays):
    arrays["layers.0.weight"] = np.ones((5, 2), np.float32)  # another shape
    arrays["layers.1.weight"] = np.ones(3, np.float32)[:, None, None, None]
    arrays["layers.1.bias"] = np.ones(4)  # float64
    arrays["layers.7.bias"] = np.ones(4, np.float32)  # no such target
    arrays["head.weight"] = np.ones(4, np.float32)  # no rule
    arrays["bn.bias"][2] = np.nan
    arrays["bn.gamma"] = arrays["bn.weight"]  # its target is taken
    del arrays["bn.running_mean"]  # norm.mean stays empty
    rules = [
        *RULES,
        Rule(r"bn\.gamma", "norm.scale"),
        Rule(r"bn\.running_var", "norm.var"),  # a second rule for it
    ]
    with pytest.raises(InputError) as caught:
        fill(abstract, arrays, rules)
    assert str(caught.value).splitlines() == [
        "the arrays are not those of this network, or the rules are wrong; "
        "10 problems:",
        "  layers.0.weight: expected float32 (2, 3), got float32 (2, 5)",
        "  layers.1.weight: expected float32 (3, 4), got float32 (1, 1, 1, 3)",
        "  layers.1.bias: expected float32 (4,), got float64 (4,)",
        "  bn.bias: it has values that are not finite",
        "  bn.running_var: 2 rules match it or ignore it; it needs one",
        "  layers.7.bias: the module has no linears.7.bias",
        "  head.weight: 0 rules match it or ignore it; it needs one",
        "  bn.gamma: bn.weight fills norm.scale already",
        "  norm.mean: no array fills it",
        "  norm.var: no array fills it",
    ]


def test_a_rule_that_cannot_lay_an_array_out_is_a_problem(abstract, arrays):
    def rows_to_columns(array):
        return array.transpose(1, 0)

    arrays["layers.0.weight"] = np.ones(6, np.float32)
    rules = [RULES[0]._replace(layout=rows_to_columns), *RULES[1:]]
    with pytest.raises(
        InputError, match=r"layers.0.weight: shape \(6,\) does not suit"
    ):
        fill(abstract, arrays, rules)


def test_arrays_are_left_out_by_name_only(abstract, arrays):
    arrays["head.weight"] = np.full(3, np.nan)
    net = fill(abstract, arrays, RULES, ignored=[r"head\..*", r"may_be_absent"])
    assert net.weights == "a card"
    with pytest.raises(InputError, match=r"bn\.bias: 2 rules match it or ignore it"):
        fill(abstract, arrays, RULES, ignored=[r"head\..*", r"bn\.bias"])


def test_a_pattern_must_match_the_whole_name(abstract, arrays):
    arrays["old.bn.bias"] = arrays["bn.bias_2"] = arrays["bn.bias"]
    with pytest.raises(InputError) as caught:
        fill(abstract, arrays, RULES)
    assert "old.bn.bias: 0 rules" in str(caught.value)
    assert "bn.bias_2: 0 rules" in str(caught.value)
