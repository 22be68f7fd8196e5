#if canImport(CoreML)
import CoreML
import Foundation
import ParityFormat

/// Runs a bundle on this device and writes a results folder.
public struct Harness {
    public let bundle: HarnessBundle
    public let folder: URL
    public let units: ComputeUnits
    /// Told in words what is being done.
    public var progress: (String) -> Void = { _ in }

    /// - Parameter folder: of the bundle.
    public init(folder: URL, units: ComputeUnits) throws {
        self.folder = folder
        self.units = units
        bundle = try HarnessBundle.read(from: folder)
    }

    /// Runs every package from a fresh state. One that fails is noted, and the others still run.
    public func run(into results: URL) async throws -> HarnessResults {
        let written = try ResultsFolder(
            results, bundle: bundle, computeUnits: units.rawValue, device: thisDevice())
        for (number, package) in bundle.packages.enumerated() {
            progress("\(package.path), \(number + 1) of \(bundle.packages.count)")
            written.add(await run(package, number: number, into: written))
        }
        try written.finish()
        return written.results
    }

    private func run(
        _ package: HarnessBundle.Package, number: Int, into written: ResultsFolder
    ) async -> HarnessResults.Package {
        var noted = HarnessResults.Package(path: package.path)
        do {
            let began = Date()
            let source = try inside(folder: folder, package.path)
            let compiled = try await MLModel.compileModel(at: source)
            // Not before the last prediction: the weights may still be read from there.
            defer { try? FileManager.default.removeItem(at: compiled) }
            let configuration = MLModelConfiguration()
            configuration.computeUnits = units.value
            let model = try MLModel(contentsOf: compiled, configuration: configuration)
            noted.loadSeconds = Date().timeIntervalSince(began)
            var missing: Set<String> = []
            noted.predictSeconds.append(
                try predict(model) { step, name, value in
                    guard let array = value else {
                        missing.insert(name)
                        return
                    }
                    try written.write(try array.npy(), output: name, step: step, package: number)
                } names: { package.outputs } states: { step, state, array in
                    // Of the untouched package only: the others repeat it.
                    if number == 0 {
                        try written.write(array, state: state, step: step)
                    }
                })
            noted.missing = missing.sorted()
            if package.isUntouched {
                for _ in 0..<bundle.repeat {
                    noted.predictSeconds.append(try predict(model))
                }
            }
        } catch {
            noted.error = String(describing: error)
        }
        return noted
    }

    /// All steps on a fresh state.
    ///
    /// - Parameters:
    ///   - given: told each output after each step, nil where the platform gave none.
    ///   - names: the outputs to ask for.
    ///   - states: told each state after each step.
    /// - Returns: seconds of each step's prediction alone.
    private func predict(
        _ model: MLModel,
        given: (Int, String, MLMultiArray?) throws -> Void = { _, _, _ in },
        names: () -> [String] = { [] },
        states: (Int, HarnessBundle.State, NpyArray) throws -> Void = { _, _, _ in }
    ) throws -> [Double] {
        let state = try FreshState(of: model, bundle.states)
        var seconds: [Double] = []
        for step in 0..<bundle.steps {
            let features = try inputs(step: step)
            let began = DispatchTime.now().uptimeNanoseconds
            let made = try state.predict(model, features)
            seconds.append(Double(DispatchTime.now().uptimeNanoseconds - began) * 1e-9)
            for name in names() {
                try given(step, name, made.featureValue(for: name)?.multiArrayValue)
            }
            for each in bundle.states {
                if let array = try state.array(each.name) {
                    try states(step, each, array)
                }
            }
        }
        return seconds
    }

    private func inputs(step: Int) throws -> MLFeatureProvider {
        var features: [String: MLFeatureValue] = [:]
        for input in bundle.inputs {
            let file = try inside(folder: folder, input.files[step])
            let array = try NpyArray(file: Data(contentsOf: file), name: input.files[step])
            features[input.name] = MLFeatureValue(multiArray: try .from(array))
        }
        return try MLDictionaryFeatureProvider(dictionary: features)
    }
}

/// Which processors Core ML may use; the names are those of `results.json`.
public enum ComputeUnits: String, CaseIterable, Sendable {
    case all
    case cpuOnly
    case cpuAndGPU
    case cpuAndNeuralEngine

    var value: MLComputeUnits {
        switch self {
        case .all: return .all
        case .cpuOnly: return .cpuOnly
        case .cpuAndGPU: return .cpuAndGPU
        case .cpuAndNeuralEngine: return .cpuAndNeuralEngine
        }
    }
}
#endif
