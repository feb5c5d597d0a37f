"""The public API documents itself: what it takes and gives, and the shape of arrays."""

import importlib
import inspect
import pkgutil
import re

import pytest

import facedirs_jax

MODULES = [
    facedirs_jax,
    *(
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(facedirs_jax.__path__, "facedirs_jax.")
        if "experiments" not in found.name  # which only an installed copy has
    ),
]
PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if not name.startswith("_")
    and getattr(value, "__module__", None) == module.__name__
}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
FUNCTIONS = {  # those under jax.jit too
    name: value
    for name, value in PUBLIC.items()
    if inspect.isfunction(inspect.unwrap(value))
}
METHODS = {
    f"{owner}.{name}": value
    for owner, cls in CLASSES.items()
    for name, value in vars(cls).items()
    if inspect.isfunction(value) and (not name.startswith("_") or name == "__call__")
}
PROPERTIES = {
    f"{owner}.{name}": value.fget
    for owner, cls in CLASSES.items()
    for name, value in vars(cls).items()
    if isinstance(value, property) and value.fget is not None
}

SHAPE = re.compile(r"\[[\w .,*+()'/-]*\]|\bany shape\b")  # [N, S, H', 3], [..., D], []


def section(doc, title):
    """Text of one section of a docstring."""
    found = re.search(rf"^{title}:\n(.*?)(?=^\S|\Z)", doc, flags=re.M | re.S)
    return inspect.cleandoc("\n" + found[1]) if found else ""


def entries(doc, title):
    """What a section says of each name."""
    parts = re.split(r"^(\w+):", section(doc, title), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def is_array(annotation):
    return re.search(r"\b(ndarray|NDArray|Array)\b", str(annotation)) is not None


def parameters_of(function):
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if n not in ("self", "cls")}


def test_the_walk_finds_the_api():
    assert "facedirs_jax.discovery.discover" in FUNCTIONS
    assert "facedirs_jax.directions.pca.principal_components" in FUNCTIONS  # jitted
    assert "facedirs_jax.backbones.preprocess.Preprocess.__call__" in METHODS
    assert "facedirs_jax.grid.Grid.filled" in PROPERTIES


def test_what_a_user_imports_is_listed_exists_and_is_documented():
    listed = facedirs_jax.__all__
    assert listed == sorted(listed, key=lambda name: (not name.isupper(), name))
    public = {name: v for name, v in vars(facedirs_jax).items() if name[0] != "_"}
    assert set(listed) == {n for n, v in public.items() if not inspect.ismodule(v)}
    for name in listed:
        assert inspect.getdoc(public[name]), name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_says_what_it_is(module):
    assert (module.__doc__ or "").split("\n\n")[0].rstrip().endswith((".", ":"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_and_gives(name):
    doc = inspect.getdoc(FUNCTIONS[name]) or ""
    assert re.match(r"\S.*[.:]$", doc.split("\n\n")[0], re.S), "no first sentence"
    parameters, args = parameters_of(FUNCTIONS[name]), entries(doc, "Args")
    arrays = [n for n, p in parameters.items() if is_array(p.annotation) and n != "key"]
    returned = inspect.signature(FUNCTIONS[name]).return_annotation
    given = section(doc, "Returns") + section(doc, "Yields")
    if not args:  # one line can say it all
        assert not (arrays or is_array(returned)) or SHAPE.search(doc), "no shape"
        return
    assert list(args) == list(parameters)
    assert all(SHAPE.search(args[array]) for array in arrays), f"no shape in {args}"
    drawn_into = "drawn into" in section(doc, "Args")  # compiled, without annotations
    assert returned in (None, "None") or given or drawn_into, "nothing on what it gives"
    assert not is_array(returned) or SHAPE.search(given), f"no shape in {given!r}"


def overrides_another_librarys(name):
    """Whether a method has its signature from a class that is not ours."""
    owner, _, method = name.rpartition(".")
    bases = CLASSES[owner].__mro__[1:] if owner in CLASSES else ()
    own = facedirs_jax.__name__
    return any(method in vars(b) and not b.__module__.startswith(own) for b in bases)


def test_only_what_another_library_laid_down_is_excused():
    excused = set(filter(overrides_another_librarys, FUNCTIONS | METHODS))
    assert excused == {"facedirs_jax.backbones.convolution.Conv.__call__"}


@pytest.mark.parametrize(
    "name", [n for n in FUNCTIONS | METHODS if not overrides_another_librarys(n)]
)
def test_an_argument_with_a_default_is_given_by_name(name):
    for parameter in parameters_of((FUNCTIONS | METHODS)[name]).values():
        if parameter.default is not parameter.empty:
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter


@pytest.mark.parametrize("name", FUNCTIONS | METHODS)
def test_a_random_key_comes_first(name):
    assert "key" not in list(parameters_of((FUNCTIONS | METHODS)[name]))[1:]


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_says_what_it_is(name):
    doc = inspect.getdoc(PROPERTIES[name]) or ""
    assert doc.endswith("."), "no docstring"
    returned = inspect.signature(PROPERTIES[name]).return_annotation
    assert not is_array(returned) or SHAPE.search(doc), "no shape"


@pytest.mark.parametrize("name", CLASSES)
def test_a_record_says_what_its_arrays_hold(name):
    doc = inspect.getdoc(CLASSES[name]) or ""
    assert doc.split("\n\n")[0].endswith((".", ":")), "no docstring"
    attributes = entries(doc, "Attributes")
    for field, annotation in vars(CLASSES[name]).get("__annotations__", {}).items():
        if is_array(annotation) and "Callable" not in str(annotation):
            assert field in attributes, f"{field} is not documented"
            shaped = SHAPE.search(attributes[field])
            assert shaped or SHAPE.search(doc.split("Attributes:")[0]), field
