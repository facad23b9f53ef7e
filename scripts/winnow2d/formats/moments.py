"""VDAM's moment files, run_itNNN_{1,2}moment.mrcs <-> Moments.

RELION writes half spectra of the padded box as real stacks: real and imaginary parts in turn along x, and
the row of frequency zero in the middle. The first file has the classes of one pseudo half-set, then those
of the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import mrcfile
import numpy as np

from winnow2d.errors import ImageError
from winnow2d.formats.mrc import read_stack_header, split_image_name, write_stack
from winnow2d.records import Moments


def write_first_moments(path: str | os.PathLike, moments: Moments) -> None:
    """Write the first moments, 2 K sections."""
    first = moments.first
    write_stack(path, _interleaved(first.reshape(-1, *first.shape[-2:])), 1.0)


def write_second_moments(path: str | os.PathLike, moments: Moments) -> None:
    """Write the second moments, K sections; as in RELION they are 1 + 1i before their first update, and then real."""
    write_stack(path, _interleaved(moments.second + 1j * (moments.second == 1)), 1.0)


def read_moments(first_names: Sequence[str], second_names: Sequence[str], n_classes: int, box_px: int) -> Moments:
    """Return moments from the images a model file names in rlnGradMoment1 and rlnGradMoment2.

    Parameters
    ----------
    first_names, second_names : K names number@file each
        The first moments of the other half-set follow K sections later.

    Raises
    ------
    ImageError
        A file is missing, or its size is not that of the padded box.
    """
    other_half = [_later(name, n_classes) for name in first_names]
    first = _complex(_read([*first_names, *other_half], box_px)).reshape(2, n_classes, 2 * box_px, box_px + 1)
    second = _complex(_read(second_names, box_px)).real
    return Moments(first.astype(np.complex64), np.ascontiguousarray(second, dtype=np.float32))


def _later(name: str, n_sections: int) -> str:
    number, file = name.split("@", 1)
    return f"{int(number) + n_sections}@{file}"


def _read(names: Sequence[str], box_px: int) -> np.ndarray:
    numbers, files = zip(*(split_image_name(name) for name in names), strict=True)
    expected = (max(numbers) + 1, 2 * box_px, 2 * (box_px + 1))
    header = read_stack_header(files[0])
    found = (header.n_images, header.box_y, header.box_x)
    if len(set(files)) > 1 or found[0] < expected[0] or found[1:] != expected[1:]:
        raise ImageError(
            f"{files[0]}: {found[0]} sections of {found[1]} x {found[2]}, expected one file of at least "
            f"{expected[0]} sections of {expected[1]} x {expected[2]} for a box of {box_px} px"
        )
    return mrcfile.read(files[0]).reshape(found)[list(numbers)]


def _interleaved(spectra: np.ndarray) -> np.ndarray:
    centred = np.fft.fftshift(spectra, axes=-2)
    return np.stack([centred.real, centred.imag], axis=-1).reshape(*centred.shape[:-1], -1)


def _complex(sections: np.ndarray) -> np.ndarray:
    return np.fft.ifftshift(sections[..., 0::2] + 1j * sections[..., 1::2], axes=-2)
