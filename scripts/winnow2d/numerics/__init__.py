"""Arrays, Fourier transforms, transfer functions, rotations, masks and shells; no files, no records.

Conventions (each holds everywhere in the package):

- pixel coordinates are x = column - N/2, y = row - N/2; the phase origin is pixel (N/2, N/2);
- a forward transform is divided by N**2, so white noise of variance v has a power of v / N**2,
  and sigma2 or tau2 is half of it: the variance of one component;
- sums run over the half plane kx >= 0 (without kx = 0, ky < 0) and know no Friedel factor of 2;
- with R(psi) = [[cos, -sin], [sin, cos]] a particle shows X(r) = A(R(psi)(r + o)); shifting the
  image by its offset o multiplies X(k) by exp(-2 pi i k.o / N), and then X(k) = A(R(psi) k);
- the transfer function is positive at the origin: particles are white.

tests/golden holds RELION's own iterations that prove them (tests/relion/test_replay.py).
"""
