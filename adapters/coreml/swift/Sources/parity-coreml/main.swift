import Foundation
import ParityFormat

#if canImport(CoreML)
import ParityCoreML

let usage = """
    usage: parity-coreml BUNDLE RESULTS [--units all|cpuOnly|cpuAndGPU|cpuAndNeuralEngine]

    Runs a bundle that `parity coreml bundle` wrote, and writes a results folder.
    Exit status: 0 every package ran, 1 one failed or gave no value for an output,
    2 the bundle cannot be used.
    """

func fail(_ what: String) -> Never {
    FileHandle.standardError.write(Data((what + "\n").utf8))
    exit(2)
}

var arguments = Array(CommandLine.arguments.dropFirst())
if arguments.contains("--help") || arguments.contains("-h") {
    print(usage)
    exit(0)
}
var units = ComputeUnits.all
if let option = arguments.firstIndex(of: "--units") {
    guard option + 1 < arguments.count, let chosen = ComputeUnits(rawValue: arguments[option + 1])
    else { fail(usage) }
    units = chosen
    arguments.removeSubrange(option...(option + 1))
}
guard arguments.count == 2 else { fail(usage) }
let (source, target) = (URL(fileURLWithPath: arguments[0]), URL(fileURLWithPath: arguments[1]))
do {
    var harness = try Harness(folder: source, units: units)
    harness.progress = { FileHandle.standardError.write(Data(($0 + "\n").utf8)) }
    let results = try await harness.run(into: target)
    for package in results.packages {
        if let error = package.error { print("\(package.path): \(error)") }
        if !package.missing.isEmpty { print("\(package.path): no value for \(package.missing)") }
    }
    print("\(results.tensors.count) tensors in \(target.path)")
    let whole = results.packages.allSatisfy { $0.error == nil && $0.missing.isEmpty }
    exit(whole ? 0 : 1)
} catch {
    fail(String(describing: error))
}
#else
// The format builds everywhere; running a bundle needs Core ML.
FileHandle.standardError.write(Data("parity-coreml: this system has no Core ML\n".utf8))
exit(2)
#endif
