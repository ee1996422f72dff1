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
        withoutActuallyEscaping(body) { shared.run(tasks, helpers: threads.count, $0) }
    }
}

/// What caller and helpers share.
///
/// A round is opened by the caller under the lock: it sets `body`, `tasks` and `pending`, then counts `round` up. Every
/// helper takes part in every round, if only to find no task left, and counts `pending` down when it is through; the
/// caller goes on when `pending` is zero. Thus no helper can be in an old round when a new one is opened.
private final class Shared: @unchecked Sendable {
    // Sound: `body` and `tasks` are written only while no helper is in a round, and `round` publishes them.
    private var body: ((Int) -> Void)?
    private var tasks = 0
    private let next = Atomic<Int>(0)
    private let pending = Atomic<Int>(0)
    private let round = Atomic<Int>(0)
    private let stopped = Atomic<Bool>(false)
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

    func run(_ tasks: Int, helpers: Int, _ body: @escaping (Int) -> Void) {
        pthread_mutex_lock(mutex)
        self.body = body
        self.tasks = tasks
        next.store(0, ordering: .relaxed)
        pending.store(helpers, ordering: .relaxed)
        round.add(1, ordering: .releasing)
        pthread_cond_broadcast(opened)
        pthread_mutex_unlock(mutex)
        takeTasks(body)
        wait(closed) { $0.pending.load(ordering: .acquiring) == 0 }
        self.body = nil
    }

    func stop() {
        pthread_mutex_lock(mutex)
        stopped.store(true, ordering: .releasing)
        round.add(1, ordering: .releasing)
        pthread_cond_broadcast(opened)
        pthread_mutex_unlock(mutex)
    }

    func work() {
        var seen = 0
        while true {
            wait(opened) { $0.round.load(ordering: .acquiring) != seen }
            seen += 1
            if stopped.load(ordering: .acquiring) { return }
            if let body { takeTasks(body) }
            if pending.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
                // Taking the lock keeps the caller from missing this between its look and its sleep.
                pthread_mutex_lock(mutex)
                pthread_cond_signal(closed)
                pthread_mutex_unlock(mutex)
            }
        }
    }

    private func takeTasks(_ body: (Int) -> Void) {
        while true {
            let task = next.add(1, ordering: .relaxed).oldValue
            if task >= tasks { return }
            body(task)
        }
    }

    private func wait(_ condition: UnsafeMutablePointer<pthread_cond_t>, until holds: (Shared) -> Bool) {
        for _ in 0..<Shared.patience where holds(self) { return }
        pthread_mutex_lock(mutex)
        while !holds(self) { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }
}
