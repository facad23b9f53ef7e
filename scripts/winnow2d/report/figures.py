"""Pictures of the page: sheets of class averages as PNG or JPEG, charts as SVG that takes its colours from the page.

The charts are written by hand: they follow the reader's light or dark theme, are a few kB each, and the same
data give the same bytes.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

WIDTH, HEIGHT = 540, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 52
_MAX_MARKS = 800  # above this number of points one path replaces marks that have a tooltip each


@dataclass(frozen=True)
class Sheet:
    """One picture with all class averages of an iteration, row by row."""

    uri: str
    columns: int
    rows: int

    def position(self, index: int) -> str:
        """Return the CSS background position of a tile (0-based)."""
        row, column = divmod(index, self.columns)
        x = 100 * column / max(self.columns - 1, 1)
        y = 100 * row / max(self.rows - 1, 1)
        return f"{x:.4f}% {y:.4f}%"


def tile_edge(n_classes: int, box_px: int) -> int:
    """Return the edge of a tile in px: the box itself, less for large boxes and many classes."""
    limit = 128 if n_classes <= 60 else 96 if n_classes <= 120 else 80
    return min(box_px, limit)


def grey_levels(average: np.ndarray, below: float = 2.5, above: float = 4.0) -> np.ndarray:
    """Return a class average (y, x) as 8-bit grey, from mean - below * sd to mean + above * sd, clipped.

    Mean and standard deviation are those of the disc inscribed in the box: the masked corners would
    otherwise set the contrast. A flat or non-finite average is mid-grey.
    """
    box = average.shape[-1]
    y, x = np.mgrid[:box, :box] - (box - 1) / 2
    disc = average[x * x + y * y <= (box / 2) ** 2].astype(np.float64)
    mean, sd = float(disc.mean()), float(disc.std())
    if not math.isfinite(sd) or sd <= 1e-12 * max(abs(mean), 1e-30):
        return np.full(average.shape, 96, dtype=np.uint8)
    scaled = (average - (mean - below * sd)) / ((below + above) * sd)
    return np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def class_sheet(averages: np.ndarray, largest_exact: int = 300_000, largest_edge: int = 128) -> Sheet:
    """Return the sheet of class averages (k, y, x), each with its own contrast, on tiles of `largest_edge` px or less.

    Above `largest_exact` bytes the picture is no longer exact, so that a page with many classes opens at once.
    """
    n_classes, box = len(averages), averages.shape[-1]
    edge = min(tile_edge(n_classes, box), largest_edge)
    columns = max(math.ceil(math.sqrt(n_classes)), 1)
    rows = max(math.ceil(n_classes / columns), 1)
    canvas = Image.new("L", (columns * edge, rows * edge), 96)
    for index, average in enumerate(averages):
        tile = Image.fromarray(grey_levels(np.asarray(average)))
        if edge != box:
            tile = tile.resize((edge, edge), Image.Resampling.LANCZOS)
        row, column = divmod(index, columns)
        canvas.paste(tile, (column * edge, row * edge))
    return Sheet(_picture_uri(canvas, largest_exact), columns, rows)


def _picture_uri(picture: Image.Image, largest_exact: int) -> str:
    """Return a picture as a data URI: PNG up to a number of bytes, above it JPEG, a quarter of the size."""
    data = io.BytesIO()
    picture.save(data, format="PNG", optimize=True)
    kind = "png"
    if len(data.getvalue()) > largest_exact:
        data, kind = io.BytesIO(), "jpeg"
        picture.save(data, format="JPEG", quality=78, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


@dataclass(frozen=True)
class Axis:
    """One axis of a chart: title, limits and ticks, in the units drawn (after any transformation)."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def fraction(self, value: float) -> float:
        """Return where a value lies between the limits, 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers within [low, high], about `count` of them, in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def linear_axis(title: str, values: np.ndarray, *, floor: float | None = None, pad: float = 0.06) -> Axis:
    """Return an axis around finite values; `floor` fixes its lower end."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    low = low if floor is None else floor
    span = high - low if high > low else max(abs(high), 1.0) * 0.2
    low, high = (low if floor is not None else low - pad * span), (high if high > low else low) + pad * span
    return Axis(title, low, high, tuple((tick, f"{tick:g}") for tick in nice_ticks(low, high)))


def resolution_axis(resolution_ang: np.ndarray) -> Axis:
    """Return an axis linear in 1 / Angstrom, labelled in Angstrom; fine detail lies high, none at zero."""
    finite = resolution_ang[np.isfinite(resolution_ang) & (resolution_ang > 0)]
    high = 1.08 / float(finite.min()) if len(finite) else 0.1
    ticks = [(0.0, "none")]
    for ang in (200, 100, 80, 60, 50, 40, 30, 25, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2, 1.5, 1):
        if 1 / ang <= high and 1 / ang - ticks[-1][0] >= high / 9:
            ticks.append((1 / ang, f"{ang:g}"))
    return Axis("Resolution (Å)", 0.0, high, tuple(ticks))


def share_axis(share: np.ndarray) -> Axis:
    """Return an axis of percent on a square-root scale, so small classes stay apart."""
    high = max(float(np.max(share, initial=0.0)) * 100, 0.1) * 1.1
    candidates = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 50, 75, 100)
    ticks: list[tuple[float, str]] = []
    for percent in candidates:
        root = math.sqrt(percent)
        if percent <= high and (not ticks or root - ticks[-1][0] >= math.sqrt(high) / 9):
            ticks.append((root, f"{percent:g}"))
    return Axis("Share of the particles (%, square-root scale)", 0.0, math.sqrt(high), tuple(ticks))


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.fraction(value) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.fraction(value) * (HEIGHT - _TOP - _BOTTOM)


def _chart(x: Axis, y: Axis, body: str, description: str) -> str:
    """Return a whole SVG: grid, ticks, titles and the marks in `body`."""
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">']
    for value, text in y.ticks:
        at = _y(y, value)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{at + 4:.1f}">{escape(text)}</text>')
    for value, text in x.ticks:
        at = _x(x, value)
        parts.append(f'<path class="notch" d="M{at:.1f} {bottom}v5"/>')
        parts.append(f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{bottom + 19}">{escape(text)}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    parts.append(f'<text class="title" text-anchor="middle" x="{middle_x}" y="{HEIGHT - 9}">{escape(x.title)}</text>')
    turned = f'transform="translate(15 {middle_y}) rotate(-90)"'
    parts.append(f'<text class="title" text-anchor="middle" {turned}>{escape(y.title)}</text>')
    return "".join([*parts, body, "</svg>"])


def resolution_against_share(classes: pd.DataFrame) -> str:
    """Return the SVG of resolution against share; kept classes are filled discs, dropped ones crosses."""
    x, y = share_axis(classes["share"].to_numpy()), resolution_axis(classes["resolution_ang"].to_numpy())
    marks = []
    for row in classes.sort_values(["is_kept", "class_number"]).itertuples():
        at_x = _x(x, math.sqrt(max(row.share, 0) * 100))
        at_y = _y(y, 1 / row.resolution_ang if math.isfinite(row.resolution_ang) else 0.0)
        word = "kept" if row.is_kept else "dropped"
        ang = f"{row.resolution_ang:.1f} Å" if math.isfinite(row.resolution_ang) else "no resolution"
        title = f"Class {row.class_number}, {word}: {row.n_particles:,} particles, {100 * row.share:.2f} %, {ang}"
        shape = (
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5"'
            if row.is_kept
            else f'<path d="M{at_x - 4:.1f} {at_y - 4:.1f}l8 8m0 -8l-8 8"'
        )
        marks.append(f'{shape} class="{word}" data-class="{row.class_number}"><title>{title}</title>')
        marks.append("</circle>" if row.is_kept else "</path>")
    return _chart(x, y, "".join(marks), "Resolution of each class against its share of the particles")


def scale_against_defocus(groups: pd.DataFrame) -> str:
    """Return the SVG of group scale correction against mean defocus, with a line at scale 1."""
    x = linear_axis("Mean defocus of the group (µm)", groups["defocus_um"].to_numpy())
    y = linear_axis("Group scale correction", np.append(groups["scale"].to_numpy(), 1.0))
    places = [(_x(x, u), _y(y, v)) for u, v in zip(groups["defocus_um"], groups["scale"], strict=True)]
    body = f'<path class="reference" d="M{_LEFT} {_y(y, 1.0):.1f}H{WIDTH - _RIGHT}"/>'
    if len(places) > _MAX_MARKS:
        body += f'<path class="dots" d="{"".join(f"M{a:.1f} {b:.1f}h0" for a, b in places)}"/>'
        return _chart(x, y, body, "Scale correction of each intensity group against its mean defocus")
    for (at_x, at_y), row in zip(places, groups.itertuples(), strict=True):
        text = f"{row.name}: scale {row.scale:.3f}, {row.defocus_um:.2f} µm, {row.n_particles:,} particles"
        body += f'<circle class="group" cx="{at_x:.1f}" cy="{at_y:.1f}" r="4.5"><title>{escape(text)}</title></circle>'
    return _chart(x, y, body, "Scale correction of each intensity group against its mean defocus")


def _curve(x: Axis, y: Axis, numbers: pd.Series, values: np.ndarray, texts: Sequence[str]) -> str:
    """Return a line with a mark at each iteration; values that are not finite leave a gap."""
    path, marks, is_open = "", "", False
    for number, value, text in zip(numbers, values, texts, strict=True):
        if not math.isfinite(value):
            is_open = False
            continue
        at_x, at_y = _x(x, number), _y(y, value)
        path += f"{'L' if is_open else 'M'}{at_x:.1f} {at_y:.1f}"
        marks += f'<circle class="step" cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.5"><title>{escape(text)}</title></circle>'
        is_open = True
    return f'<path class="curve" d="{path}"/>{marks}'


def resolution_by_iteration(history: pd.DataFrame) -> str:
    """Return the SVG of the resolution of the best class after each iteration."""
    ang = history["resolution_ang"].to_numpy(dtype=float)
    ang = np.where(np.isfinite(ang) & (ang > 0) & (ang < 999), ang, np.inf)
    x, y = _iteration_axis(history), resolution_axis(ang)
    words = [f"{a:.1f} Å" if math.isfinite(a) else "no resolution" for a in ang]
    texts = [f"Iteration {n}: {word}" for n, word in zip(history["iteration"], words, strict=True)]
    return _chart(x, y, _curve(x, y, history["iteration"], 1 / ang, texts), "Resolution after each iteration")


def pmax_by_iteration(history: pd.DataFrame) -> str:
    """Return the SVG of the average maximum probability after each iteration."""
    pmax = history["average_max_probability"].to_numpy(dtype=float)
    x, y = _iteration_axis(history), linear_axis("Average Pmax", pmax, floor=0.0)
    texts = [f"Iteration {n}: {p:.3f}" for n, p in zip(history["iteration"], pmax, strict=True)]
    return _chart(x, y, _curve(x, y, history["iteration"], pmax, texts), "Average maximum probability by iteration")


def _iteration_axis(history: pd.DataFrame) -> Axis:
    """Return an axis with whole iteration numbers."""
    numbers = history["iteration"].to_numpy(dtype=float)
    low, high = float(numbers.min()), float(numbers.max())
    low, high = (low - 0.5, high + 0.5) if high > low else (low - 1, high + 1)
    ticks = [tick for tick in nice_ticks(low, high, 6) if tick == int(tick)]
    return Axis("Iteration", low, high, tuple((tick, f"{tick:g}") for tick in ticks))
