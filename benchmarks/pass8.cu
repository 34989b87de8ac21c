// One pass of RecursiveBlock3d with 8 channels on 5 slices, relu(b(relu(a(x))) + x), as one kernel.
// Memory is read once, for x, and written once, for the result.
//
// Layout: pictures are (B, H, W, 5, 8) in half precision, so 16 bytes a slice and 80 bytes a pixel.
// Eight neighbours at a distance of 80 bytes lie in eight different groups of shared memory's
// banks, so ldmatrix reads them without conflicts, and nothing has to be swizzled.
//
// Tiles: a block of 8 warps makes 16 x 32 pixels of the result. Convolution b needs a ring of one
// pixel around them from a, and a needs one more from x. Shared memory holds
//     input    20 x 36 pixels x 80 bytes    57,600
//     middle   18 x 34 pixels x 80 bytes    48,960
//     together                             106,560 bytes: two blocks on a multiprocessor of 228 KB.
// A block takes every gridDim-th tile.
//
// Stages of a tile, with a barrier after each:
//     1. load    the input, with zeros outside the picture
//     2. a       input -> middle
//     3. b       middle -> the interior of input, where x, the residual, is replaced by the result
//     4. store   the result
//
// Arithmetic: each convolution is a matrix product by mma.m16n8k16. Its rows are 16 pixels, its
// columns the 8 output channels, and its 16 products two of the nine taps of one slice with 8 input
// channels each. That makes five steps a slice; the tenth tap has zero weights. One fragment of
// pixels serves the three output slices that see its slice, so padding in depth costs nothing.
// The weights stay in 30 registers a thread. Sums are float32; a's result is rounded to half.
//
// Two ways in: NVRTC or nvcc compile `pass8` for a card (pass8.py launches it), and
// pass8_emulator.cpp includes this file for a processor, with its own form of the primitives.

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ __launch_bounds__(256, 2)
#define SHARED_MEMORY(name) extern __shared__ __align__(128) char name[]
#define THREAD ((int)threadIdx.x)
#define BLOCK ((int)blockIdx.x)
#define BLOCKS ((int)gridDim.x)
#define BARRIER __syncthreads

DEVICE unsigned shared_address(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}

// Four 8x8 matrices of halves; lane i says where row i % 8 of matrix i / 8 begins.
DEVICE void load_matrices(unsigned (&r)[4], const void* row) {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
        : "r"(shared_address(row))
        : "memory");
}

// c += a b, with a 16x16, b 16x8 and c 16x8.
DEVICE void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats to two halves, x in the lower one.
DEVICE unsigned pack(float x, float y) {
    unsigned r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x));
    return r;
}

DEVICE void unpack(unsigned v, float& x, float& y) {
    asm("{ .reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h; }"
        : "=f"(x), "=f"(y)
        : "r"(v));
}

DEVICE float relu(float x) {
    return fmaxf(x, 0.0f);
}

// 16 bytes from memory to shared memory without waiting, or 16 zeros.
DEVICE void copy16(void* to, const void* from, bool valid) {
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;"
        ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
        : "memory");
}

DEVICE void wait_for_copies() {
    asm volatile("cp.async.wait_all;" ::: "memory");
}

DEVICE void store16(void* to, const void* from) {
    *(uint4*)to = *(const uint4*)from;
}

#endif

#define TILE_H 16
#define TILE_W 32
#define INPUT_H (TILE_H + 4)
#define INPUT_W (TILE_W + 4)
#define MIDDLE_H (TILE_H + 2)
#define MIDDLE_W (TILE_W + 2)
#define SLICES 5
#define SLICE_BYTES 16
#define PIXEL_BYTES (SLICES * SLICE_BYTES)
#define STEPS 5
#define WARPS 8
#define SHARED_BYTES ((INPUT_H * INPUT_W + MIDDLE_H * MIDDLE_W) * PIXEL_BYTES)

// Sums of one convolution for 16 pixels and all slices.
// `at` is the first tap's pixel of this lane's row; `width` is that of the picture it lies in.
// Lanes 0-15 fetch the first tap of a step, lanes 16-31 (`upper`) the second.
DEVICE void convolve(float (&total)[SLICES][4], const unsigned (&factors)[3][STEPS][2],
                     const char* at, int width, bool upper) {
#pragma unroll
    for (int z = 0; z < SLICES; z++)
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            // the tenth tap reads the ninth's pixel, times zero
            int second = 2 * s + 1 > 8 ? 8 : 2 * s + 1;
            int tap = upper ? second : 2 * s;
            unsigned a[4];
            load_matrices(a, at + ((tap / 3) * width + tap % 3) * PIXEL_BYTES + z * SLICE_BYTES);
#pragma unroll
            for (int k = 0; k < 3; k++) {
                int d = z - k + 1;
                if (d >= 0 && d < SLICES) {
                    multiply_add(total[d], a, factors[k][s][0], factors[k][s][1]);
                }
            }
        }
}

// This lane's weights of one convolution, as pack_weights in pass8.py lays them out.
DEVICE void load_weights(unsigned (&factors)[3][STEPS][2], const unsigned* packed, int lane) {
#pragma unroll
    for (int k = 0; k < 3; k++)
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            factors[k][s][0] = packed[((k * STEPS + s) * 32 + lane) * 2];
            factors[k][s][1] = packed[((k * STEPS + s) * 32 + lane) * 2 + 1];
        }
}

// given, result: (batches, height, width, 5, 8) halves.
// packed_a, packed_b: (3 taps in depth, 5 steps, 32 lanes, 2) pairs of halves.
// bias_a, bias_b: 8 floats.
KERNEL void pass8(const char* given, const unsigned* packed_a, const float* bias_a,
                  const unsigned* packed_b, const float* bias_b, char* result,
                  int batches, int height, int width) {
    SHARED_MEMORY(shared);
    char* input = shared;
    char* middle = shared + INPUT_H * INPUT_W * PIXEL_BYTES;
    int thread = THREAD;
    int lane = thread & 31;
    int warp = thread >> 5;
    // of a product's 16 x 8 sums this thread holds rows `group` and `group` + 8,
    // output channels 2 `pair` and 2 `pair` + 1
    int group = lane >> 2;
    int pair = lane & 3;
    int across = (width + TILE_W - 1) / TILE_W;
    int down = (height + TILE_H - 1) / TILE_H;
    for (int tile = BLOCK; tile < batches * down * across; tile += BLOCKS) {
        int left = tile % across * TILE_W;
        int top = tile / across % down * TILE_H;
        long long first_row = (long long)(tile / (across * down)) * height;

        // 1. load
        for (int i = thread; i < INPUT_H * INPUT_W * SLICES; i += WARPS * 32) {
            int pixel = i / SLICES;
            int y = top - 2 + pixel / INPUT_W;
            int x = left - 2 + pixel % INPUT_W;
            bool inside = y >= 0 && y < height && x >= 0 && x < width;
            long long from = inside ? ((first_row + y) * width + x) * PIXEL_BYTES
                                          + i % SLICES * SLICE_BYTES
                                    : 0;
            copy16(input + i * SLICE_BYTES, given + from, inside);
        }
        wait_for_copies();
        BARRIER();

        // 2. a: the last 16 pixels of a warp may lie beyond the end; they read the last pixel
        unsigned factors[3][STEPS][2];
        load_weights(factors, packed_a, lane);
        float bias0 = bias_a[2 * pair];
        float bias1 = bias_a[2 * pair + 1];
        for (int m = warp; m < (MIDDLE_H * MIDDLE_W + 15) / 16; m += WARPS) {
            float total[SLICES][4] = {};
            int p = m * 16 + (lane & 15);
            if (p >= MIDDLE_H * MIDDLE_W) p = MIDDLE_H * MIDDLE_W - 1;
            const char* at = input + (p / MIDDLE_W * INPUT_W + p % MIDDLE_W) * PIXEL_BYTES;
            convolve(total, factors, at, INPUT_W, lane >= 16);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int q = m * 16 + group + 8 * half;
                int y = top - 1 + q / MIDDLE_W;
                int x = left - 1 + q % MIDDLE_W;
                // around the picture b sees zeros, not what a would make there
                bool inside = y >= 0 && y < height && x >= 0 && x < width;
                if (q < MIDDLE_H * MIDDLE_W)
#pragma unroll
                    for (int d = 0; d < SLICES; d++) {
                        float sum0 = total[d][2 * half] + bias0;
                        float sum1 = total[d][2 * half + 1] + bias1;
                        char* to = middle + q * PIXEL_BYTES + d * SLICE_BYTES + pair * 4;
                        *(unsigned*)to = inside ? pack(relu(sum0), relu(sum1)) : 0u;
                    }
            }
        }
        BARRIER();

        // 3. b: only this thread reads a residual that it replaces
        load_weights(factors, packed_b, lane);
        bias0 = bias_b[2 * pair];
        bias1 = bias_b[2 * pair + 1];
        for (int m = warp; m < TILE_H * TILE_W / 16; m += WARPS) {
            float total[SLICES][4] = {};
            int p = m * 16 + (lane & 15);
            const char* at = middle + (p / TILE_W * MIDDLE_W + p % TILE_W) * PIXEL_BYTES;
            convolve(total, factors, at, MIDDLE_W, lane >= 16);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int q = m * 16 + group + 8 * half;
                int place = (q / TILE_W + 2) * INPUT_W + q % TILE_W + 2;
                char* own = input + place * PIXEL_BYTES + pair * 4;
#pragma unroll
                for (int d = 0; d < SLICES; d++) {
                    float x0;
                    float x1;
                    unpack(*(unsigned*)(own + d * SLICE_BYTES), x0, x1);
                    *(unsigned*)(own + d * SLICE_BYTES) =
                        pack(relu(total[d][2 * half] + bias0 + x0),
                             relu(total[d][2 * half + 1] + bias1 + x1));
                }
            }
        }
        BARRIER();

        // 4. store
        for (int i = thread; i < TILE_H * TILE_W * SLICES; i += WARPS * 32) {
            int pixel = i / SLICES;
            int y = pixel / TILE_W;
            int x = pixel % TILE_W;
            if (top + y < height && left + x < width) {
                char* to = result + ((first_row + top + y) * width + left + x) * PIXEL_BYTES
                           + i % SLICES * SLICE_BYTES;
                store16(to, input + ((y + 2) * INPUT_W + x + 2) * PIXEL_BYTES
                                + i % SLICES * SLICE_BYTES);
            }
        }
        BARRIER();
    }
}
