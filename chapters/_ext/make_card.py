"""Draw the picture that a link to the course shows elsewhere: chapters/_static/social_card.png.

    python chapters/_ext/make_card.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"copied": "training models", "memorized": "samples, memorized prior", "population": "samples, population prior"}


def main():
    """Write the card, 1200 by 630 pixels."""
    mpl.use("Agg")
    result = np.load(ROOT / "data" / "headline.npz", allow_pickle=False)
    fig = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    title = "When a prior\nhas memorized\nits training set"
    fig.text(0.04, 0.62, title, size=36, weight="bold", linespacing=1.3, va="center", color="#0a3d62")
    fig.text(0.04, 0.24, "An executed course on learned priors\nfor geophysical inverse problems", size=18, va="center")
    for row, (key, label) in enumerate(ROWS.items()):
        bottom = 0.69 - 0.32 * row
        fig.text(0.46, bottom + 0.245, label, size=15)
        for column in range(3):
            axes = fig.add_axes((0.46 + 0.175 * column, bottom, 0.165, 0.225))
            axes.imshow(result[key][column], cmap="viridis", vmin=1400, vmax=4000, aspect="auto")
            axes.set_axis_off()
    fig.savefig(ROOT / "chapters" / "_static" / "social_card.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
