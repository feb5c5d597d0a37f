"""Where a network's weights come from, and what they may be used for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class WeightCard:
    """Origin and licence of a set of weights; a network carries its card.

    Attributes:
        name: of the published weights, as people know them.
        sha256: hex digest of the file that they were read from.
        licence: its name, or "unknown".
        commercial_use: whether the licence allows it; false if it is unknown.
        source: where the file comes from.
    """

    name: str
    sha256: str
    licence: str
    commercial_use: bool
    source: str


UNTRAINED = WeightCard("untrained", "", "none needed", True, "random initialisation")
