"""How to train decoders: sizes, loss, noise and optimiser, by name."""

import dataclasses
from typing import Any

from facedirs_jax.decoders.deep_face_decoder import DeepFaceDecoderConfig
from facedirs_jax.errors import InputError

from .decoder_losses import LossWeights
from .optimisers import OptimiserConfig

_LOSS = LossWeights()
_OPTIMISER = OptimiserConfig(learning_rate=2e-3, weight_decay=0.01, clip_norm=1.0)


@dataclasses.dataclass(frozen=True)
class DecoderRecipe:
    """All settings of a training but the data, the backbone and the seed.

    Attributes:
        config: of the decoder; its template_dim follows from the backbone.
        loss: what its terms weigh.
        noise: standard deviation of the noise on templates, as a share of their own
            spread in training.
        mirror: also trains on mirrored faces, with templates of their own.
        epochs: passes over the training pictures.
        batch: pictures a step.
        optimiser: how gradients become changes of parameters.
        watched: which number of `evaluation.decoding.Likeness` the best weights have
            the highest of, on people held out for validation.
    """

    config: DeepFaceDecoderConfig
    loss: LossWeights = _LOSS
    noise: float = 0.1
    mirror: bool = True
    epochs: float = 10.0
    batch: int = 32
    optimiser: OptimiserConfig = _OPTIMISER
    watched: str = "centred_cosine"


_SMALL_80 = DeepFaceDecoderConfig(
    image_size=80, widths=(192, 160, 96, 48), convs=(2, 1, 1, 1), groups=16
)
_SMALL_64 = DeepFaceDecoderConfig(
    image_size=64, widths=(192, 160, 96, 64), convs=(2, 2, 1, 1), groups=16
)
_PLAIN = LossWeights(feature=0.0, crop=0.0, identity=0.0, depths=())
RECIPES: dict[str, DecoderRecipe] = {
    "small_80": DecoderRecipe(_SMALL_80),
    "small_64": DecoderRecipe(_SMALL_64),
    "small_64_pixels": DecoderRecipe(_SMALL_64, loss=_PLAIN, watched="ssim"),
}
_LOSS_FIELDS = {"feature", "identity", "crop"}
_CONFIG_FIELDS = {"image_size", "width"}


def find_decoder_recipe(name: str, **changes: Any) -> DecoderRecipe:
    """A recipe by its name, with other settings.

    Args:
        name: a key of `RECIPES`.
        changes: `epochs`, `batch`, `noise`, `learning_rate`; `image_size` and `width`
            of the decoder; `feature`, `identity` and `crop` of the loss. None leaves
            one as it is.

    Returns:
        The recipe.

    Raises:
        InputError: if the name is unknown, or a value is out of its range.
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    wanted = {field: value for field, value in changes.items() if value is not None}
    loss = {field: wanted.pop(field) for field in _LOSS_FIELDS & wanted.keys()}
    config = {field: wanted.pop(field) for field in _CONFIG_FIELDS & wanted.keys()}
    if loss.get("feature") and not recipe.loss.depths:
        loss["depths"] = _LOSS.depths
    optimiser = recipe.optimiser
    if "learning_rate" in wanted:
        rate = wanted.pop("learning_rate")
        optimiser = dataclasses.replace(optimiser, learning_rate=rate)
    recipe = dataclasses.replace(
        recipe,
        **wanted,
        config=dataclasses.replace(recipe.config, **config),
        loss=dataclasses.replace(recipe.loss, **loss),
        optimiser=optimiser,
    )
    for field in ("epochs", "batch"):
        if not getattr(recipe, field) > 0:
            raise InputError(f"{field} must be positive, got {getattr(recipe, field)}")
    if not recipe.noise >= 0:
        raise InputError(f"noise is {recipe.noise}; it must not be negative")
    return recipe
