// swift-tools-version: 6.2
import PackageDescription

// A package of its own, because all that it is built from is instrumented; see `run`.
let package = Package(
    name: "charnnd-fuzz",
    dependencies: [
        .package(name: "charnnd", path: "../.."),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    ],
    targets: [
        .target(name: "CFuzz"),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "CFuzz", .product(name: "CharnnReaders", package: "charnnd"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
