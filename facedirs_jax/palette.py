"""Colours of charts: Okabe and Ito's, told apart by the colour-blind too.

Masataka Okabe and Kei Ito, "Color Universal Design" (2008); less its pale yellow, and
with a grey.
"""

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK, GREY = "#56B4E9", "#D55E00", "#000000", "#999999"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, BLACK, GREY)
