// From raw images to what the E-step compares: `spectra.centre_images`, `weighted_images`, `shifted_rows`.

#define THREADS 256

// One block per image. out is (2, n, box, box): masked, then as it is. total is the sum of `outside`.
extern "C" __global__ void centre_images(
    const REAL *images, const REAL *factor, const long long *shift_px, const REAL *outside, double total, long long n,
    long long box, REAL *out)
{
    __shared__ double sums[THREADS];
    long long i = blockIdx.x, size = box * box, dx = shift_px[2 * i], dy = shift_px[2 * i + 1];
    const REAL *image = images + i * size;
    REAL *masked = out + i * size, *plain = out + (n + i) * size;
    int me = threadIdx.x;

    double mine = 0;
    for (long long at = me; at < size; at += THREADS) {
        long long y = at / box - dy, x = at % box - dx;
        bool is_inside = 0 <= y && y < box && 0 <= x && x < box;  // what enters from outside is zero
        plain[at] = is_inside ? image[y * box + x] * factor[i] : (REAL)0;
        mine += (double)(plain[at] * outside[at]);
    }
    sums[me] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (me < half)
            sums[me] += sums[me + half];
        __syncthreads();
    }
    REAL mean = total > 0 ? (REAL)(sums[0] / total) : (REAL)0;
    for (long long at = me; at < size; at += THREADS)
        masked[at] = plain[at] + outside[at] * (mean - plain[at]);
}

// One thread per image and pixel. out is (9, n, n_px); complex images are pairs of reals. Rows of the images and of
// what multiplies them have lengths of their own.
extern "C" __global__ void weighted_images(
    const REAL *masked, const REAL *unmasked, const REAL *model, const REAL *data, const REAL *power,
    const REAL *inverse_sigma2, const REAL *scale, const long long *shell, long long n, long long n_px,
    long long masked_px, long long unmasked_px, long long model_px, long long data_px, long long power_px,
    long long n_shells, REAL *out)
{
    long long i = blockIdx.x, p = (long long)blockIdx.y * blockDim.x + threadIdx.x, at = i * n_px + p;
    if (p >= n_px)
        return;
    REAL w = inverse_sigma2[i * n_shells + shell[p]], c = model[i * model_px + p], own = scale[i];
    REAL compared = p == 0 ? (REAL)0 : (REAL)1;  // the origin is not
    REAL re = masked[2 * (i * masked_px + p)], im = masked[2 * (i * masked_px + p) + 1];
    REAL d = own * data[i * data_px + p] * w;
    REAL values[9] = {
        compared * (c * re * w), compared * (c * im * w), compared * (c * c * w), re, im, c,
        d * unmasked[2 * (i * unmasked_px + p)], d * unmasked[2 * (i * unmasked_px + p) + 1],
        own * own * power[i * power_px + p] * w,
    };
    for (int j = 0; j < 9; j++)
        out[j * n * n_px + at] = values[j];
}

// One thread per image, shift and pixel. out is (n, t, n_px) twice.
extern "C" __global__ void shifted_rows(
    const REAL *re, const REAL *im, const REAL *phase_re, const REAL *phase_im, long long n_t, long long n_px,
    long long image_px, long long phase_px, REAL *out_re, REAL *out_im)
{
    long long row = blockIdx.x, p = (long long)blockIdx.y * blockDim.x + threadIdx.x, i = row / n_t, t = row % n_t;
    if (p >= n_px)
        return;
    REAL a = re[i * image_px + p], b = im[i * image_px + p];
    REAL cosine = phase_re[t * phase_px + p], sine = phase_im[t * phase_px + p];
    out_re[row * n_px + p] = a * cosine - b * sine;
    out_im[row * n_px + p] = a * sine + b * cosine;
}
