"""Images that cannot be used are marked wherever they are first read."""

from __future__ import annotations

import numpy as np
import pytest

from winnow2d.engine.source import ImageSource
from winnow2d.errors import ImageError
from winnow2d.numerics.kernels.spectra import unusable


class Stack:
    """Images in memory."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.images[indices]


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.standard_normal((100, 8, 8)).astype(np.float32)


def test_good_images_come_as_they_are(images):
    source = ImageSource(Stack(images), 100, np.dtype(np.float32))
    np.testing.assert_array_equal(source.read(np.array([3, 5])), images[[3, 5]])
    assert not source.is_broken.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_makes_an_image_unusable(images, value):
    images[7, 2, 2] = value
    source = ImageSource(Stack(images), 100, np.dtype(np.float64))
    found = source.read(np.arange(6, 9))
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()
    assert found.dtype == np.float64
    np.testing.assert_array_equal(np.flatnonzero(source.is_broken), [7])


def test_a_constant_image_is_unusable(images):
    images[4] = 2.5
    source = ImageSource(Stack(images), 100, np.dtype(np.float32))
    assert np.isnan(source.read(np.array([4]))).all()


def test_an_unusable_image_stays_so(images, monkeypatch):
    """Pixels are looked at when first read; later the image comes as NaN all the same."""
    images[4] = 2.5
    source = ImageSource(Stack(images), 100, np.dtype(np.float32))
    source.read(np.arange(3, 5))
    checked = []
    monkeypatch.setattr("winnow2d.engine.source.unusable", lambda some: checked.append(len(some)) or unusable(some))
    assert np.isnan(source.read(np.array([3, 4]))).all(axis=(1, 2)).tolist() == [False, True]
    assert checked == []
    source.read(np.array([3, 7]))
    assert checked == [2]


def test_more_than_a_twentieth_stops_and_names_rows(images):
    images[10:15] = 0
    source = ImageSource(Stack(images), 100, np.dtype(np.float32))
    source.read(np.arange(10, 15))
    source.check()
    images[15] = 0
    source.read(np.arange(100))
    with pytest.raises(ImageError, match=r"^6 of 100 images .* rows 11, 12, 13, 14, 15 \.\.\."):
        source.check()


class FetchingStack(Stack):
    """Notes in which order images are fetched and read."""

    def __init__(self, images: np.ndarray):
        super().__init__(images)
        self.told: list[str] = []

    def will_read(self, indices: np.ndarray) -> None:
        self.told.append(f"fetch {indices.tolist()}")


def test_the_next_batch_is_fetched_while_one_is_worked_on(images):
    stack = FetchingStack(images)
    source = ImageSource(stack, 100, np.dtype(np.float32))
    source.will_read(np.array([0, 1, 2]))
    source.will_read(np.array([], int))
    assert stack.told == ["fetch [0, 1, 2]"]


def test_a_stack_in_memory_has_nothing_to_fetch(images):
    source = ImageSource(Stack(images), 100, np.dtype(np.float32))
    source.will_read(np.array([1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_unusable(rng, dtype):
    images = rng.normal(size=(6, 8, 8)).astype(dtype)
    images[1, 7, 7] = np.nan
    images[2, 3, 0] = -np.inf
    images[3] = 4.5
    images[4] = 4.5
    images[4, 7, 7] = 4.25
    images[5] *= 1e30
    assert unusable(images).tolist() == [False, True, True, True, False, False]
