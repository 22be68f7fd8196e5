// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "ParityCoreML",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .library(name: "ParityFormat", targets: ["ParityFormat"]),
        .library(name: "ParityCoreML", targets: ["ParityCoreML"]),
        .executable(name: "parity-coreml", targets: ["parity-coreml"]),
    ],
    targets: [
        // Files only: builds wherever Swift does.
        .target(name: "ParityFormat"),
        // Core ML, where the platform has it; elsewhere an empty module.
        .target(name: "ParityCoreML", dependencies: ["ParityFormat"]),
        .executableTarget(name: "parity-coreml", dependencies: ["ParityCoreML", "ParityFormat"]),
        .testTarget(name: "ParityFormatTests", dependencies: ["ParityFormat"]),
        .testTarget(name: "ParityCoreMLTests", dependencies: ["ParityCoreML", "ParityFormat"]),
    ]
)
