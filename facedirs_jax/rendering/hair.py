"""Hair of the scalp, which grows by steps along the head."""

from typing import NamedTuple

import numpy as np

from facedirs_jax.rendering.factors import Look, Person
from facedirs_jax.rendering.haircuts import (
    CURTAIN,
    CUTS,
    Cut,
    Habit,
    hair_habit,
    hem_height,
)
from facedirs_jax.rendering.hairline import distance_from_hairline, hair_cover, hair_rgb
from facedirs_jax.rendering.head_model import HeadModel
from facedirs_jax.rendering.skull import MIDDLE, measure_skull
from facedirs_jax.rendering.strand_growth import (
    Laws,
    Seedlings,
    curtain_table,
    find_locks,
    gather,
    grow,
    keep_out,
    wind,
)
from facedirs_jax.rendering.strands import (
    POINTS,
    Roots,
    Skin,
    Strands,
    check_shape,
    draw_roots,
    head_skin,
    no_strands,
    root_points,
    unit,
    vertex_normals,
)

CROWN = (0.06, -0.12)  # dm, x and z on the base head of the whorl
TOP_Y = (7.75, 8.15)  # dm, base heights between which the sides become the top
NAPE_Y, NAPE_LENGTH = (6.8, 7.6), 0.10  # dm; towards the nape short cuts taper
FADE = 0.30  # dm from the hairline over which hair gains its full length
PARTING_WIDTH = 0.3  # dm beside the parting over which hair gains its full volume
EDGE_BAND, EDGE_DENSITY = 0.12, 500.0  # dm and dm^-2 of the fine hairs at the hairline
EDGE_LENGTH, EDGE_WIDTH = 0.12, 0.7  # dm, and times the usual width
SKIN_LAYER = 0.011  # dm, how high the lowest hair lies
ROUNDNESS = 1.08  # dm, radius of the skull that hair runs around
HEM_SPREAD = 0.10  # dm, between the highest and the lowest end of a hem
LOCK_ROOTS = 45  # strands in a lock
GREY_DARK, GREY_TONES = 0.30, (-0.6, 0.18)  # share, log tones of grey hair's two kinds
_HAIR_STREAM = 201


class _Grain(NamedTuple):
    """Random numbers of each strand, and of the lock that it belongs to."""

    own: np.ndarray  # [S, 3] normal
    shared: np.ndarray  # [S, 3] normal, of the lock
    tone: np.ndarray  # [S, 2] normal, of the lock
    turned: np.ndarray  # [S] uniform, of the lock
    first: np.ndarray  # [S] uniform
    second: np.ndarray
    third: np.ndarray


class _Place(NamedTuple):
    """Where strands grow."""

    start: np.ndarray  # [S, 3] dm, on the person's head
    base: np.ndarray  # [S, 3] dm, on the base head
    normals: np.ndarray  # [S, 3] outward
    inside: np.ndarray  # [S] dm from the hairline
    fine: np.ndarray  # [S] whether it is one of the fine hairs at the hairline
    top: np.ndarray  # [S] 0 at the sides and behind to 1 on top


def grow_hair(
    model: HeadModel, neutral: np.ndarray, person: Person, look: Look
) -> Strands:
    """Grows the hair of the scalp.

    Args:
        model: the head model.
        neutral: [V, 3] float32, dm, the shape of the face at rest: hair does not move
            with the expression.
        person: its `detail` draws the parting, waves and hairline.
        look: style, colour and length; its `detail` draws the single strands.

    Returns:
        Strands; none for most bald heads.

    Raises:
        ValueError: if neutral is not [V, 3] or not finite.
    """
    neutral = check_shape(model, neutral)
    skin = head_skin(model)
    cut, habit = CUTS[look.hair_style], hair_habit(person)
    draws = np.random.default_rng([look.detail, _HAIR_STREAM])
    place = _strew(model, skin, neutral, person, look, draws)
    count = len(place.base)
    if not count:
        return no_strands()
    locks = find_locks(place.base, LOCK_ROOTS)
    grain = _draw_grain(locks, draws)
    skull = measure_skull(model, skin, neutral)
    curtain = curtain_table(CURTAIN, cut.fringe)
    laws = Laws(cut.weight, cut.hug, cut.free, parted=float(cut.hem > 0))
    seeds = _seedlings(place, cut, habit, look.hair_length, grain)
    path = grow(seeds, laws, skull, curtain)
    path = gather(path, locks, np.where(place.fine, 0.2, 1.0) * cut.clump)
    if cut.coil:
        coil = cut.coil * (0.5 + habit.wave) * np.where(place.fine, 0.3, 1.0)
        turn = cut.turn * (1 + 0.1 * grain.own[:, 0])
        phase = 2 * np.pi * grain.turned + 0.5 * grain.own[:, 1]
        path = wind(path, coil, phase, turn, skull.center)
    return Strands(
        points=keep_out(path, skull, curtain),
        color=_colors(person, look, grain),
        width=np.where(place.fine, EDGE_WIDTH, 1.0).astype(np.float32),
        gloss=np.full(count, cut.gloss, np.float32),
    )


def _draw_grain(locks: np.ndarray, draws: np.random.Generator) -> _Grain:
    lock, count = locks // LOCK_ROOTS, len(locks)
    of_locks = draws.normal(size=(lock.max() + 1, 5))[lock]
    turned = draws.random(lock.max() + 1)[lock]
    own, uniform = draws.normal(size=(count, 3)), draws.random((3, count))
    return _Grain(own, of_locks[:, :3], of_locks[:, 3:], turned, *uniform)


def _smooth(low: float, high: float, values: np.ndarray) -> np.ndarray:
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _strew(
    model: HeadModel,
    skin: Skin,
    neutral: np.ndarray,
    person: Person,
    look: Look,
    draws: np.random.Generator,
) -> _Place:
    """Sows hair where it grows, and fine hairs along the hairline."""
    cover = hair_cover(model.vertices, person, look)[skin.quads].max(axis=1)
    inside = distance_from_hairline(model.vertices, person)[skin.quads]
    at_edge = (inside.min(axis=1) < EDGE_BAND) & (cover > 0)
    density = CUTS[look.hair_style].density
    full = draw_roots(skin, skin.areas * density * (cover > 0), draws)
    edge = draw_roots(skin, skin.areas * EDGE_DENSITY * at_edge, draws)
    quads, weights = (np.concatenate(both) for both in zip(full, edge, strict=True))
    fine = np.arange(len(quads)) >= len(full.quads)
    base = root_points(quads, weights, model.vertices)
    inside = distance_from_hairline(base, person)
    grows = hair_cover(base, person, look) > draws.random(len(base))
    grows &= ~fine | (inside < EDGE_BAND)
    roots = Roots(quads[grows], weights[grows])
    normals = root_points(*roots, vertex_normals(skin.quads, neutral))
    return _Place(
        start=root_points(*roots, neutral),
        base=base[grows],
        normals=unit(normals),
        inside=inside[grows].astype(np.float64),
        fine=fine[grows],
        top=_smooth(TOP_Y[0], TOP_Y[1], base[grows, 1]),
    )


def _seedlings(
    place: _Place,
    cut: Cut,
    habit: Habit,
    hair_length: float,
    grain: _Grain,
) -> Seedlings:
    x, y, _ = place.base.T
    parting = habit.parting * (0.5 if cut.hem else 1.0)
    parted = np.where(place.top > 0.2, x - parting, x)
    side = np.where(parted >= 0, 1.0, -1.0)
    length = _lengths(place, cut, hair_length) * (0.8 + 0.3 * grain.first)
    heading = _combed(place, side, cut) + cut.wisp * (
        0.6 * grain.own + 0.8 * grain.shared
    )
    layer = cut.volume * habit.body * (0.3 + 0.7 * _smooth(7.0, 8.4, y))
    layer *= 0.2 + 0.8 * _smooth(0.0, FADE, place.inside)  # flat where it begins
    at_parting = place.top * (1 - _smooth(0.0, PARTING_WIDTH, np.abs(parted)))
    layer *= (1 - 0.6 * abs(cut.comb_top[0]) * at_parting) * np.sqrt(grain.second)
    behind = 0.06 * grain.own[:, 2] + 0.08 * grain.tone[:, 1]
    return Seedlings(
        start=place.start,
        heading=unit(heading),
        step=length / (POINTS - 1),
        layer=SKIN_LAYER + np.where(place.fine, 0.0, layer),
        bend=0.25 * cut.wisp * grain.shared,
        hem=hem_height(cut, hair_length) + HEM_SPREAD * (grain.third - 0.5),
        side=side,
        shift=np.abs(behind),
    )


def _lengths(place: _Place, cut: Cut, hair_length: float) -> np.ndarray:
    """[S] dm; more than enough to reach the hem where a cut has one."""
    x, y, z = place.base.T
    if cut.hem:
        above = np.clip((y - MIDDLE[1]) / ROUNDNESS, 0, 1)
        drop = np.minimum(y, MIDDLE[1]) - hem_height(cut, hair_length)
        length = 1.2 * (np.arcsin(above) * ROUNDNESS + drop) + 0.1
    else:
        length = hair_length * (cut.sides + (cut.top - cut.sides) * place.top)
        in_front = np.abs(x) < 1.2 * (z - MIDDLE[2])
        edge = np.where(in_front, max(cut.edge, 0.7), cut.edge)
        length *= edge + (1 - edge) * _smooth(0, FADE, place.inside)
        nape = np.minimum(length, NAPE_LENGTH * hair_length)
        length = nape + (length - nape) * _smooth(NAPE_Y[0], NAPE_Y[1], y)
    return np.where(place.fine, np.minimum(length, EDGE_LENGTH * hair_length), length)


def _combed(place: _Place, side: np.ndarray, cut: Cut) -> np.ndarray:
    """[S, 3] direction at the root: along the skin, and up as far as hair stands."""
    x, y, z = place.base.T
    flat = np.zeros(len(x))
    outward = unit(np.stack([x, flat, z - MIDDLE[2]], axis=1))
    whorl = unit(np.stack([x - CROWN[0], flat, z - CROWN[1]], axis=1))
    across, up, ahead = cut.comb_sides
    sideburn = _smooth(7.55, 7.35, y) * _smooth(0.45, 0.6, z)  # hangs before the ear
    low = across * outward + np.array([0.0, up, ahead])
    low += sideburn[:, None] * (np.array([0.0, -1.0, 0.1]) - low)
    across, up, ahead = cut.comb_top
    before = _smooth(-0.35, 0.15, z)  # the parting ends at the crown
    high = np.stack([across * side * before, flat + up, flat + ahead], axis=1)
    high += (cut.whorl * before + 0.8 * (1 - before))[:, None] * whorl
    combed = low + (high - low) * place.top[:, None]
    n = place.normals
    out = combed[:, 0] * n[:, 0] + combed[:, 1] * n[:, 1] + combed[:, 2] * n[:, 2]
    return unit(combed - 0.9 * out[:, None] * n) + cut.lift * n


def _colors(person: Person, look: Look, grain: _Grain) -> np.ndarray:
    """[S, 3] float32: from strand to strand and lock to lock; darker lying deep."""
    tone = 0.13 * grain.own[:, 0] + 0.10 * grain.tone[:, 0]
    if look.hair_color == "grey":  # white hairs among dark ones, in streaks
        dark = 0.5 * (grain.third + grain.turned) < GREY_DARK
        tone += np.where(dark, *GREY_TONES)
    shade = np.exp(tone) * (0.65 + 0.47 * np.sqrt(grain.second))
    return (hair_rgb(person, look) * shade[:, None]).astype(np.float32)
