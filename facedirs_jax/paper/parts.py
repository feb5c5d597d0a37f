"""A part of the reproduction: one figure of the paper, its claims and its pictures."""

from collections.abc import Sequence
from typing import NamedTuple

from facedirs_jax.figures import Figure, draw_walks
from facedirs_jax.paper.claims import Claim
from facedirs_jax.paper.edits import Edits
from facedirs_jax.sliders import Slider, make_slider

_SHOWN = 2  # probes that a figure shows of each network


class Part(NamedTuple):
    """One figure.

    Attributes:
        figure: its number in the paper.
        title: what it is about.
        note: how it was made here.
        claims: what it claims, measured.
        drawn: figures by name.
        sliders: rows of decodes to move through.
    """

    figure: str
    title: str
    note: str
    claims: list[Claim]
    drawn: dict[str, Figure]
    sliders: list[Slider]


def draw_edits(edits: dict[str, Edits], *, shown: int = _SHOWN) -> Figure:
    """Draws the first few probes of each network, a row each."""
    walks = [
        (f"{name}\nprobe {probe + 1}", edited.decodes[probe], edited.steps)
        for name, edited in edits.items()
        for probe in range(min(shown, len(edited.decodes)))
    ]
    return draw_walks(walks)


def sliders_of(edits: dict[str, Edits], what: str) -> list[Slider]:
    """A slider of the first probe of each network."""
    return [
        make_slider(
            f"{name}, {what}",
            edited.decodes[0],
            edited.steps,
            start=_start(edited.steps),
        )
        for name, edited in edits.items()
    ]


def _start(steps: Sequence[str]) -> int:
    return len(steps) // 2
