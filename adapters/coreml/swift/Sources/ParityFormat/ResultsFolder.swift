import Foundation

/// Writes a results folder. `results.json` comes last: a folder without it is unfinished.
public final class ResultsFolder {
    public let folder: URL
    public private(set) var results: HarnessResults
    private let bundle: HarnessBundle
    private let outputs: [String: HarnessBundle.Output]
    private let own: Set<String>

    /// - Parameter folder: is made; results of an earlier run in it are removed.
    public init(
        _ folder: URL, bundle: HarnessBundle, computeUnits: String, device: HarnessResults.Device
    ) throws {
        self.folder = folder
        self.bundle = bundle
        outputs = Dictionary(
            bundle.outputs.map { ($0.name, $0) }, uniquingKeysWith: { one, _ in one })
        own = Set(bundle.packages.first?.outputs ?? [])
        results = HarnessResults(bundle: bundle.id, computeUnits: computeUnits, device: device)
        let manager = FileManager.default
        try manager.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["results.json", "taps", "values", "again", "states"] {
            let old = folder.appendingPathComponent(name)
            if manager.fileExists(atPath: old.path) {
                try manager.removeItem(at: old)
            }
        }
    }

    /// The files that an output goes to. What several packages give out is the untouched one's;
    /// what the others computed for it goes to `again`, to be compared as well.
    public static func files(
        of output: HarnessBundle.Output, step: Int, package: Int, isOwn: Bool
    ) -> [String] {
        let number = padded(output.number, to: 6)
        if package > 0 && isOwn {
            return ["again/\(padded(package, to: 3))/\(number).step\(step).npy"]
        }
        if output.taps.isEmpty {
            return ["values/\(number).step\(step).npy"]
        }
        return output.taps.map { "\($0.stem).call\(step * $0.calls + $0.call).npy" }
    }

    /// Writes what a package gave out.
    public func write(_ array: NpyArray, output name: String, step: Int, package: Int) throws {
        guard let output = outputs[name] else {
            throw FormatError("the bundle has no such output", at: name)
        }
        let isOwn = own.contains(name)
        let files = ResultsFolder.files(of: output, step: step, package: package, isOwn: isOwn)
        for file in files {
            try write(array, to: file)
        }
        results.tensors.append(.init(name: name, step: step, package: package, file: files[0]))
    }

    /// Writes a state as it is after a step.
    public func write(_ array: NpyArray, state: HarnessBundle.State, step: Int) throws {
        let file = "\(state.stem).step\(step).npy"
        try write(array, to: file)
        results.states.append(.init(name: state.name, step: step, file: file))
    }

    /// Notes how a package fared.
    public func add(_ package: HarnessResults.Package) {
        results.packages.append(package)
    }

    /// Writes `results.json`.
    public func finish() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let file = folder.appendingPathComponent("results.json")
        try encoder.encode(results).write(to: file, options: .atomic)
    }

    private func write(_ array: NpyArray, to file: String) throws {
        let target = try inside(folder: folder, file)
        let parent = target.deletingLastPathComponent()
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try array.file.write(to: target)
    }

    private static func padded(_ number: Int, to digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
