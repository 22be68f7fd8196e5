import Foundation

/// `bundle.json`: what to run. ../BUNDLE.md documents every key.
public struct HarnessBundle: Codable, Equatable, Sendable {
    public struct Input: Codable, Equatable, Sendable {
        public let name: String
        public let dtype: ElementType
        public let shape: [Int]
        public let files: [String]
    }

    public struct State: Codable, Equatable, Sendable {
        public let name: String
        public let dtype: ElementType
        public let shape: [Int]
        public let stem: String
    }

    public struct Package: Codable, Equatable, Sendable {
        public let path: String
        public let role: String
        public let outputs: [String]

        public var isUntouched: Bool { role == "untouched" }
    }

    public struct Tap: Codable, Equatable, Sendable {
        public let stem: String
        public let call: Int
        public let calls: Int
    }

    public struct Output: Codable, Equatable, Sendable {
        public let name: String
        public let dtype: ElementType
        public let shape: [Int]
        public let number: Int
        public let taps: [Tap]
    }

    /// Optional: the output that is a sound, and the reference's, for the A/B screen.
    public struct Sound: Codable, Equatable, Sendable {
        public let output: String
        public let sampleRate: Double
        public let reference: String

        enum CodingKeys: String, CodingKey {
            case output, reference
            case sampleRate = "sample_rate"
        }
    }

    public let format: String
    public let version: Int
    public let id: String
    public let name: String
    public let inputs: [Input]
    public let states: [State]
    public let steps: Int
    public let `repeat`: Int
    public let packages: [Package]
    public let outputs: [Output]
    public let sound: Sound?

    /// Reads the bundle in a folder.
    public static func read(from folder: URL) throws -> HarnessBundle {
        let file = folder.appendingPathComponent("bundle.json")
        let bundle = try JSONDecoder().decode(HarnessBundle.self, from: Data(contentsOf: file))
        try bundle.check(at: file.path)
        return bundle
    }

    func check(at place: String) throws {
        guard format == "parity-coreml-bundle", version == 1 else {
            throw FormatError("a \(format) of version \(version); this reads version 1", at: place)
        }
        guard steps >= 1, `repeat` >= 0 else {
            throw FormatError("\(steps) steps, repeated \(`repeat`) times", at: place)
        }
        for input in inputs where input.files.count != steps {
            throw FormatError(
                "\(input.files.count) files for the \(steps) steps of \(input.name)", at: place)
        }
        guard packages.first?.isUntouched == true else {
            throw FormatError("its first package is not the untouched one", at: place)
        }
        let paths =
            packages.map(\.path) + inputs.flatMap(\.files) + states.map(\.stem)
            + outputs.flatMap { $0.taps.map(\.stem) }
        for path in paths {
            _ = try inside(folder: URL(fileURLWithPath: "/"), path)
        }
    }
}

/// A file below `folder`; paths in a bundle come from elsewhere and must not lead out of it.
public func inside(folder: URL, _ path: String) throws -> URL {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let bad = parts.contains { $0.isEmpty || $0 == "." || $0 == ".." || $0.contains("\\") }
    guard !bad else {
        throw FormatError("leads out of its folder", at: path)
    }
    return parts.reduce(folder) { $0.appendingPathComponent(String($1)) }
}
