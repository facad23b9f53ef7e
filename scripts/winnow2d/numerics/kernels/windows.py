"""The background of windows made level: loops of the CPU, for one thread each.

Extraction works on whole micrographs at a time, one per thread, so these loops know no threads; they release
the interpreter's lock. `numerics.windows` says what they mean, tests/unit/test_windows.py holds them against
plain array operations.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled


@compiled
def level(images, background, inverse_moments, sign, smallest_deviation):
    """Take a plane fitted to the background from each image (n, y, x), then its mean, and divide by its deviation.

    `background` is 1 outside the circle and 0 inside, (y, x); `inverse_moments` (3, 3) inverts the sums over it
    of the products of 1, x and y. All sums are of double precision.
    """
    box_px = images.shape[-1]
    n_background = np.sum(background)
    for number in range(len(images)):
        image = images[number]
        constant, along_x, along_y = 0.0, 0.0, 0.0
        for row in range(box_px):
            row_sum, row_x = 0.0, 0.0
            for column in range(box_px):
                value = background[row, column] * np.float64(image[row, column])
                row_sum += value
                row_x += value * (column - box_px // 2)
            constant += row_sum
            along_x += row_x
            along_y += row_sum * (row - box_px // 2)
        m = inverse_moments
        height = m[0, 0] * constant + m[0, 1] * along_x + m[0, 2] * along_y
        slope_x = m[1, 0] * constant + m[1, 1] * along_x + m[1, 2] * along_y
        slope_y = m[2, 0] * constant + m[2, 1] * along_x + m[2, 2] * along_y
        total = 0.0
        for row in range(box_px):
            offset = height + slope_y * (row - box_px // 2)
            for column in range(box_px):
                value = np.float64(image[row, column]) - (offset + slope_x * (column - box_px // 2))
                image[row, column] = value
                total += background[row, column] * value
        mean, squares = total / n_background, 0.0
        for row in range(box_px):
            for column in range(box_px):
                difference = np.float64(image[row, column]) - mean
                squares += background[row, column] * difference * difference
        deviation = np.sqrt(squares / n_background)
        factor = sign if deviation < smallest_deviation else sign / deviation
        for row in range(box_px):
            for column in range(box_px):
                image[row, column] = (np.float64(image[row, column]) - mean) * factor
