"""What templates tell of the factors of rendered faces, and which go together."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import RESAMPLES
from facedirs_jax.evaluation.correlations import (
    as_numbers,
    correlated_above,
    correlation_matrix,
)
from facedirs_jax.evaluation.decodability import (
    Reading,
    WordReading,
    read_number,
    read_word,
)
from facedirs_jax.evaluation.rendered_faces import GALLERY
from facedirs_jax.progress import Progress
from facedirs_jax.rendering.factor_table import MEASURE_SUFFIX, FactorTable
from facedirs_jax.rendering.factors import FACTORS, Photo
from facedirs_jax.tables import Row

_PHOTO = {field.name for field in dataclasses.fields(Photo)} & FACTORS.keys()
_SHARES = {"african", "asian", "caucasian"}  # they sum to 1


class Question(NamedTuple):
    """Something to read from templates.

    Attributes:
        name: of it, such as `melanin` or `|yaw|`.
        values: [N] numbers or words.
        rows: [N] bool, the pictures that have it.
    """

    name: str
    values: np.ndarray
    rows: np.ndarray


def questions(table: FactorTable) -> Iterator[Question]:
    """All factors and measures, and what follows from them.

    Beside a signed angle its size, which is what a network that takes mirrored faces
    for the same can know; smiles against neutral faces; and an amount only where there
    is something that it is an amount of.

    Args:
        table: of N pictures, with all factors.

    Yields:
        Questions with [N] values; those that do not vary too.
    """
    columns = table.columns
    every = np.ones(len(table.files), bool)
    shows = {
        "light": columns["flash"] > 0,
        "elevation": columns["flash"] > 0,
        "hair_length": columns["hair_style"] != "bald",
        "facial_hair_amount": ~np.isin(columns["facial_hair"], ("none", "stubble")),
    }
    for name in numeric_columns(table):
        rows = shows.get(name, every)
        yield Question(name, columns[name], rows)
        if name in ("yaw", "light"):
            yield Question(f"|{name}|", np.abs(columns[name]), rows)
    smiles = columns["expression"] == "smile"
    neutral = (columns["expression"] == "neutral") | (columns["expression_amount"] == 0)
    amount = np.where(smiles, columns["expression_amount"], np.float32(0))
    yield Question("smile_amount", amount, smiles | neutral)
    for name, factor in FACTORS.items():
        if factor.choices:
            yield Question(name, columns[name], every)


def numeric_columns(table: FactorTable) -> list[str]:
    """Names of the factors that are numbers, then of the measures.

    Raises:
        InputError: if the table lacks a factor.
    """
    missing = [name for name in FACTORS if name not in table.columns]
    if missing:
        raise InputError(
            f"factors.csv has no column {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''}; make it with render_faces"
        )
    numbers = [name for name, factor in FACTORS.items() if not factor.choices]
    return numbers + [n for n in table.columns if n.endswith(MEASURE_SUFFIX)]


def questions_on_photos(table: FactorTable) -> Iterator[Question]:
    """Questions on the photo, each on the pictures that change it and the plain ones.

    Args:
        table: of N pictures under conditions, with all factors.

    Yields:
        Questions with [N] values.
    """
    plain = table.conditions == GALLERY
    of_photo = _PHOTO | {"|yaw|", "|light|", "smile_amount"}
    for question in questions(table):
        if question.name in of_photo and plain.any():
            changed = question.values != question.values[plain][0]
            yield question._replace(rows=question.rows & (plain | changed))


class Readings(NamedTuple):
    """What is read from templates.

    Attributes:
        rows: numbers, the best read first, then words, then what could not be asked.
        constant: names of what does not vary and so was not asked.
    """

    rows: list[Row]
    constant: list[str]


def read_factors(
    table: FactorTable,
    templates: np.ndarray,
    *,
    ask: Callable[[FactorTable], Iterator[Question]] = questions,
    train_identities: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Readings:
    """Reads factors and measures from templates of people who were held out.

    Args:
        table: of N pictures, with all factors.
        templates: [N, D] float32; NaN where no face was found.
        ask: gives the questions, [N] values each.
        train_identities: people to fit on; of a question that only some people have,
            the same share of them. None for `decodability.TRAIN_SHARE`.
        resamples: draws of test identities for the intervals.
        seed: of every draw.

    Returns:
        Readings.

    Raises:
        InputError: if the table lacks a factor.
    """
    numeric_columns(table)
    usable = np.asarray(np.isfinite(templates).all(axis=1))
    people = len(np.unique(table.identities[usable]))
    share = None if train_identities is None else train_identities / max(people, 1)
    numbers: dict[str, Reading] = {}
    words: dict[str, WordReading] = {}
    failed: list[Row] = []
    constant = []
    asked = list(ask(table))
    with Progress("reading factors", total=len(asked), unit="factor") as progress:
        for done, question in enumerate(asked):
            progress.advance_to(done)
            rows = question.rows & usable
            values, identities = question.values[rows], table.identities[rows]
            count = len(np.unique(identities))
            if len(np.unique(values)) < 2:
                constant.append(question.name)
                continue
            arguments = {
                "name": question.name,
                "train_identities": None if share is None else round(share * count),
                "resamples": resamples,
                "seed": seed,
            }
            faces = (templates[rows], values, identities)
            try:
                if values.dtype.kind == "U":
                    words[question.name] = read_word(*faces, **arguments)
                else:
                    numbers[question.name] = read_number(*faces, **arguments)
            except InputError as error:
                failed.append({"factor": question.name, "note": str(error)})
        progress.advance_to(len(asked))
    best = sorted(numbers, key=lambda name: -numbers[name].r2.value)
    clearest = sorted(words, key=lambda n: words[n].chance - words[n].accuracy.value)
    rows = [{"factor": name, **numbers[name]._asdict()} for name in best]
    rows += [{"factor": name, **words[name]._asdict()} for name in clearest]
    return Readings(rows + failed, constant)


def correlation_rows(
    table: FactorTable, *, limit: float = 0.1
) -> tuple[list[Row], list[str]]:
    """Factors that go together, with each other or with measures.

    Pairs of measures, and of words of one factor, are left out.

    Args:
        table: of N pictures, with all factors.
        limit: of the absolute correlation, exclusive.

    Returns:
        Rows, the strongest first, and the names of columns that do not vary.

    Raises:
        InputError: if the table lacks a factor, or a measure is NaN.
    """
    numbers = numeric_columns(table)
    wanted = [*FACTORS, *(name for name in numbers if name not in FACTORS)]
    columns = {name: table.columns[name] for name in wanted}
    constant = [name for name in wanted if (columns[name] == columns[name][0]).all()]
    columns = as_numbers({n: v for n, v in columns.items() if n not in constant})
    if len(columns) < 2:
        return [], constant
    rows: list[Row] = []
    matrix = correlation_matrix(columns)
    for first, second, correlation in correlated_above([*columns], matrix, limit):
        one, other = (name.partition("=")[0] for name in (first, second))
        kinds = [name in FACTORS for name in (one, other)]
        if one == other or not any(kinds):
            continue
        kind = "factors" if all(kinds) else "factor and measure"
        if {one, other} <= _SHARES:
            kind = "shares of 1"
        rows.append(
            {
                "first": first,
                "second": second,
                "correlation": correlation,
                "kind": kind,
            }
        )
    return rows, constant
