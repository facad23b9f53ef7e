"""VDAM's moment files, run_itNNN_{1,2}moment.mrcs <-> Moments.

RELION writes half spectra of the padded box as real stacks: real and imaginary parts in turn along x, and
the row of frequency zero in the middle. The first file has the classes of one pseudo half-set, then those
of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mrcfile
import numpy as np

from winnow2d.errors import ImageError
from winnow2d.formats.mrc import read_stack_header, split_image_name
from winnow2d.formats.stack_writing import Bytes, stack_parts
from winnow2d.records import Moments


def first_moment_parts(moments: Moments) -> Iterator[Bytes]:
    """Yield the content of the file of the first moments, 2 K sections."""
    first = moments.first.astype(np.complex64, copy=False)
    return stack_parts(_centred(first.reshape(-1, *first.shape[-2:])).view(np.float32), 1.0)


def second_moment_parts(moments: Moments) -> Iterator[Bytes]:
    """Yield that of the second moments, K sections; as in RELION 1 + 1i before their first update, then real."""
    second = _centred(moments.second)
    sections = np.empty((*second.shape, 2), np.float32)
    sections[..., 0], sections[..., 1] = second, second == 1
    return stack_parts(sections.reshape(*second.shape[:-1], -1), 1.0)


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


def _centred(spectra: np.ndarray) -> np.ndarray:
    """Return half spectra with the row of frequency zero in the middle."""
    return np.fft.fftshift(spectra, axes=-2)


def _complex(sections: np.ndarray) -> np.ndarray:
    return np.fft.ifftshift(sections[..., 0::2] + 1j * sections[..., 1::2], axes=-2)
