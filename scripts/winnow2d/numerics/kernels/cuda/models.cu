// What the retained poses say of each image: `model_image.compare_models`. No thread writes where another does.

// Pixel by pixel, each (n, p): |image - scale * CTF * model|**2 less posterior * |image|**2; signal times
// reference; reference squared. One thread per particle and pixel; groups are sorted by particle, which owns
// first[i] ... first[i + 1] - 1.
extern "C" __global__ void model_pixels(
    const long long *first, const long long *class_index, const long long *row, const long long *turn,
    const long long *start, const long long *shift, const REAL *weight, const REAL *a_re, const REAL *a_im,
    const REAL *phase_re, const REAL *phase_im, const REAL *x_re, const REAL *x_im, const REAL *ctf,
    const REAL *scale, const REAL *mask, long long n_f, long long n_px, long long image_px, REAL *residual,
    double *cross, double *square)
{
    long long i = blockIdx.x, p = (long long)blockIdx.y * blockDim.x + threadIdx.x;
    if (p >= n_px)
        return;
    REAL re = x_re[i * image_px + p], im = x_im[i * image_px + p], c = ctf[i * image_px + p];
    REAL model_re = 0, model_im = 0, model_power = 0;
    double own_cross = 0, own_square = 0;
    for (long long g = first[i]; g < first[i + 1]; g++) {
        REAL cosine = 0, sine = 0, total = 0;
        for (long long e = start[g]; e < start[g + 1]; e++) {
            cosine += weight[e] * phase_re[shift[e] * n_px + p];
            sine += weight[e] * phase_im[shift[e] * n_px + p];
            total += weight[e];
        }
        long long k = class_index[g], at = (k * n_f + row[g]) * n_px + p;
        REAL ref_re = a_re[at], ref_im = turn[g] ? -a_im[at] : a_im[at];
        REAL here_re = ref_re * cosine + ref_im * sine, here_im = ref_re * sine - ref_im * cosine;
        REAL here_power = total * (ref_re * ref_re + ref_im * ref_im), counted = mask[k * n_px + p] * c;
        model_re += here_re;
        model_im += here_im;
        model_power += here_power;
        own_cross += (double)(counted * (re * here_re - im * here_im));
        own_square += (double)(counted * c * here_power);
    }
    REAL factor = scale[i] * c;
    bool is_weighed = first[i] < first[i + 1];  // else the image may hold NaN
    residual[i * n_px + p] =
        is_weighed ? factor * factor * model_power - 2 * factor * (re * model_re - im * model_im) : (REAL)0;
    cross[i * n_px + p] = own_cross;
    square[i * n_px + p] = own_square;
}

// Weight, weighted offset x and y, weighted squared distance to the prior centre of every group, (g, 4).
extern "C" __global__ void group_moments(
    const long long *particle, const long long *class_index, const long long *start, const long long *shift,
    const REAL *weight, const double *offset_px, const double *shifts_px, const double *prior_px, long long n,
    double *out)
{
    long long g = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (g >= n)
        return;
    long long i = particle[g], k = class_index[g];
    double sums[4] = {0, 0, 0, 0};
    for (long long e = start[g]; e < start[g + 1]; e++) {
        double w = (double)weight[e];
        double x = offset_px[2 * i] + shifts_px[2 * shift[e]], y = offset_px[2 * i + 1] + shifts_px[2 * shift[e] + 1];
        double away_x = prior_px[2 * k] - x, away_y = prior_px[2 * k + 1] - y;
        sums[0] += w;
        sums[1] += w * x;
        sums[2] += w * y;
        sums[3] += w * (away_x * away_x + away_y * away_y);
    }
    for (int j = 0; j < 4; j++)
        out[4 * g + j] = sums[j];
}
