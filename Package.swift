// swift-tools-version: 6.2
import PackageDescription

// The numerical targets are built optimised in debug builds too: the tests train networks, and C or Swift
// loops at -O0 would turn seconds into minutes.
let optimisedC: [CSetting] = [.unsafeFlags(["-O3", "-fno-math-errno"])]
let optimisedSwift: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

// What calls the storage, for tests that tell those calls apart by where they stand: optimised code is not where its lines
// are. Set by Tests/ExplorationTests/mutate and calls, which need all else optimised.
let tellsCallsApart = Context.environment["CHARNND_CALL_SITES"] != nil
let storageUsers = [
    "CharnnStorage", "CharnnSpool", "CharnnCheckpoint", "CharnnCorpus", "CharnnReports", "CharnnJobs",
]

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "charnnd",
    products: [
        .executable(name: "charnnd", targets: ["charnnd"]),
        .executable(name: "charnn", targets: ["charnn"]),
        // What Tests/Fuzz, a package of its own, needs.
        .library(
            name: "CharnnReaders",
            targets: [
                "CharnnCheckpoint", "CharnnCorpus", "CharnnEngine", "CharnnJobs", "CharnnModel", "CharnnReports",
                "CharnnSpool", "CharnnStorage", "CharnnTraining",
            ]),
        // What tests open in place of NVIDIA's driver.
        .library(name: "CUDAEmulation", type: .dynamic, targets: ["CUDAEmulation"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        // Without its default trait it does not bring all of Foundation with it, which the daemon does not need.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // Floor 0: doors to the outside, no logic.
        .target(name: "CLinux"),
        .target(name: "CSystemd"),
        .target(name: "COpenBLAS"),
        .target(name: "CCharnnKernels", cSettings: optimisedC),
        // The kernels are no C: they go into the program as text.
        .target(name: "CCharnnCUDA", exclude: ["Kernels", "make-ptx"]),

        // Floor 1.
        .target(name: "CharnnStorage", dependencies: [system, "CLinux"]),
        .target(name: "CharnnEngine", swiftSettings: optimisedSwift),
        .target(name: "CharnnTexts", swiftSettings: optimisedSwift),
        .target(name: "CharnnProtobuf"),
        .target(name: "CharnnWords"),

        // Floor 2.
        .target(
            name: "CharnnCPU", dependencies: ["CharnnEngine", "COpenBLAS", "CCharnnKernels"],
            swiftSettings: optimisedSwift),
        .target(
            name: "CharnnCUDA", dependencies: ["CCharnnCUDA", "CharnnEngine"], swiftSettings: optimisedSwift),
        .target(
            name: "CharnnModel",
            dependencies: ["CharnnEngine", "CharnnProtobuf", "CharnnStorage", "CharnnWords", system]),
        .target(name: "CharnnSpool", dependencies: ["CLinux", "CharnnStorage", "CharnnWords", collections, system]),

        // Floor 3.
        .target(
            name: "CharnnTraining", dependencies: ["CharnnEngine", "CharnnModel", "CharnnWords"],
            swiftSettings: optimisedSwift),

        // Floor 4.
        .target(
            name: "CharnnCheckpoint",
            dependencies: [
                "CharnnEngine", "CharnnModel", "CharnnStorage", "CharnnTraining", "CharnnWords", crypto, system,
            ]),
        .target(
            name: "CharnnCorpus", dependencies: ["CharnnEngine", "CharnnModel", "CharnnStorage", crypto, system],
            swiftSettings: optimisedSwift),
        .target(
            name: "CharnnReports",
            dependencies: [
                "CharnnProtobuf", "CharnnSpool", "CharnnStorage", "CharnnTexts", "CharnnTraining", "CharnnWords",
                system,
            ]),

        // Floor 5.
        .target(
            name: "CharnnJobs",
            dependencies: [
                "CharnnCheckpoint", "CharnnCorpus", "CharnnEngine", "CharnnModel", "CharnnReports", "CharnnSpool",
                "CharnnStorage", "CharnnTexts", "CharnnTraining", "CharnnWords", crypto, system, yams,
            ]),

        // Floor 6.
        .target(
            name: "CharnnDaemon",
            dependencies: [
                "CharnnJobs", "CharnnSpool", "CharnnStorage", "CharnnWords", "CSystemd", lifecycle, logging, signals,
                subprocess,
                system,
            ]),

        // Floor 7: the programs, and what they share; here alone concrete engines are named.
        .target(
            name: "CharnnPrograms",
            dependencies: [
                "CharnnCPU", "CharnnCUDA", "CharnnEngine", "CharnnJobs", "CharnnModel", "CharnnSpool", "CharnnStorage",
                "CharnnWords", arguments, system,
            ]),
        .executableTarget(
            name: "charnnd",
            dependencies: [
                "CharnnDaemon", "CharnnJobs", "CharnnPrograms", "CharnnSpool", "CharnnStorage", arguments, lifecycle,
                logging, system,
            ]),
        .executableTarget(
            name: "charnn",
            dependencies: [
                "CLinux", "CharnnCPU", "CharnnCUDA", "CharnnCorpus", "CharnnEngine", "CharnnJobs", "CharnnModel",
                "CharnnPrograms", "CharnnReports", "CharnnSpool", "CharnnStorage", "CharnnTraining", "CharnnWords",
                arguments, system,
            ]),

        // Tests.
        .target(
            name: "CharnnTestSupport",
            dependencies: ["CharnnEngine", "CharnnModel", "CharnnStorage", "CharnnTraining", system],
            path: "Tests/CharnnTestSupport", resources: [.copy("Fixtures")], swiftSettings: optimisedSwift),
        .testTarget(name: "CharnnStorageTests", dependencies: ["CharnnStorage", "CharnnTestSupport", system]),
        .testTarget(
            name: "CharnnEngineTests", dependencies: ["CharnnEngine", "CharnnTestSupport"],
            swiftSettings: optimisedSwift),
        .testTarget(
            name: "CharnnCPUTests",
            dependencies: ["CCharnnKernels", "CharnnCPU", "CharnnEngine", "CharnnTestSupport"],
            swiftSettings: optimisedSwift),
        // The kernels as C++, below NVIDIA's driver as they see it.
        .target(
            name: "CUDAEmulation", path: "Tests/CUDAEmulation",
            cxxSettings: [
                .define("CHARNN_EMULATION"), .headerSearchPath("."),
                .headerSearchPath("../../Sources/CCharnnCUDA/Kernels"),
                .headerSearchPath("../../Sources/CCharnnCUDA/include"), .unsafeFlags(["-O2"]),
            ]),
        .testTarget(
            name: "CharnnCUDATests", dependencies: ["CharnnCUDA", "CharnnEngine", "CharnnTestSupport"],
            swiftSettings: optimisedSwift),
        .testTarget(
            name: "CharnnModelTests",
            dependencies: ["CharnnModel", "CharnnEngine", "CharnnStorage", "CharnnTestSupport"]
        ),
        .testTarget(
            name: "CharnnSpoolTests", dependencies: ["CharnnSpool", "CharnnStorage", "CharnnTestSupport", system]),
        .testTarget(
            name: "CharnnTrainingTests",
            dependencies: ["CharnnTraining", "CharnnCPU", "CharnnEngine", "CharnnModel", "CharnnTestSupport"],
            swiftSettings: optimisedSwift),
        .testTarget(
            name: "CharnnCheckpointTests",
            dependencies: [
                "CharnnCheckpoint", "CharnnEngine", "CharnnModel", "CharnnStorage", "CharnnTestSupport",
                "CharnnTraining", system,
            ]),
        .testTarget(
            name: "CharnnCorpusTests",
            dependencies: [
                "CharnnCorpus", "CharnnEngine", "CharnnModel", "CharnnStorage", "CharnnTestSupport", crypto, system,
            ]),
        .testTarget(name: "CharnnWordsTests", dependencies: ["CharnnWords"]),
        .testTarget(name: "CharnnTextsTests", dependencies: ["CharnnTexts"], swiftSettings: optimisedSwift),
        .testTarget(
            name: "CharnnReportsTests",
            dependencies: [
                "CharnnReports", "CharnnSpool", "CharnnStorage", "CharnnTestSupport", "CharnnTexts", "CharnnTraining",
                "CharnnWords",
                system,
            ]),
        .testTarget(
            name: "CharnnJobsTests",
            dependencies: [
                "CharnnCheckpoint", "CharnnCorpus", "CharnnEngine", "CharnnJobs", "CharnnModel", "CharnnPrograms",
                "CharnnReports", "CharnnSpool", "CharnnStorage", "CharnnTestSupport", "CharnnTexts", "CharnnTraining",
                "CharnnWords",
                crypto, system,
            ]),
        .testTarget(
            name: "CharnnDaemonTests",
            dependencies: [
                "CharnnDaemon", "CharnnJobs", "CharnnSpool", "CharnnStorage", "CharnnTestSupport", logging, system,
            ]),
        .testTarget(
            name: "ExplorationTests",
            dependencies: [
                "CharnnCheckpoint", "CharnnEngine", "CharnnJobs", "CharnnModel", "CharnnReports", "CharnnSpool",
                "CharnnStorage", "CharnnTestSupport", "CharnnTraining", crypto, system,
            ],
            exclude: ["calls", "million", "mutate", "mutate-security"], swiftSettings: optimisedSwift),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "charnnd", "charnn", "CharnnEngine", "CharnnJobs", "CharnnModel", "CharnnPrograms", "CharnnReports",
                "CharnnSpool", "CharnnStorage", "CharnnTestSupport", "CharnnTraining", system,
            ],
            exclude: [
                "Completions", "ONNX", "Pages", "PyTorch", "Schemas", "Version-0.1.0", "bad-inputs.md", "memory.sh",
                "network.py",
                "package",
                "survival", "systemd",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)

for target in package.targets where ![.system, .binary, .plugin].contains(target.type) {
    guard !target.name.hasPrefix("C") || target.name.hasPrefix("Charnn") else { continue }
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("MemberImportVisibility"),
        ]
    if tellsCallsApart {
        target.swiftSettings?.append(.define("CALL_SITES"))
        if storageUsers.contains(target.name) {
            target.swiftSettings?.append(.unsafeFlags(["-Onone"], .when(configuration: .release)))
        }
    }
}
