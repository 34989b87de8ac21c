// Runs pass8.cu on a processor, so that its arithmetic is proved without a card.
//
// Every thread of a block is a fiber. Fibers take turns at barriers and wherever a warp exchanges
// registers. ldmatrix and mma.sync are written out lane by lane, as the PTX manual lays them out:
// a wrong index in the kernel gives a wrong result here. Shared memory begins as NaNs, so that a
// read before a write gives a wrong result too. pass8.py compiles and calls `emulate_pass8`.

#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

static const int LANES = 32;
static const int MAX_WARPS = 64;
static const int STACK_BYTES = 65536;

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static int current;
static int block_index;
static int grid_size;
static char* arena;

static void give_way() {
    swapcontext(&fibers[current].context, &scheduler);
}

struct Barrier {
    int size;
    int count = 0;
    int round = 0;

    void wait() {
        int mine = round;
        if (++count == size) {
            count = 0;
            round++;
            return;
        }
        while (round == mine) give_way();
    }
};

static Barrier block_barrier;
static std::vector<Barrier> warp_barriers;

// What the lanes of a warp show each other.
static const char* shown_rows[MAX_WARPS][LANES];
static unsigned shown_factors[MAX_WARPS][LANES][6];

// The primitives that pass8.cu asks for.
#define DEVICE static inline
#define KERNEL static
#define SHARED_MEMORY(name) char* name = arena
#define THREAD current
#define BLOCK block_index
#define BLOCKS grid_size
#define BARRIER() block_barrier.wait()

static float to_float(unsigned bits) {
    uint16_t half = (uint16_t)bits;
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    return (float)value;
}

static uint16_t to_half(float value) {
    _Float16 rounded = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return bits;
}

static void load_matrices(unsigned (&r)[4], const void* row) {
    int warp = current / LANES;
    int lane = current % LANES;
    shown_rows[warp][lane] = (const char*)row;
    warp_barriers[warp].wait();
    for (int i = 0; i < 4; i++) {
        memcpy(&r[i], shown_rows[warp][8 * i + lane / 4] + lane % 4 * 4, 4);
    }
    warp_barriers[warp].wait();
}

static void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    int warp = current / LANES;
    int lane = current % LANES;
    for (int i = 0; i < 4; i++) shown_factors[warp][lane][i] = a[i];
    shown_factors[warp][lane][4] = b0;
    shown_factors[warp][lane][5] = b1;
    warp_barriers[warp].wait();
    for (int row = 0; row < 2; row++) {
        for (int column = 0; column < 2; column++) {
            double sum = c[2 * row + column];
            for (int k = 0; k < 16; k++) {
                int owner_a = lane / 4 * 4 + k % 8 / 2;
                int owner_b = (lane % 4 * 2 + column) * 4 + k % 8 / 2;
                unsigned pair_a = shown_factors[warp][owner_a][(k >= 8 ? 2 : 0) + row];
                unsigned pair_b = shown_factors[warp][owner_b][k >= 8 ? 5 : 4];
                int shift = 16 * (k % 2);
                sum += (double)to_float(pair_a >> shift) * to_float(pair_b >> shift);
            }
            c[2 * row + column] = (float)sum;
        }
    }
    warp_barriers[warp].wait();
}

static unsigned pack(float x, float y) {
    return to_half(x) | (unsigned)to_half(y) << 16;
}

static void unpack(unsigned v, float& x, float& y) {
    x = to_float(v);
    y = to_float(v >> 16);
}

static float relu(float x) {
    return x > 0 ? x : 0;
}

static void copy16(void* to, const void* from, bool valid) {
    if (valid) {
        memcpy(to, from, 16);
    } else {
        memset(to, 0, 16);
    }
}

static void wait_for_copies() {}

static void store16(void* to, const void* from) {
    memcpy(to, from, 16);
}

#include "pass8.cu"

static struct {
    const char* given;
    const unsigned* packed_a;
    const float* bias_a;
    const unsigned* packed_b;
    const float* bias_b;
    char* result;
    int batches;
    int height;
    int width;
} arguments;

static void run_thread() {
    pass8(arguments.given, arguments.packed_a, arguments.bias_a, arguments.packed_b,
          arguments.bias_b, arguments.result, arguments.batches, arguments.height,
          arguments.width);
    fibers[current].done = true;
    give_way();
}

static void run_block() {
    const int threads = WARPS * LANES;
    memset(arena, 0x7e, SHARED_BYTES);  // 0x7e7e is no number in half precision
    block_barrier = Barrier{threads};
    warp_barriers.assign(WARPS, Barrier{LANES});
    fibers.assign(threads, Fiber{});
    for (Fiber& fiber : fibers) {
        fiber.stack.resize(STACK_BYTES);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = STACK_BYTES;
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, run_thread, 0);
        fiber.done = false;
    }
    int left = threads;
    while (left > 0) {
        for (current = 0; current < threads; current++) {
            if (fibers[current].done) continue;
            swapcontext(&scheduler, &fibers[current].context);
            if (fibers[current].done) left--;
        }
    }
}

extern "C" int shared_bytes() {
    return SHARED_BYTES;
}

extern "C" void emulate_pass8(const char* given, const unsigned* packed_a, const float* bias_a,
                              const unsigned* packed_b, const float* bias_b, char* result,
                              int batches, int height, int width, int blocks) {
    arguments = {given,  packed_a, bias_a, packed_b, bias_b,
                 result, batches,  height, width};
    grid_size = blocks;
    arena = (char*)aligned_alloc(128, (SHARED_BYTES + 127) / 128 * 128);
    for (block_index = 0; block_index < blocks; block_index++) run_block();
    free(arena);
}
