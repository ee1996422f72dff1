// The threads of a block as coroutines of one thread.
#ifndef CHARNN_EMULATED_THREADS_H
#define CHARNN_EMULATED_THREADS_H

#include <ucontext.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace emulation {

// Where a coroutine stopped.
#if defined(__x86_64__)
// Without the system calls for signal masks that swapcontext makes: there are millions of changes.
struct Context {
    void *stack = nullptr;
};
extern "C" void emulation_change(void **from, void *to);
asm(R"(
.text
.type emulation_change, @function
emulation_change:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulation_change, .-emulation_change
)");
inline void change(Context &from, Context &to) { emulation_change(&from.stack, to.stack); }
inline void prepare(Context &context, char *stack, size_t bytes, void (*entry)()) {
    // After six registers `ret` takes the entry; it finds the stack as after a call.
    void **top = (void **)(((size_t)stack + bytes) / 16 * 16) - 2;
    top[0] = (void *)entry;
    top[1] = nullptr;
    context.stack = top - 6;
}
#else
struct Context {
    ucontext_t context;
};
inline void change(Context &from, Context &to) { swapcontext(&from.context, &to.context); }
inline void prepare(Context &context, char *stack, size_t bytes, void (*entry)()) {
    getcontext(&context.context);
    context.context.uc_stack.ss_sp = stack;
    context.context.uc_stack.ss_size = bytes;
    context.context.uc_link = nullptr;
    makecontext(&context.context, entry, 0);
}
#endif

enum class Order { forward, backward, mixed };

// Runs a kernel block by block; returns what went wrong, or nothing.
std::string run(
    const struct Kernel &kernel, const void *arguments, unsigned gridX, unsigned gridY, unsigned gridZ,
    unsigned threads, Order order);

}  // namespace emulation

#endif
