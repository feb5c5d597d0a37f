"""What a person's factors and look make of the colours of their skin.

Skin scatters light back through a layer of melanin and a layer of blood; each takes its
share of red, green and blue (Beer's law). Everything drawn at random is drawn from a
stream of its own, so that no factor changes what another one drew.
"""

import math
from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.compiled import njit
from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.hairline import hair_rgb
from facedirs_jax.rendering.texels import CLOUDS, FIELD_STEPS, GRAIN_SIDE
from facedirs_jax.rendering.vectors import smooth_step
from facedirs_jax.rendering.zones import WRINKLE_SETS

# Linear RGB of skin without melanin, and optical depths of the two layers at 1.
PALE = (0.830, 0.595, 0.465)
MELANIN_DEPTH = (1.82, 2.28, 2.76)
BLOOD_DEPTH = (0.03, 0.33, 0.24)
USUAL_BLOOD = 0.3  # that PALE holds
VEIL = 1.0  # how much melanin hides the blood beneath it
TINT_SPREAD, MOST_TINT = (0.012, 0.010, 0.014), 0.025  # of log red, green and blue

# Spread of melanin and blood over the skin: of wide clouds, then of small ones.
MELANIN_CLOUDS, BLOOD_CLOUDS = (0.012, 0.010), (0.09, 0.11)
CLOUDED_MELANIN = 0.08  # of which the clouds have half their spread

WRINKLE_AGES = (45.0, 85.0)  # years from none to all

# Lips: their share of the skin's red, green and blue, pale and at a melanin of 1.
PALE_LIPS, DARK_LIPS = (0.86, 0.545, 0.56), (0.84, 0.66, 0.70)
LIPSTICK = ((0.28, 0.46), (0.035, 0.10), (0.045, 0.115))  # ranges, linear RGB
LIP_CREASES = 256  # steps of the table of creases

EYE_SHADOW = (0.11, 0.075, 0.08)  # linear RGB, times 0.5 to 1.4

BROW_SHARE = 0.8  # of the hair's colour
BRIGHTEST_BROW = (0.170, 0.115, 0.070)
BROW_CONTRAST = 0.5  # most share of the skin's colour
STUBBLE_VEIL = (0.035, 0.042, 0.056)  # light that skin scatters over short dark hair
STUBBLE_CONTRAST = 0.6
GROUND = {  # of facial hair: opacity at an amount of 0 and of 1, and of its grain
    "none": (0.0, 0.0, 0.0),
    "stubble": (0.35, 0.75, 0.40),
    "moustache": (0.35, 0.60, 0.35),
    "beard": (0.35, 0.65, 0.35),
}
SCALP = {"bald": 0.80, "buzz": 0.80}  # opacity of hair seen on the scalp
THICK_SCALP = 0.92

_TINT, _MELANIN, _BLOOD, _PORES = 201, 202, 203, 204  # streams of the person's detail
_FOLDS, _LIPS, _CREASES = 206, 207, 209
_LIPSTICK, _EYE_SHADOW = 221, 222  # streams of the look's detail


class Complexion(NamedTuple):
    """One person's skin, in numbers that the painter needs.

    Attributes:
        melanin: amount in even skin.
        blood: amount in even skin.
        tint: [3], times the colour.
        even: [3], linear RGB of even skin.
        melanin_clouds: [F], what each field of clouds adds, a step of it.
        blood_clouds: [F].
        flush: the person's factors.
        under_eye: ditto.
        aged: wrinkles, 0 to 1.
        folds: which set of wrinkles.
        pores: [2] int64, rows and columns by which the grain of pores is moved.
        lips: [3], linear RGB.
        lip_gloss: added to the gloss.
        lip_creases: [LIP_CREASES], in [0, 1].
        lid: [3], linear RGB of the eye shadow.
        lid_opacity: of it.
        scalp: [3], linear RGB under the hair.
        scalp_opacity: at full cover.
        beard: [3], linear RGB of the ground between facial hair.
        beard_opacity: at full cover.
        beard_grain: how uneven it is, 0 to 1.
        brow: [3], linear RGB.
    """

    melanin: float
    blood: float
    tint: np.ndarray
    even: np.ndarray
    melanin_clouds: np.ndarray
    blood_clouds: np.ndarray
    flush: float
    under_eye: float
    aged: float
    folds: int
    pores: np.ndarray
    lips: np.ndarray
    lip_gloss: float
    lip_creases: np.ndarray
    lid: np.ndarray
    lid_opacity: float
    scalp: np.ndarray
    scalp_opacity: float
    beard: np.ndarray
    beard_opacity: float
    beard_grain: float
    brow: np.ndarray


def complexion(person: Person, look: Look, *, scale: int = 1) -> Complexion:
    """Works out a person's colours, for a texture of a scale."""
    even = skin_rgb(person)
    hair = hair_rgb(person, look)
    spread = person.melanin / (person.melanin + CLOUDED_MELANIN)
    lips = _lips(person, even)
    veil = np.array(STUBBLE_VEIL) * even / PALE
    low, high, beard_grain = GROUND[look.facial_hair]
    stick = _draw(look.detail, _LIPSTICK).uniform(*np.array(LIPSTICK).T)
    shade = _draw(look.detail, _EYE_SHADOW).uniform(0.5, 1.4)
    painted = 0.9 * look.lipstick
    return Complexion(
        melanin=person.melanin,
        blood=person.blood,
        tint=_tint(person),
        even=even,
        melanin_clouds=spread * _clouds(person, _MELANIN, MELANIN_CLOUDS),
        blood_clouds=_clouds(person, _BLOOD, BLOOD_CLOUDS),
        flush=person.flush,
        under_eye=person.under_eye,
        aged=smooth_step(*WRINKLE_AGES, person.age) ** 0.75,
        folds=int(_draw(person.detail, _FOLDS).integers(WRINKLE_SETS)),
        pores=_draw(person.detail, _PORES).integers(0, GRAIN_SIDE, 2) // scale,
        lips=lips * (1 - painted) + stick * painted,
        lip_gloss=0.45 + 0.55 * look.lipstick,
        lip_creases=_lip_creases(person),
        lid=shade * np.array(EYE_SHADOW),
        lid_opacity=0.85 * look.eye_shadow,
        scalp=np.minimum(0.8 * hair + 0.008, 0.8 * even),
        scalp_opacity=SCALP.get(look.hair_style, THICK_SCALP),
        beard=np.minimum(0.5 * hair + veil, STUBBLE_CONTRAST * even),
        beard_opacity=low + (high - low) * look.facial_hair_amount,
        beard_grain=beard_grain,
        brow=np.minimum(
            np.minimum(BROW_SHARE * hair, BRIGHTEST_BROW), BROW_CONTRAST * even
        ),
    )


def skin_rgb(person: Person) -> np.ndarray:
    """Colour of a person's even skin, as of the neck.

    Returns:
        [3] float64, linear albedo.
    """
    return np.array(absorb(person.melanin, person.blood)) * _tint(person)


@njit(inline="always")
def absorb(melanin: float, blood: float) -> tuple[float, float, float]:
    """Linear red, green and blue of skin, without a person's tint."""
    seen = (blood - USUAL_BLOOD) / (1.0 + VEIL * melanin)
    return (
        PALE[0] * decay(MELANIN_DEPTH[0] * melanin + BLOOD_DEPTH[0] * seen),
        PALE[1] * decay(MELANIN_DEPTH[1] * melanin + BLOOD_DEPTH[1] * seen),
        PALE[2] * decay(MELANIN_DEPTH[2] * melanin + BLOOD_DEPTH[2] * seen),
    )


@njit(inline="always")
def decay(depth: float) -> float:
    """exp(-depth) to 1e-7 for |depth| < 6, the same on every machine."""
    x = depth / 64.0
    series = 1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0))))
    for _ in range(6):
        series *= series
    return 1.0 / series


def _draw(detail: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([detail, stream])


def _tint(person: Person) -> np.ndarray:
    drawn = _draw(person.detail, _TINT).normal(size=3) * np.array(TINT_SPREAD)
    return 1 + np.clip(drawn, -MOST_TINT, MOST_TINT)


def _clouds(person: Person, stream: int, spreads: tuple[float, ...]) -> np.ndarray:
    """[F], weights of the fields whose sum has a given spread for each blur."""
    rng = _draw(person.detail, stream)
    weights = []
    for (count, _), spread in zip(CLOUDS, spreads, strict=True):
        drawn = rng.normal(size=count)
        weights.append(drawn * (spread / math.sqrt(sum(drawn * drawn))))
    return np.concatenate(weights) / FIELD_STEPS


def _lips(person: Person, even: np.ndarray) -> np.ndarray:
    dark = min(person.melanin, 1.0)
    share = (1 - dark) * np.array(PALE_LIPS) + dark * np.array(DARK_LIPS)
    return even * share * (1 + 0.04 * _draw(person.detail, _LIPS).normal(size=3))


def _lip_creases(person: Person) -> np.ndarray:
    """Darkness of the creases from one corner of the mouth to the other, and around."""
    drawn = _draw(person.detail, _CREASES).random(LIP_CREASES + 1)[1:]
    return (drawn + np.roll(drawn, 1)) ** 2 / 4
