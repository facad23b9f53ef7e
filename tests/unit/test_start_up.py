"""What the job of a classification imports: each package costs every start, however short the job."""

import subprocess
import sys

import numpy as np
import pytest

from winnow2d.numerics import pocketfft
from winnow2d.numerics.imports import without


def test_a_classification_imports_no_scipy(repository):
    """The compiled loops are loaded and images transformed: that is when numba and SciPy import the rest."""
    code = """
import sys
import class2d
import numpy as np
from winnow2d.numerics import fourier
from winnow2d.numerics.kernels.spectra import unusable
unusable(np.zeros((2, 4, 4), np.float32))
fourier.inverse(fourier.forward(np.ones((1, 4, 4))), 4)
print([name for name in sys.modules if name.split(".")[0] in ("scipy", "matplotlib", "snakemake")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository / "scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_package_that_was_left_out_can_be_imported_later():
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with without("colorsys"):
        assert sys.modules["colorsys"] is colorsys


@pytest.fixture
def fresh():
    pocketfft._transforms.cache_clear()
    yield
    pocketfft._transforms.cache_clear()


class Broken:
    """Another version: other signatures, or other numbers."""

    def r2c(self, images, *arguments):
        return np.fft.rfft2(images)

    def c2r(self, spectra, *arguments):
        return np.fft.irfft2(spectra)


def raises():
    raise StopIteration


@pytest.mark.parametrize("compiled", [raises, object, Broken], ids=["not-there", "other-names", "other-numbers"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scipys_own_functions_take_the_place_of_what_does_not_fit(fresh, rng, monkeypatch, compiled, dtype):
    images = rng.normal(size=(3, 10, 10)).astype(dtype)
    expected = pocketfft.forward(images)
    pocketfft._transforms.cache_clear()
    monkeypatch.setattr(pocketfft, "_compiled", compiled)
    spectra = pocketfft.forward(images)
    assert spectra.dtype == expected.dtype
    assert spectra.tobytes() == expected.tobytes()
    back = pocketfft.inverse(spectra, 10)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, images, atol=1e-5)


def test_spectra_of_another_size_are_refused(rng):
    with pytest.raises(ValueError, match="not those of images of 12 px"):
        pocketfft.inverse(pocketfft.forward(rng.normal(size=(2, 10, 10))), 12)
