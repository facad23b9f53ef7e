// What a CUDA source file needs to run on a CPU, thread by thread: its words, and blocks of threads that wait for
// each other at __syncthreads. Each thread of a block is a context of its own; blocks follow one another.
//
// Threads run in the order of `is_backwards`, up to the next barrier each: what depends on their order, for want of
// a barrier, comes out otherwise backwards. A barrier that only some threads reach is an error.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct Place { unsigned int x, y, z; };
static Place threadIdx, blockIdx, blockDim, gridDim;

namespace device {

const std::size_t STACK = 1 << 16;
static ucontext_t scheduler;
static std::vector<ucontext_t> contexts;
static std::vector<bool> is_finished;
static std::function<void()> body;
static int current;

static void run_thread()
{
    body();
    is_finished[current] = true;
    swapcontext(&contexts[current], &scheduler);
}

// Returns 0, or 1 if some threads of a block ended while others wait at a barrier.
static int run_block(int n_threads, bool is_backwards)
{
    static std::vector<std::unique_ptr<char[]>> stacks;
    while ((int)stacks.size() < n_threads)
        stacks.emplace_back(new char[STACK]);
    contexts.assign(n_threads, ucontext_t());
    is_finished.assign(n_threads, false);
    for (int thread = 0; thread < n_threads; thread++) {
        getcontext(&contexts[thread]);
        contexts[thread].uc_stack.ss_sp = stacks[thread].get();
        contexts[thread].uc_stack.ss_size = STACK;
        contexts[thread].uc_link = nullptr;
        makecontext(&contexts[thread], run_thread, 0);
    }
    for (int n_left = n_threads; n_left > 0;) {
        int n_before = n_left;
        for (int at = 0; at < n_threads; at++) {
            current = is_backwards ? n_threads - 1 - at : at;
            threadIdx.x = current;
            swapcontext(&scheduler, &contexts[current]);
            n_left -= is_finished[current];
        }
        if (n_left != 0 && n_left != n_before)
            return 1;
    }
    return 0;
}

static int launch(const unsigned int *grid, int n_threads, bool is_backwards, std::function<void()> kernel)
{
    body = kernel;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {(unsigned int)n_threads, 1, 1};
    for (unsigned int z = 0; z < grid[2]; z++)
        for (unsigned int y = 0; y < grid[1]; y++)
            for (unsigned int x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                if (run_block(n_threads, is_backwards))
                    return 1;
            }
    return 0;
}

}  // namespace device

static void __syncthreads() { swapcontext(&device::contexts[device::current], &device::scheduler); }

template <typename T> static T atomicAdd(T *place, T value)
{
    T old = *place;
    *place += value;
    return old;
}

static double __longlong_as_double(long long bits)
{
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static long long __double_as_longlong(double value)
{
    long long bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
