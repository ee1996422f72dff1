// swift-tools-version: 6.2
import PackageDescription

// A package of its own, because all that it is built from is instrumented; see `run`.
let package = Package(
    name: "charnnd-fuzz",
    dependencies: [.package(name: "charnnd", path: "../..")],
    targets: [
        .target(name: "CFuzz"),
        .executableTarget(name: "fuzz", dependencies: ["CFuzz", .product(name: "CharnnReaders", package: "charnnd")]),
    ],
    swiftLanguageModes: [.v6]
)
