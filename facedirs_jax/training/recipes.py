"""How to train each of the small networks that ship, and others like them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from facedirs_jax.alignment import ALIGNMENTS
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.resnet50 import ResNet50, ResNet50Config
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.errors import InputError

from .augmentation import Augmentation
from .objective import Loss, Objective
from .optimisers import OptimiserConfig

_PARTS = "config", "optimiser", "augmentation"  # of a recipe, with own settings
NETWORKS: dict[str, Callable[..., Any]] = {
    "vgg16": VGG16,
    "resnet50": ResNet50,
    "iresnet": IResNet,
}
_OPTIMISER, _AUGMENTATION = OptimiserConfig(), Augmentation()
_FAST = OptimiserConfig(learning_rate=2e-3)


@dataclasses.dataclass(frozen=True)
class BackboneRecipe:
    """All settings of a training but the data and the seed.

    Attributes:
        network: a key of `NETWORKS`.
        config: of the network.
        alignment: of its crops, a key of `alignment.ALIGNMENTS`.
        loss: what is made small; templates have length 1 but with softmax.
        epochs: passes over the training pictures.
        batch: pictures a step.
        optimiser: how gradients become changes of parameters.
        smoothing: of the labels.
        dropout: of the embedding, before the classifier.
        scale: arcface's s.
        margin: arcface's m, radians.
        margin_epochs: in which m rises from 0.
        first_people: how many people to begin with; None for all. For networks that
            stay at chance where thousands of people have a few photos each.
        first_share: of the steps, with those alone.
        triplet_share: of the steps, at the end, with triplets, in softmax_triplet.
        triplet_photos: of each person in a batch, then.
        triplet_rate: highest learning rate then, as a share of the one before.
        augmentation: of the crops.
    """

    network: str
    config: Any
    alignment: str
    loss: Loss
    epochs: float = 10.0
    batch: int = 64
    optimiser: OptimiserConfig = _OPTIMISER
    smoothing: float = 0.0
    dropout: float = 0.0
    scale: float = 32.0
    margin: float = 0.4
    margin_epochs: float = 2.0
    first_people: int | None = None
    first_share: float = 0.1
    triplet_share: float = 0.25
    triplet_photos: int = 4
    triplet_rate: float = 0.1
    augmentation: Augmentation = _AUGMENTATION

    def preprocess(self) -> Preprocess:
        """What the network is fed, and how its templates are compared."""
        return Preprocess(
            alignment=self.alignment,
            size=self.config.image_size,
            mean=(127.5, 127.5, 127.5),
            scale=127.5,
            colour_order="RGB",
            unit_norm=self.loss != "softmax",
        )

    def objective(self, *, people: int, steps: int) -> Objective:
        """The loss for so many people; `steps` of the whole training."""
        from_step = round((1 - self.triplet_share) * steps)
        return Objective(
            self.loss,
            people,
            smoothing=self.smoothing,
            dropout=self.dropout,
            scale=self.scale,
            margin=self.margin,
            margin_steps=round(self.margin_epochs / self.epochs * steps),
            triplet_from=from_step,
        )


RECIPES: dict[str, BackboneRecipe] = {
    "vgg16_softmax": BackboneRecipe(
        "vgg16",
        VGG16Config(width=0.1875, image_size=96),
        alignment="vggface2_box",
        loss="softmax",
        optimiser=_FAST,
    ),
    "vgg16_softmax_triplet": BackboneRecipe(
        "vgg16",
        VGG16Config(width=0.1875, image_size=96),
        alignment="vggface2_box",
        loss="softmax_triplet",
        optimiser=_FAST,
    ),
    "resnet50_softmax": BackboneRecipe(
        "resnet50",
        ResNet50Config(width=0.25, image_size=96),
        alignment="vggface2_box",
        loss="softmax",
        optimiser=_FAST,
    ),
    "iresnet_arcface": BackboneRecipe(
        "iresnet",
        IResNetConfig(
            blocks=(2, 2, 2, 2), width=0.25, embedding_dim=128, image_size=80
        ),
        alignment="dlib_chip",
        loss="arcface",
    ),
}


def find_recipe(*, name: str | None, network: str | None) -> tuple[str, BackboneRecipe]:
    """A recipe by its name, or the first one of a network.

    Args:
        name: a key of `RECIPES`; None for a network's.
        network: a key of `NETWORKS`; None for the recipe's own.

    Returns:
        Name and recipe.

    Raises:
        InputError: if neither is given, one is unknown, or they do not agree.
    """
    if name is None and network is None:
        raise InputError(
            f"give --recipe ({', '.join(RECIPES)}) or --network ({', '.join(NETWORKS)})"
        )
    if name is not None and name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    if network is not None and network not in NETWORKS:
        raise InputError(f"unknown network {network!r}; known: {', '.join(NETWORKS)}")
    if name is None:
        name = next(n for n, r in RECIPES.items() if r.network == network)
    recipe = RECIPES[name]
    if network not in (None, recipe.network):
        raise InputError(f"the recipe {name} is for {recipe.network}, not {network}")
    return name, recipe


def adapted(recipe: BackboneRecipe, changes: Mapping[str, Any]) -> BackboneRecipe:
    """A recipe with other settings.

    Args:
        recipe: to start from.
        changes: by name: fields of the recipe, of its network's config, optimiser or
            augmentation, and `template_dim`; None leaves one as it is.

    Returns:
        The recipe.

    Raises:
        InputError: if the network has no such setting, or a value is out of its range.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    if "template_dim" in wanted:
        wanted["embedding_dim"] = wanted.pop("template_dim")
    changed: dict[str, dict[str, Any]] = {}
    for name in sorted(set(wanted) - _fields(recipe)):
        owner = next((p for p in _PARTS if name in _fields(getattr(recipe, p))), None)
        if owner is None:
            raise InputError(
                f"{recipe.network} has no {name} to set; it follows from its width"
            )
        changed.setdefault(owner, {})[name] = wanted.pop(name)
    parts = {
        owner: dataclasses.replace(getattr(recipe, owner), **settings)
        for owner, settings in changed.items()
    }
    recipe = dataclasses.replace(recipe, **wanted, **parts)
    _check(recipe)
    return recipe


def _fields(settings: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(settings)}


def _check(recipe: BackboneRecipe) -> None:
    if recipe.alignment not in ALIGNMENTS:
        known = ", ".join(ALIGNMENTS)
        raise InputError(f"unknown alignment {recipe.alignment!r}; known: {known}")
    size = recipe.config.image_size
    if recipe.alignment == "arcface_112" and size % 112 and size % 128:
        raise InputError(
            f"arcface_112 crops to multiples of 112 or 128 px, not to {size}; choose "
            "another alignment or image_size"
        )
    if recipe.first_people is not None and recipe.first_people < 2:
        raise InputError(f"first_people is {recipe.first_people}; 2 or more, or none")
    for name in ("epochs", "batch"):
        if not getattr(recipe, name) > 0:
            raise InputError(f"{name} must be positive, got {getattr(recipe, name)}")
    if recipe.batch % recipe.triplet_photos and recipe.loss == "softmax_triplet":
        raise InputError(
            f"a batch of {recipe.batch} is not made of {recipe.triplet_photos} photos "
            "of each person; choose a multiple"
        )
