import CLinux
import CharnnCPU
import CharnnCUDA
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import Glibc

/// What `doctor` sees of processor, memory, graphics card and clock.
///
/// Processor kernels, engine and GPU are told by the engines themselves, so that nothing else is said here than a job
/// finds at night.
enum MachineFindings {
    static func all() -> [Finding] { [processor(), engine(), memory(), graphics(), clock()] }

    /// What the processor has, as the kernel tells it, and which kernels it gets.
    private static func processor() -> Finding {
        let info = text("/proc/cpuinfo", limit: 1 << 16)
        let flags = Set(
            info.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ").map(String.init) ?? [])
        let known = [
            ("avx2", "AVX2"), ("fma", "FMA"), ("avx512f", "AVX-512"), ("avx512_bf16", "AVX-512 BF16"),
            ("amx_bf16", "AMX BF16"),
        ]
        let found = known.filter { flags.contains($0.0) }.map(\.1).joined(separator: ", ")
        let best = KernelLevel.available.last ?? .plain
        if best == .plain {
            return .note(
                "CPU", "no AVX2: the plain kernels run, several times slower than on a processor of the last ten years",
                "In a virtual machine: hand the host's processor on, such as -cpu host for QEMU")
        }
        return .ok("CPU", "\(found.isEmpty ? "features unknown" : found); kernels: \(best.rawValue)")
    }

    /// Makes the smallest of engines: what it lacks shows at once, a library most of the time.
    private static func engine() -> Finding {
        let tiny = Architecture(cell: .rnn, vocabularySize: 2, hiddenSize: 2, layerCount: 1)
        do {
            let made = try Engines().makeEngine(
                EngineChoice(device: .cpu), architecture: tiny,
                parameters: Initialisation.parameters(of: tiny, seed: 1)
            ).configuration
            return .ok("Engine", "\(made.deviceName), \(made.kernels), \(made.threads) threads")
        } catch {
            return .mend("Engine", error.description, "sudo apt-get install -y libopenblas0")
        }
    }

    /// Total and available memory; a control group's limit counts as the machine's.
    private static func memory() -> Finding {
        let available = text("/proc/meminfo", limit: 1 << 14).split(separator: "\n")
            .first { $0.hasPrefix("MemAvailable:") }?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        let total = Machine.memory.words
        guard let available else { return .ok("Memory", total) }
        let found = "\(byteCount(available * 1024)) of \(total) available"
        return available * 1024 < 1 << 30
            ? .note("Memory", found, "End other programs before a large job, or set memory_limit")
            : .ok("Memory", found)
    }

    /// A GPU that is there and does not work is to be mended, for a job that asks for it would wait all night. One that
    /// works is made to compute, since drivers and cards can be wrong in silence.
    private static func graphics() -> Finding {
        let device: CUDADeviceInformation
        do {
            device = try CUDAEngine.device()
        } catch {
            let driver = text("/proc/driver/nvidia/version", limit: 4096).split(separator: "\n").first.map(String.init)
            // Most machines have none, and that is well.
            guard driver != nil || error.code != .unavailable else { return .ok("GPU", "none; jobs run on the CPU") }
            return .mend(
                "GPU", driver.map { "\($0), not usable" } ?? "not usable", "\(error.description)")
        }
        let found =
            "\(device.name), capability \(device.capability / 10).\(device.capability % 10), "
            + "\(byteCount(device.freeMemory)) of \(byteCount(device.totalMemory)) free, driver of CUDA \(device.driver), "
            + "kernels: \(device.kernels)"
        do {
            guard let difference = try GraphicsComparison.largestDifference() else {
                return .note("GPU", "\(found); not compared with the CPU, whose engine does not work")
            }
            // The two sum in another order, which costs some of the last digits and no more.
            guard difference < 1e-3 else {
                return .mend(
                    "GPU", "\(found); its gradients differ from the CPU's by \(difference)",
                    "Set device to cpu in /etc/charnnd/charnnd.yaml, and look at nvidia-smi and journalctl -k")
            }
            return .ok("GPU", "\(found); computes as the CPU does")
        } catch {
            return .mend("GPU", found, error.description)
        }
    }

    /// Nothing of a job's course depends on the clock; logs, `--older-than` and the end of a pause do.
    private static func clock() -> Finding {
        let now = SpoolClock.system.wall()
        let stamp = JobStatus.time(now)
        // Before this program was written, or so late that somebody mistyped.
        guard (1_750_000_000..<4_102_444_800).contains(now) else {
            return .mend(
                "Clock", "\(stamp): that year cannot be; logs and --older-than would be wrong",
                "sudo timedatectl set-ntp true, or sudo date -s 'YYYY-MM-DD hh:mm'")
        }
        switch charnn_clock_is_synchronised() {
        case 1: return .ok("Clock", "\(stamp), synchronised")
        case 0:
            return .note(
                "Clock", "\(stamp), not synchronised; times in logs may be off, nothing else depends on them",
                "sudo timedatectl set-ntp true")
        default: return .ok("Clock", "\(stamp); whether it is synchronised cannot be told here")
        }
    }

    /// The beginning of a file of the kernel's, which tells no size.
    private static func text(_ path: String, limit: Int) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let more = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + count, limit - count) }
            if more <= 0 { break }
            count += more
        }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
