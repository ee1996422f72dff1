import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The built programs with a driver library that emulates GPUs.
@Suite struct CUDATests {
    /// The variables by which a program finds the emulation.
    private static func emulation(_ others: [String: String] = [:]) -> [String: String] {
        let library = Program.bundleFolder.appending("libCUDAEmulation.so")
        return others.merging(["CHARNND_LIBCUDA": library.string]) { $1 }
    }

    private static let noDriver = ["CHARNND_LIBCUDA": "libno-such-driver.so.1"]

    private static func job(device: String, epochs: Int = 2, _ more: String = "") -> String {
        """
        device: \(device)
        train:
          corpus: tale.txt
          cell: gru
          hidden_size: 12
          num_layers: 2
          dropout: 0.2
          epochs: \(epochs)
          seq_length: 6
          batch_size: 5
          checkpoint_every: 10
          sample_every: 0
        \(more)generate:
          length: 40

        """
    }

    private static func spool() throws -> TestSpool {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(1500))
        return spool
    }

    /// What a job leaves on a GPU that never fails.
    private static let undisturbed = Result {
        let spool = try CUDATests.spool()
        try spool.drop("job.yaml", job(device: "cuda"))
        let outcome = try spool.once(emulation())
        #expect(outcome.status == 0, "\(outcome.error)")
        return try spool.results("job")
    }

    @Test(arguments: ["cuda", "auto"])
    func `a job is computed on the GPU where there is one`(device: String) throws {
        let spool = try Self.spool()
        try spool.drop("job.yaml", Self.job(device: device))
        let outcome = try spool.once(Self.emulation())
        #expect(outcome.status == 0, "\(outcome.error)")
        let resolved = try spool.text(spool.output("job").appending("resolved.yaml"))
        #expect(resolved.contains("\ndevice: cuda\n"))
        #expect(resolved.contains("\n  precision: fp16\n"))
        let log = try spool.text(spool.output("job").appending("log.txt"))
        #expect(log.contains("on Emulated GPU 0 (PTX compute_80, 4 SMs, arithmetic 1, fp16)"))
        // What it left is as good on the CPU.
        let written = try spool.charnn(
            "generate", "job", "--prompt", "The", "--length", "20", with: Self.noDriver)
        #expect(written.status == 0 && written.output.hasPrefix("The"))
    }

    @Test func `auto goes to the CPU where there is no driver`() throws {
        let spool = try Self.spool()
        try spool.drop("job.yaml", Self.job(device: "auto"))
        #expect(try spool.once(Self.noDriver).status == 0)
        #expect(try spool.text(spool.output("job").appending("resolved.yaml")).contains("\ndevice: cpu\n"))
    }

    @Test(arguments: [
        (noDriver, "no NVIDIA driver was found"),
        (emulation(["EMULATED_CUDA_DEVICES": "0"]), "sees no GPU"),
        (emulation(["EMULATED_CUDA_VERSION": "11080"]), "is of CUDA 11.8, and 12.0 (driver 525) is the oldest"),
        (emulation(["EMULATED_CUDA_CAPABILITY": "75"]), "has compute capability 7.5, and the kernels need 8.0"),
        (emulation(["EMULATED_CUDA_FAULT": "cuInit:803"]), "are of different versions; reboot"),
    ])
    func `what can never work fails the job with its reason, once`(variables: [String: String], reason: String) throws {
        let spool = try Self.spool()
        try spool.drop("job.yaml", Self.job(device: "cuda"))
        let outcome = try spool.once(variables)
        #expect(outcome.status == 1)
        #expect(try spool.state("job") == .failed)
        let status = try #require(try spool.status("job"))
        #expect(status.reason?.contains(reason) == true, "\(status.reason ?? "")")
        #expect(status.attempts == 1)
    }

    @Test(arguments: [
        ("cuInit:999", "the NVIDIA driver does not start"),
        ("cuDevicePrimaryCtxRetain:46", "is busy"),
        ("cuDevicePrimaryCtxRetain:2", "is busy"),
        ("cuModuleLoadDataEx:218", "failed to load the kernels"),
        ("cuMemAlloc:2", "bytes of memory left"),
        ("cuMemAlloc:2:60", "bytes of memory left"),
        ("cuLaunchKernel:719", "failed to launch the kernel probe"),
        ("cuStreamSynchronize:700:5", "CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("cuStreamBeginCapture:900", "failed to begin a recording"),
        ("cuGraphLaunch:719:25", "CUDA_ERROR_LAUNCH_FAILED"),
    ])
    func `a device that fails ends the attempt, and the next goes on to the same bytes`(
        fault: String, reason: String
    ) throws {
        let undisturbed = try Self.undisturbed.get()
        let spool = try Self.spool()
        let file = spool.folder.path.appending("job.yaml")
        try spool.storage.replace(file, with: Array(Self.job(device: "cuda").utf8))
        let failed = try spool.charnn("run", file.string, with: Self.emulation(["EMULATED_CUDA_FAULT": fault]))
        #expect(failed.status == 75, "\(failed.error)")
        #expect(failed.error.contains(reason), "\(failed.error)")
        let again = try spool.charnn("run", file.string, with: Self.emulation())
        #expect(again.status == 0, "\(again.error)")
        try spool.expectResults(in: spool.run("job"), equal: undisturbed)
    }

    @Test func `a long run measures first how its steps are done fastest, and keeps to it`() throws {
        let spool = try Self.spool()
        let file = spool.folder.path.appending("job.yaml")
        try spool.storage.replace(file, with: Array(Self.job(device: "cuda", epochs: 120).utf8))
        let plans = spool.folder.path.appending(".cache/charnnd")
        func kept() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: plans.string).filter { $0.contains("-plan") }
        }
        var methods: [String] = []
        // A fault ends each attempt some steps after its checkpoint.
        for _ in 1...2 {
            let fault = [
                "EMULATED_CUDA_FAULT": "cuMemcpyDtoHAsync:719:30",
                "XDG_CACHE_HOME": plans.removingLastComponent().string,
            ]
            let outcome = try spool.charnn("run", file.string, with: Self.emulation(fault))
            #expect(outcome.status == 75, "\(outcome.error)")
            let resolved = try spool.text(spool.run("job").appending("resolved.yaml"))
            methods.append(String(resolved.prefix { $0 != "\n" }))
            if methods.count == 1 {
                let plan = try #require(try kept().first)
                try spool.storage.remove(plans.appending(plan))
            }
        }
        #expect(methods[0].contains("PTX compute_80, 4 SMs, arithmetic 1, time steps "), "\(methods)")
        #expect(methods[1] == methods[0])
        // It was not measured again.
        #expect(try kept() == [])
        #expect(try spool.runStatus("job")?.warnings.contains { $0.contains("may differ") } == false)
    }

    @Test func `a GPU that fails every job is left alone after three, and jobs for the CPU are done`() throws {
        let spool = try Self.spool()
        for number in 1...5 { try spool.drop("gpu\(number).yaml", Self.job(device: "auto")) }
        try spool.drop("last.yaml", Self.job(device: "cpu", epochs: 1))
        let outcome = try spool.once(Self.emulation(["EMULATED_CUDA_FAULT": "cuLaunchKernel:719"]))
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("The GPU has failed 3 times in a row"), "\(outcome.error)")
        #expect(try spool.state("last") == .done)
        #expect(try (1...5).map { try #require(try spool.status("gpu\($0)")).attempts } == [1, 1, 1, 0, 0])
        // The next daemon tries at once, and finds it mended.
        _ = try spool.once(Self.emulation())
        #expect(try spool.state("gpu4") == .done && spool.state("gpu5") == .done)
    }

    @Test func `why tells of a GPU that is left alone, and until when`() throws {
        let spool = try Self.spool()
        for number in 1...5 { try spool.drop("gpu\(number).yaml", Self.job(device: "auto")) }
        let daemon = try spool.start(.charnnd, [], Self.emulation(["EMULATED_CUDA_FAULT": "cuLaunchKernel:719"]))
        defer { daemon.signal(SIGKILL) }
        for job in ["gpu1", "gpu5"] {
            try eventually("\(job) waits for the GPU") { try spool.charnn("why", job).output.contains("for the GPU") }
            let why = try spool.charnn("why", job)
            #expect(
                why.output.contains("for the GPU, which has failed again and again (the last time: "), "\(why.output)")
            #expect(why.output.contains("launch the kernel probe"), "\(why.output)")
        }
        // A daemon that has ended left nothing behind that would be believed.
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
        #expect(try spool.charnn("why", "gpu5").output.contains("no daemon works in this spool"))
        #expect(!spool.exists(spool.layout.jobs.appending(".waits.json")))
    }

    @Test func `a run goes from the CPU to the GPU and back, and says that its bytes may differ`() throws {
        let spool = try Self.spool()
        try spool.drop("job.yaml", Self.job(device: "cpu", epochs: 1))
        #expect(try spool.once(Self.noDriver).status == 0)
        for (device, epochs) in [("cuda", 2), ("cpu", 3)] {
            try spool.storage.replace(
                spool.layout.file("job.yaml", in: .done), with: Array(Self.job(device: device, epochs: epochs).utf8))
            #expect(try spool.charnn("retry", "job").status == 0)
            let outcome = try spool.once(Self.emulation())
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try spool.text(spool.output("job").appending("resolved.yaml")).contains("\ndevice: \(device)\n"))
            #expect(try spool.status("job")?.warnings.contains { $0.contains("its bytes may differ") } == true)
        }
    }

    @Test func `a job that the GPU cannot hold goes to the CPU, or fails where the GPU was asked for`() throws {
        let spool = try Self.spool()
        let size = "  embedding_size: 4\n"
        let big = Self.job(device: "auto", epochs: 1, size).replacing("hidden_size: 12", with: "hidden_size: 5000")
        let file = spool.folder.path.appending("big.yaml")
        try spool.storage.replace(file, with: Array(big.utf8))
        let auto = try spool.charnn("check", "--no-time", file.string, with: Self.emulation())
        #expect(auto.output.contains("warning: The GPU is not used: the job would need"), "\(auto.output)\(auto.error)")
        try spool.storage.replace(file, with: Array(big.replacing("device: auto", with: "device: cuda").utf8))
        let asked = try spool.charnn("check", "--no-time", file.string, with: Self.emulation())
        #expect(asked.status == 65)
        #expect(asked.error.contains("the job would need 5.7 GB on Emulated GPU 0, which has 2.1 GB"), "\(asked.error)")
    }

    @Test func `doctor compares the GPU with the CPU, and tells how to mend what is wrong with it`() throws {
        let spool = try Self.spool()
        let good = try spool.charnn("doctor", with: Self.emulation())
        #expect(good.output.contains("Emulated GPU 0"))
        #expect(good.output.contains("computes as the CPU does"))
        let old = try spool.charnn("doctor", with: Self.emulation(["EMULATED_CUDA_FAULT": "cuInit:999"]))
        #expect(old.output.contains("the NVIDIA driver does not start"))
        #expect(old.status == 1)
        let none = try spool.charnn("doctor", with: Self.noDriver)
        #expect(none.output.contains("none; jobs run on the CPU"))
    }

    @Test(arguments: [("cuda", "bf16"), ("cpu", "fp16"), ("auto", "fp16")])
    func `a precision that the device lacks is refused`(device: String, precision: String) throws {
        let spool = try Self.spool()
        try spool.drop("job.yaml", Self.job(device: device, "  precision: \(precision)\n"))
        #expect(try spool.once(device == "cuda" ? Self.emulation() : Self.noDriver).status == 1)
        let reason = try spool.status("job")?.reason ?? ""
        #expect(reason.contains("precision: \(precision) was asked for"), "\(reason)")
    }

    @Test func `bench measures the GPU`() throws {
        let outcome = try Self.spool().charnn(
            "bench", "--cell", "rnn", "--hidden-size", "8", "--num-layers", "1", "--batch-size", "2", "--seq-length",
            "3",
            "--device", "cuda", "--json", with: Self.emulation())
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.output.contains("\"device\" : \"cuda\""), "\(outcome.output)")
    }
}
