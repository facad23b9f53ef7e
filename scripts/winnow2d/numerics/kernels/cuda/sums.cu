// Un-rotated sums of back-projected images: `backproject.add_groups`.

// One thread per row of the sums and pixel: it alone adds to its place, group after group in the order given.
// Row target[r] gets groups order[begin[r]] ... order[begin[r + 1] - 1]. A turn of 180 degrees adds the conjugate.
extern "C" __global__ void add_groups(
    const long long *order, const long long *begin, const long long *target, const long long *particle,
    const long long *turn, const long long *start, const long long *shift, const REAL *weight, const REAL *u_re,
    const REAL *u_im, const REAL *power, const REAL *phase_re, const REAL *phase_im, long long n_px, double *sum_re,
    double *sum_im, double *sum_weight)
{
    long long r = blockIdx.x, p = (long long)blockIdx.y * blockDim.x + threadIdx.x;
    if (p >= n_px)
        return;
    long long at = target[r] * n_px + p;
    double own_re = sum_re[at], own_im = sum_im[at], own_weight = sum_weight[at];
    for (long long j = begin[r]; j < begin[r + 1]; j++) {
        long long g = order[j], image = particle[g] * n_px + p;
        REAL cosine = 0, sine = 0, total = 0;
        for (long long e = start[g]; e < start[g + 1]; e++) {
            cosine += weight[e] * phase_re[shift[e] * n_px + p];
            sine += weight[e] * phase_im[shift[e] * n_px + p];
            total += weight[e];
        }
        REAL re = u_re[image], im = u_im[image], turned = re * sine + im * cosine;
        own_re += (double)(re * cosine - im * sine);
        own_im += (double)(turn[g] ? -turned : turned);
        own_weight += (double)(total * power[image]);
    }
    sum_re[at] = own_re;
    sum_im[at] = own_im;
    sum_weight[at] = own_weight;
}
