"""Faces rendered from known factors.

    factors (+ sampling, presets) -> morphs -> surface -> skin, hair, glasses, clothing
    -> scene -> shading -> picture -> sensor -> render -> produce

`factors` says what a face is made from, `presets` which faces a data set holds,
`render` makes one picture and `produce` a folder of them. Drawing needs the extra
`synth` (numba); factors, shapes and measures do not.
"""
