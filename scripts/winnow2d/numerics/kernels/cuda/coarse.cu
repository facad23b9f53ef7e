// The significant coarse poses of each particle: `significance.select_coarse`, one block per particle.
//
// Two kernels: the first finds where significance ends and counts, the second collects. Sums that more than one
// thread adds to are whole numbers, so the order of the threads does not show. Both compute a log weight by the
// same operations; this file is compiled without fused multiply-adds, or they might round apart.

#define THREADS 256
#define BINS 2048  // of one pass over the keys: 11 bits
#define BINS_PER_THREAD (BINS / THREADS)

struct Products {
    const REAL *s1, *s2, *norm;
    const double *log_prior;
    REAL scale;
    long long n_t, n_k, n_h, n, turns;
};

__device__ static Products products_of(const REAL *s1, const REAL *s2, const REAL *norm, const double *log_prior,
                                       const REAL *scale, long long n_t, long long n_k, long long n_h,
                                       long long turns, long long i)
{
    long long n = n_t * n_k * n_h;
    Products own = {s1 + i * n, s2 + i * n, norm + i * n_k * n_h, log_prior + i * n_k * n_t, scale[i],
                    n_t, n_k, n_h, n, turns};
    return own;
}

// Log weights of both turns of product j, which lies at (t, k, h).
__device__ static void values_at(const Products &own, long long j, double *values)
{
    long long kh = j % (own.n_k * own.n_h), k = kh / own.n_h, t = j / (own.n_k * own.n_h);
    REAL offset = own.scale * own.scale * own.norm[kh], first = own.scale * own.s1[j], second = own.scale * own.s2[j];
    double base = (double)(first - offset) + own.log_prior[k * own.n_t + t];
    values[0] = base + (double)second;
    values[1] = base - (double)second;
}

// Distances below the best are not negative: as numbers they are ordered like their bits.
__device__ static unsigned long long key_of(double relative)
{
    return (unsigned long long)__double_as_longlong(relative < 0 ? -relative : 0.0);
}

// Write where significance ends (the largest key that is kept), the best log weight, and how many poses are
// significant and kept. `unit` is the whole number that stands for the weight of the best.
extern "C" __global__ void find_border(
    const REAL *s1, const REAL *s2, const REAL *norm, const double *log_prior, const REAL *image_re,
    const REAL *image_im, const REAL *scale, long long n_px, long long n_t, long long n_k, long long n_h,
    long long turns, double fraction, long long max_count, double log_span, double span, double unit,
    double *best_of, unsigned long long *border_of, long long *count_of, long long *kept_of)
{
    __shared__ double tops[THREADS];
    __shared__ unsigned long long weights[BINS], part_weights[THREADS], total, reached, prefix, border;
    __shared__ unsigned int counts[BINS], part_counts[THREADS];
    __shared__ unsigned int kept;
    __shared__ int is_spoilt, is_done;
    __shared__ long long seen;

    long long i = blockIdx.x;
    int me = threadIdx.x;
    Products own = products_of(s1, s2, norm, log_prior, scale, n_t, n_k, n_h, turns, i);

    if (me == 0) {
        kept = 0;
        is_spoilt = is_done = 0;
        total = reached = prefix = border = 0;
        seen = 0;
    }
    __syncthreads();
    for (long long p = me; p < n_px; p += THREADS) {
        REAL re = image_re[i * n_px + p], im = image_im[i * n_px + p];
        if (!(re - re == 0) || !(im - im == 0))
            is_spoilt = 1;
    }
    double values[2], top = __longlong_as_double(0xfff0000000000000ull);  // minus infinity
    for (long long j = me; j < own.n; j += THREADS) {
        values_at(own, j, values);
        for (int turn = 0; turn < own.turns; turn++)
            if (values[turn] > top || values[turn] != values[turn])  // a NaN stays, as in a maximum of arrays
                top = values[turn];
    }
    tops[me] = top;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (me < half && (tops[me + half] > tops[me] || tops[me + half] != tops[me + half]))
            tops[me] = tops[me + half];
        __syncthreads();
    }
    double best = tops[0];
    if (is_spoilt || !(best - best == 0)) {
        if (me == 0) {
            best_of[i] = 0;
            border_of[i] = 0;
            count_of[i] = kept_of[i] = 0;
        }
        return;
    }

    // The border, eleven bits of its key at a time: the bin in which the running sum exceeds the target.
    for (int shift = 53, width = 11; !is_done; width = shift < 11 ? shift : 11, shift -= width) {
        for (int b = me; b < BINS; b += THREADS) {
            counts[b] = 0;
            weights[b] = 0;
        }
        __syncthreads();
        for (long long j = me; j < own.n; j += THREADS) {
            values_at(own, j, values);
            for (int turn = 0; turn < own.turns; turn++) {
                double relative = values[turn] - best;
                if (!(relative > -log_span))
                    continue;
                unsigned long long key = key_of(relative);
                if (shift < 53 && key >> (shift + width) != prefix)
                    continue;
                int b = (int)(key >> shift & (unsigned long long)((1 << width) - 1));
                atomicAdd(&counts[b], 1u);
                atomicAdd(&weights[b], (unsigned long long)rint(exp(relative) * unit));
            }
        }
        __syncthreads();
        part_counts[me] = 0;
        part_weights[me] = 0;
        for (int b = me * BINS_PER_THREAD; b < (me + 1) * BINS_PER_THREAD; b++) {
            part_counts[me] += counts[b];
            part_weights[me] += weights[b];
        }
        __syncthreads();
        if (me == 0) {
            if (shift == 53)
                for (int c = 0; c < THREADS; c++)
                    total += part_weights[c];
            double target = fraction * (double)total;
            int c = 0;
            for (; c < THREADS; c++) {
                bool is_full = max_count > 0 && seen + (long long)part_counts[c] >= max_count;
                if (is_full || (double)(reached + part_weights[c]) > target)
                    break;
                reached += part_weights[c];
                seen += part_counts[c];
            }
            if (c == THREADS) {  // never reached: all candidates
                border = ~0ull;
                is_done = 1;
            } else {
                int b = c * BINS_PER_THREAD;
                for (;; b++) {
                    bool is_full = max_count > 0 && seen + (long long)counts[b] >= max_count;
                    if (is_full || (double)(reached + weights[b]) > target)
                        break;
                    reached += weights[b];
                    seen += counts[b];
                }
                prefix = prefix << width | (unsigned long long)b;
                if (counts[b] == 1 || shift == 0) {  // one pose, or equals: they are counted up to the border
                    unsigned long long each = weights[b] / counts[b];
                    for (unsigned int m = 0; m < counts[b]; m++) {
                        reached += each;
                        seen += 1;
                        if ((double)reached > target || seen == max_count)
                            break;
                    }
                    border = (prefix << shift) + ((1ull << shift) - 1);
                    is_done = 1;
                }
            }
        }
        __syncthreads();
    }
    for (long long j = me; j < own.n; j += THREADS) {
        values_at(own, j, values);
        for (int turn = 0; turn < own.turns; turn++) {
            double relative = values[turn] - best;
            if (relative > -span && key_of(relative) <= border)
                atomicAdd(&kept, 1u);
        }
    }
    __syncthreads();
    if (me == 0) {
        best_of[i] = best;
        border_of[i] = border;
        count_of[i] = seen;
        kept_of[i] = kept;
    }
}

// Write particle times the number of poses plus pose of everything that is kept, in no order within a particle.
extern "C" __global__ void collect(
    const REAL *s1, const REAL *s2, const REAL *norm, const double *log_prior, const REAL *scale, long long n_t,
    long long n_k, long long n_h, long long turns, double span, const double *best_of,
    const unsigned long long *border_of, const long long *start, long long *found)
{
    __shared__ unsigned int n_found;
    long long i = blockIdx.x;
    int me = threadIdx.x;
    if (start[i] == start[i + 1])
        return;
    Products own = products_of(s1, s2, norm, log_prior, scale, n_t, n_k, n_h, turns, i);
    if (me == 0)
        n_found = 0;
    __syncthreads();
    double values[2], best = best_of[i];
    unsigned long long border = border_of[i];
    for (long long j = me; j < own.n; j += THREADS) {
        values_at(own, j, values);
        for (int turn = 0; turn < own.turns; turn++) {
            double relative = values[turn] - best;
            if (relative > -span && key_of(relative) <= border) {
                long long kh = j % (n_k * n_h), t = j / (n_k * n_h);
                found[start[i] + atomicAdd(&n_found, 1u)] = i * 2 * own.n + (kh * n_t + t) * 2 + turn;
            }
        }
    }
}
