"""The card of a trained network: what it was made of, how, how good it is, what for."""

from collections.abc import Mapping
from typing import Any

INTENDED_USE = (
    "Research on what face-recognition networks encode, on rendered faces and on "
    "portraits of consenting people. It is small and was trained for minutes: it must "
    "not be used to identify or to verify people."
)
_ALIGNMENT_NOTE = (
    "Crops were aligned with dlib's 68-point predictor, which is not part of it and "
    "whose own licence excludes commercial use."
)


def card_text(name: str, about: Mapping[str, Any]) -> str:
    """Markdown that tells people what `about` tells programs.

    Args:
        name: of the weights.
        about: plain JSON values: `network`, `loss`, `licence`, `intended_use`,
            `command`, `data`, `people`, `pictures`, `seed`, `minutes`, `machine`,
            `speed`, `steps`, `best_step`; `verification`, split -> rates as by
            `validation.rates_with_intervals`; and `start_from`, `command`, `steps` and
            `minutes` of the run it went on from, if any, and that one's `start_from`.

    Returns:
        The text.
    """
    lines = [
        f"# {name}",
        "",
        f"{about['network']}, trained with the {about['loss']} loss. Licence: "
        f"{about['licence']}.",
        "",
        f"**Intended use.** {about['intended_use']}",
        "",
        f"**Data.** {about['pictures']} pictures of {about['people']} people: "
        f"{', '.join(about['data'])}. {_ALIGNMENT_NOTE}",
        "",
        f"**Training.** Seed {about['seed']}; {about['steps']} steps in "
        f"{about['minutes']:.1f} minutes on {about['machine']} ({about['speed']}); the "
        f"weights are those of step {about['best_step']}.",
        "",
        "```sh",
        *_commands(about),
        "```",
    ]
    for split, found in about["verification"].items():
        lines += ["", *_rates(split, found)]
    return "\n".join(lines) + "\n"


def _commands(about: Mapping[str, Any]) -> list[str]:
    """Of the training, after those whose weights it began with."""
    begun = about.get("start_from")
    if begun is None:
        return [about["command"]]
    took = f"# {begun['steps']} steps in {begun['minutes']:.1f} minutes, then"
    return [*_commands(begun), took, about["command"]]


def rates_line(found: Mapping[str, Any]) -> str:
    """Rates of one split in one line, for people.

    Args:
        found: as by `validation.rates_with_intervals`.

    Returns:
        Such as "auc 0.9981 (0.9975 to 0.9986), ...".
    """
    return ", ".join(
        f"{name} {rate['value']:.4f} ({rate['low']:.4f} to {rate['high']:.4f})"
        for name, rate in _measured(found).items()
    )


def _measured(found: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    return {
        name: rate
        for name, rate in found.items()
        if isinstance(rate, Mapping) and "value" in rate
    }


def _rates(split: str, found: Mapping[str, Any]) -> list[str]:
    return [
        f"**Verification**, people of the split `{split}`, whom it was not trained on: "
        f"all pairs of pictures of {found['identities']} people "
        f"({found['genuine_pairs']} genuine, {found['impostor_pairs']} impostor), "
        f"{found['metric']} distance. Intervals of 95 % from resampled people.",
        "",
        "| rate | value | interval |",
        "|---|---|---|",
        *(
            f"| {name} | {rate['value']:.4f} | {rate['low']:.4f} to "
            f"{rate['high']:.4f} |"
            for name, rate in _measured(found).items()
        ),
    ]
