// Log weights of the children of coarse poses: `fine.score_fine`, one block per coarse pose.

#define THREADS 64
#define SUMS 18  // real and imaginary products of two angles and four shifts; the power of each angle

// out is (poses, 2, 4): angle by shift. Rows of refs, images and phases may be longer than the n_px compared.
extern "C" __global__ void child_scores(
    const long long *ids, const long long *particle, const REAL *y_re, const REAL *y_im, const REAL *power,
    const REAL *a_re, const REAL *a_im, const REAL *phase_re, const REAL *phase_im, const REAL *scale,
    const double *log_prior, long long n_k, long long n_h, long long n_t, long long n_px, long long image_px,
    long long ref_px, long long phase_px, double *out)
{
    __shared__ REAL sums[SUMS][THREADS];
    long long s = blockIdx.x, i = particle[s], turn = ids[s] % 2, t = ids[s] / 2 % n_t, kh = ids[s] / (2 * n_t);
    long long k = kh / n_h, h = kh % n_h, ref = (k * 2 * n_h + 2 * h) * ref_px, phase = 4 * t * phase_px;
    int me = threadIdx.x;

    REAL mine[SUMS] = {0};
    for (long long p = me; p < n_px; p += THREADS) {
        REAL re = y_re[i * image_px + p], im = y_im[i * image_px + p], c2 = power[i * image_px + p];
        REAL re0 = a_re[ref + p], im0 = a_im[ref + p], re1 = a_re[ref + ref_px + p], im1 = a_im[ref + ref_px + p];
        for (int j = 0; j < 4; j++) {
            REAL cosine = phase_re[phase + j * phase_px + p], sine = phase_im[phase + j * phase_px + p];
            REAL turned_re = re * cosine - im * sine, turned_im = re * sine + im * cosine;
            mine[j] += re0 * turned_re;
            mine[4 + j] += re1 * turned_re;
            mine[8 + j] += im0 * turned_im;
            mine[12 + j] += im1 * turned_im;
        }
        mine[16] += c2 * (re0 * re0 + im0 * im0);
        mine[17] += c2 * (re1 * re1 + im1 * im1);
    }
    for (int j = 0; j < SUMS; j++)
        sums[j][me] = mine[j];
    __syncthreads();
    if (me < SUMS) {
        REAL sum = 0;
        for (int from = 0; from < THREADS; from++)
            sum += sums[me][from];
        sums[me][0] = sum;  // its own row only
    }
    __syncthreads();
    if (me < 8) {
        REAL own = scale[i], sign = turn ? -own : own;
        REAL value = own * sums[me][0] + sign * sums[8 + me][0] - own * own * (sums[16 + me / 4][0] / 2);
        out[8 * s + me] = (double)value + log_prior[(i * n_k + k) * n_t + t];
    }
}
