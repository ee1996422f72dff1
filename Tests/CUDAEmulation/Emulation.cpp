// The kernels, and the blocks and threads that run them.
#include "Threads.h"
#include "Kernels.cu"

#include <algorithm>
#include <stdexcept>

namespace emulation {

const Kernel *Kernel::first = nullptr;

namespace {

constexpr size_t stackBytes = 64 << 10;
constexpr int lanes = 32;

struct Thread {
    Context context;
    enum { ready, atBarrier, inWarp, done } state = ready;
    // What it brought to its warp.
    void *brought = nullptr;
    std::vector<PendingCopy> copies;
    std::vector<size_t> groups;
};

struct Block {
    const Kernel *kernel = nullptr;
    const void *arguments = nullptr;
    std::vector<Thread> threads;
    std::unique_ptr<char[]> stacks;
    size_t stackCount = 0;
    Order way = Order::forward;
    std::vector<int> order;
    int current = 0;
    Context scheduler;
};
// One launch runs at a time.
Block block;

void leave(decltype(Thread::state) state) {
    Thread &thread = block.threads[block.current];
    thread.state = state;
    change(thread.context, block.scheduler);
}

void enter() {
    block.kernel->run(block.arguments);
    leave(Thread::done);
}

// Runs all threads of the block at `blockIdx` to their end.
std::string runBlock(int count, Order order, unsigned &seed) {
    for (int i = 0; i < count; i++) {
        Thread &thread = block.threads[i];
        thread.state = Thread::ready;
        thread.copies.clear();
        thread.groups.clear();
        prepare(thread.context, block.stacks.get() + i * stackBytes, stackBytes, enter);
    }
    while (true) {
        bool moved = false;
        for (size_t place = 0; place < block.order.size(); place++) {
            const int i = block.order[place];
            if (block.threads[i].state == Thread::ready) {
                moved = true;
                block.current = i;
                threadIdx = {i, 0, 0};
                change(block.scheduler, block.threads[i].context);
            }
            // In reverse order a warp goes as far as it gets before the next one, otherwise all at the same pace.
            if (order == Order::backward && i % lanes == 0) {
                const Thread *warp = &block.threads[i];
                const bool mayGoOn = std::any_of(warp, warp + std::min(lanes, count - i), [](const Thread &t) {
                    return t.state == Thread::ready;
                });
                if (mayGoOn) place -= std::min(lanes, count - i);
            }
        }
        if (moved) continue;
        const auto waiting = std::count_if(block.threads.begin(), block.threads.begin() + count, [](const Thread &t) {
            return t.state == Thread::atBarrier;
        });
        const auto ended = std::count_if(block.threads.begin(), block.threads.begin() + count, [](const Thread &t) {
            return t.state == Thread::done;
        });
        if (ended == count) return "";
        if (waiting + ended != count) return "some lanes of a warp wait for others that never come";
        if (ended != 0 && waiting != 0) return "some threads ended before a barrier at which others wait";
        for (int i = 0; i < count; i++) block.threads[i].state = Thread::ready;
        if (order == Order::mixed) {
            for (int i = count - 1; i > 0; i--) {
                seed = seed * 1664525 + 1013904223;
                std::swap(block.order[i], block.order[(seed >> 8) % (i + 1)]);
            }
        }
    }
}

}  // namespace

void barrier() { leave(Thread::atBarrier); }

void together(void *own, void (*all)(void *const *)) {
    const int first = block.current / lanes * lanes;
    Thread *warp = &block.threads[first];
    block.threads[block.current].brought = own;
    int arrived = 1;
    for (int i = 0; i < lanes; i++) arrived += warp[i].state == Thread::inWarp;
    if (arrived < lanes) return leave(Thread::inWarp);
    void *brought[lanes];
    for (int i = 0; i < lanes; i++) brought[i] = warp[i].brought;
    all(brought);
    for (int i = 0; i < lanes; i++) {
        if (warp[i].state == Thread::inWarp) warp[i].state = Thread::ready;
    }
}

static void make(const PendingCopy &copy) {
    memcpy((void *)copy.to, copy.from, copy.bytes);
    memset((char *)copy.to + copy.bytes, 0, 16 - copy.bytes);
}

void beginCopy(PendingCopy copy) {
    if (block.way == Order::backward) return make(copy);
    block.threads[block.current].copies.push_back(copy);
}

void endGroup() {
    Thread &thread = block.threads[block.current];
    thread.groups.push_back(thread.copies.size());
}

void wait(int pending) {
    Thread &thread = block.threads[block.current];
    if ((int)thread.groups.size() <= pending) return;
    const size_t complete = thread.groups[thread.groups.size() - pending - 1];
    for (size_t i = 0; i < complete; i++) make(thread.copies[i]);
    thread.copies.erase(thread.copies.begin(), thread.copies.begin() + complete);
    thread.groups.erase(thread.groups.begin(), thread.groups.end() - pending);
    for (size_t &group : thread.groups) group -= complete;
}

std::string run(
    const Kernel &kernel, const void *arguments, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned threads,
    Order order) {
    block.kernel = &kernel;
    block.arguments = arguments;
    if (block.threads.size() < threads) block.threads.resize(threads);
    if (block.stackCount < threads) {
        block.stacks.reset(new char[threads * stackBytes]);
        block.stackCount = threads;
    }
    block.way = order;
    block.order.resize(threads);
    for (unsigned i = 0; i < threads; i++) block.order[i] = order == Order::backward ? threads - 1 - i : i;
    unsigned seed = 1;
    const long long count = (long long)gridX * gridY * gridZ;
    for (long long i = 0; i < count; i++) {
        const long long place = order == Order::backward ? count - 1 - i : i;
        blockIdx = {(int)(place % gridX), (int)(place / gridX % gridY), (int)(place / gridX / gridY)};
        const std::string problem = runBlock(threads, order, seed);
        if (!problem.empty()) return problem;
    }
    return "";
}

}  // namespace emulation
