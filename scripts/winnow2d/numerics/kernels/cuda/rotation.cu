// References rotated by bilinear interpolation, and sums rotated back: `backproject.rotate_one`, `rotate_back_one`.
// Complex numbers are pairs of reals.

// One thread per class, angle and pixel; index and fraction are (places, 2), places = angles * pixels.
extern "C" __global__ void rotate(
    const REAL *spectra, const int *index, const REAL *fraction, const signed char *sign, long long n_cells,
    long long n_places, REAL *out_re, REAL *out_im)
{
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
    if (at >= n_places)
        return;
    const REAL *below = spectra + 2 * (k * n_cells + index[2 * at]);
    const REAL *above = spectra + 2 * (k * n_cells + index[2 * at + 1]);
    REAL fx = fraction[2 * at], fy = fraction[2 * at + 1], value[2];
    for (int part = 0; part < 2; part++) {
        REAL low = below[part] * (1 - fx) + below[2 + part] * fx, high = above[part] * (1 - fx) + above[2 + part] * fx;
        value[part] = low * (1 - fy) + high * fy;
    }
    out_re[k * n_places + at] = value[0];
    out_im[k * n_places + at] = value[1] * (REAL)sign[at];
}

// One thread per class and cell of the padded grid; the table is turned inside out: cell c gets the shares
// begin[c] ... begin[c + 1] - 1, share e from place source[e].
extern "C" __global__ void rotate_back(
    const long long *begin, const long long *source, const double *share, const signed char *sign,
    const double *sum_re, const double *sum_im, const double *sum_weight, long long n_cells, long long n_places,
    double *data, double *weight)
{
    long long cell = (long long)blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
    if (cell >= n_cells)
        return;
    double re = 0, im = 0, total = 0;
    for (long long e = begin[cell]; e < begin[cell + 1]; e++) {
        long long at = source[e], place = k * n_places + at;
        re += sum_re[place] * share[e];
        im += sum_im[place] * (double)sign[at] * share[e];
        total += sum_weight[place] * share[e];
    }
    data[2 * (k * n_cells + cell)] = re;
    data[2 * (k * n_cells + cell) + 1] = im;
    weight[k * n_cells + cell] = total;
}
