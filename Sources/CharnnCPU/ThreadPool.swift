import Glibc
import Synchronization

/// Threads that run numbered tasks; the caller is one of them.
///
/// Which thread runs a task is chance; what a task computes must depend on its number alone.
final class ThreadPool {
    let count: Int
    private let shared = Shared()
    private var threads: [pthread_t] = []

    init(count: Int) {
        self.count = max(1, count)
        // Signals belong to the threads of whoever uses the engine.
        var all = sigset_t()
        var old = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &old)
        for _ in 1..<self.count {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(shared)
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().work()
                    return nil
                }, argument.toOpaque())
            if status == 0 { threads.append(thread) } else { argument.release() }
        }
        pthread_sigmask(SIG_SETMASK, &old, nil)
    }

    deinit {
        shared.stop()
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Runs `body` with 0, 1, ... `tasks - 1`, each once, and returns when all have ended.
    func run(_ tasks: Int, _ body: (Int) -> Void) {
        guard tasks > 1, !threads.isEmpty else {
            for task in 0..<tasks { body(task) }
            return
        }
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { pointer in
                shared.run(tasks, UnsafeMutableRawPointer(pointer)) { context, task in
                    context.assumingMemoryBound(to: ((Int) -> Void).self).pointee(task)
                }
            }
        }
    }

    /// What a task of ``run(_:_:task:)`` is: a function of its context and number that captures nothing.
    typealias Task = @convention(c) (_ context: UnsafeMutableRawPointer, _ task: Int) -> Void

    /// The same without allocation and, while the helpers have not gone to sleep, without a lock.
    func run(_ tasks: Int, _ context: UnsafeMutableRawPointer, task: Task) {
        guard tasks > 1, !threads.isEmpty else {
            for number in 0..<tasks { task(context, number) }
            return
        }
        shared.run(tasks, context, task)
    }
}

/// What caller and helpers share.
///
/// A round is opened by the caller: it sets what is to be run, then `ticket`, whose low half counts the tasks that nobody
/// has taken and whose high half counts rounds. Who takes one off the low half runs that task and counts `done` up; the
/// caller takes part and goes on when `done` is the number of tasks. Thus whoever runs a task keeps its round open, and
/// a helper that was not scheduled holds nobody up.
private final class Shared: @unchecked Sendable {
    // Sound: these are written only while no task is left or running, and `ticket` publishes them.
    private var task: ThreadPool.Task = { _, _ in }
    private var context = UnsafeMutableRawPointer(bitPattern: 1)
    private var tasks = 0
    private let ticket = Atomic<UInt64>(0)
    private let done = Atomic<Int>(0)
    private let stopped = Atomic<Bool>(false)
    /// Who sleeps says so before a last look; who changes something looks for sleepers afterwards. One of the two sees the
    /// other, because both are sequentially consistent.
    private let sleepingHelpers = Atomic<Int>(0)
    private let callerSleeps = Atomic<Bool>(false)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let opened = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let closed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// How often a waiting thread looks before it sleeps: some tens of microseconds.
    private static let patience = 20_000

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(opened, nil)
        pthread_cond_init(closed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(opened)
        pthread_cond_destroy(closed)
        mutex.deallocate()
        opened.deallocate()
        closed.deallocate()
    }

    func run(_ tasks: Int, _ context: UnsafeMutableRawPointer, _ task: ThreadPool.Task) {
        precondition(tasks <= Int(UInt32.max))
        (self.tasks, self.context, self.task) = (tasks, context, task)
        done.store(0, ordering: .relaxed)
        let round = (ticket.load(ordering: .relaxed) >> 32) &+ 1
        ticket.store(round << 32 | UInt64(tasks), ordering: .sequentiallyConsistent)
        if sleepingHelpers.load(ordering: .sequentiallyConsistent) > 0 { wake(opened) }
        while takeTask() {}
        for _ in 0..<Shared.patience where done.load(ordering: .acquiring) == tasks { return }
        pthread_mutex_lock(mutex)
        callerSleeps.store(true, ordering: .sequentiallyConsistent)
        while done.load(ordering: .sequentiallyConsistent) != tasks { pthread_cond_wait(closed, mutex) }
        callerSleeps.store(false, ordering: .relaxed)
        pthread_mutex_unlock(mutex)
    }

    func stop() {
        stopped.store(true, ordering: .sequentiallyConsistent)
        wake(opened)
    }

    func work() {
        while !stopped.load(ordering: .acquiring) {
            if !takeTask() { waitForTask() }
        }
    }

    /// Runs one task if there is one.
    private func takeTask() -> Bool {
        var seen = ticket.load(ordering: .acquiring)
        while UInt32(truncatingIfNeeded: seen) > 0 {
            let (taken, now) = ticket.weakCompareExchange(
                expected: seen, desired: seen - 1, ordering: .acquiringAndReleasing)
            guard taken else {
                seen = now
                continue
            }
            let tasks = tasks
            if let context { task(context, tasks - Int(UInt32(truncatingIfNeeded: seen))) }
            // From here on, once all are done, the next round may begin.
            let ended = done.add(1, ordering: .sequentiallyConsistent).newValue
            if ended == tasks, callerSleeps.load(ordering: .sequentiallyConsistent) { wake(closed) }
            return true
        }
        return false
    }

    private var hasTask: Bool { UInt32(truncatingIfNeeded: ticket.load(ordering: .sequentiallyConsistent)) > 0 }

    private func waitForTask() {
        for _ in 0..<Shared.patience {
            if UInt32(truncatingIfNeeded: ticket.load(ordering: .relaxed)) > 0 { return }
        }
        pthread_mutex_lock(mutex)
        sleepingHelpers.add(1, ordering: .sequentiallyConsistent)
        while !hasTask, !stopped.load(ordering: .sequentiallyConsistent) { pthread_cond_wait(opened, mutex) }
        sleepingHelpers.subtract(1, ordering: .relaxed)
        pthread_mutex_unlock(mutex)
    }

    private func wake(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}
