"""Checks of rendered faces, each as a section of a report with its figures."""

import numpy as np

from facedirs_jax import charts
from facedirs_jax.checks import Check, Draws
from facedirs_jax.evaluation import factor_readings, rendered_faces
from facedirs_jax.evaluation.factor_readings import Readings
from facedirs_jax.evaluation.verification import Metric
from facedirs_jax.picture_templates import PictureTemplates
from facedirs_jax.rendering.factor_table import FactorTable
from facedirs_jax.report import Section
from facedirs_jax.tables import estimates_by

CORRELATION = 0.1  # correlations above this are listed


def check_detection(what: str, table: FactorTable, found: PictureTemplates) -> Check:
    """In how many pictures the project's own detector finds the face.

    Args:
        what: the pictures are, such as `portraits`.
        table: of N pictures.
        found: [N, D] templates and what became of each picture.

    Returns:
        Check with a row a condition.
    """
    statuses = [row.status for row in found.status]
    rows = rendered_faces.detection_rows(table.conditions, statuses)
    note = f"{len(statuses)} pictures of {_people(table)} people."
    return Check(f"detection_{what}", Section(f"Faces found: {what}", note, rows), {})


def check_verification(
    table: FactorTable, found: PictureTemplates, metric: Metric, draws: Draws
) -> Check:
    """How well each condition is verified against frontal faces.

    Args:
        table: of N pictures.
        found: [N, D] templates.
        metric: of the network's templates.
        draws: for the intervals.

    Returns:
        Check with a row a condition, and one of all pictures with all.

    Raises:
        InputError: if no frontal picture has a template.
    """
    compared = rendered_faces.compare_conditions(
        table, found.templates, metric=metric, **draws._asdict()
    )
    note = (
        f"Gallery: {rendered_faces.GALLERY}. Distance of templates: {metric}. The "
        "easiest condition first, by equal error rate, then by genuine mean; means are "
        "of distances. Missed pictures are in no pair. An interval without width says "
        "that no error was seen among these people, not that there are none."
    )
    drawn = {}
    if compared.curves:
        rates = estimates_by(compared.rows, "condition", "eer")
        drawn["roc"] = charts.draw_roc(compared.curves)
        drawn["equal_error_rate"] = charts.draw_estimates(rates, "equal error rate")
    if compared.pairs is not None:
        drawn["distances"] = charts.draw_distances(compared.pairs)
    section = Section("Verification, by condition", note, compared.rows)
    return Check("verification", section, drawn)


def check_photo_factors(
    table: FactorTable, found: PictureTemplates, draws: Draws
) -> Check:
    """What templates of controlled pictures tell of pose, light and expression.

    Args:
        table: of N pictures, with all factors.
        found: [N, D] templates.
        draws: for the intervals.

    Returns:
        Check with a row a factor.
    """
    readings = factor_readings.read_factors(
        *(table, found.templates),
        ask=factor_readings.questions_on_photos,
        **draws._asdict(),
    )
    note = (
        "Each factor on the pictures that change it and the frontal ones. A network "
        "that takes mirrored faces for the same can know |yaw| and |light|, not their "
        "sign."
    )
    title = "What a template tells of the photo"
    return _readings("photo_factors", title, note, readings)


def check_factors(
    table: FactorTable, found: PictureTemplates, train_identities: int, draws: Draws
) -> Check:
    """What templates of many people tell of each factor and measure.

    Args:
        table: of N pictures, with all factors.
        found: [N, D] templates.
        train_identities: people to fit on.
        draws: for the intervals.

    Returns:
        Check with a row a factor.
    """
    readings = factor_readings.read_factors(
        *(table, found.templates),
        train_identities=train_identities,
        **draws._asdict(),
    )
    note = (
        f"Fitted on {train_identities} people, or the same share of those that a "
        "factor shows in."
    )
    title = "What a template tells of the person"
    return _readings("factors", title, note, readings)


def _readings(name: str, title: str, note: str, readings: Readings) -> Check:
    note += (
        " Numbers by ridge regression (R2, correlation), words by logistic regression "
        "(accuracy; chance: always saying the most common one), tested on people who "
        "were held out."
    )
    if readings.constant:
        note += f" Not asked, since they do not vary: {', '.join(readings.constant)}."
    drawn = {}
    for what, column in (("R2", "r2"), ("accuracy", "accuracy")):
        found = estimates_by(readings.rows, "factor", column)
        if found:
            drawn[column] = charts.draw_estimates(found, f"{what} on held-out people")
    return Check(name, Section(title, note, readings.rows), drawn)


def check_correlations(table: FactorTable) -> Check:
    """Which factors go together, with each other or with measures.

    Args:
        table: of N pictures, with all factors.

    Returns:
        Check with a row a pair above `CORRELATION`.
    """
    rows, constant = factor_readings.correlation_rows(table, limit=CORRELATION)
    people = _people(table)
    note = (
        f"{len(table.files)} rows of {people} people. Listed above {CORRELATION}; by "
        f"chance alone one pair in twenty is above {2 / np.sqrt(people):.3f}. Words "
        "count as 0 or 1, `factor=word`. Pairs of measures are left out."
    )
    if constant:
        note += f" They do not vary: {', '.join(constant)}."
    section = Section("Factors that go together", note, rows)
    return Check("correlations", section, {})


def _people(table: FactorTable) -> int:
    return len(np.unique(table.identities))
