import Foundation

/// `results.json`: what came of it. ../BUNDLE.md documents every key.
public struct HarnessResults: Codable, Equatable, Sendable {
    public struct Device: Codable, Equatable, Sendable {
        public let system: String
        public let systemVersion: String
        public let model: String
        public let chip: String

        public init(system: String, systemVersion: String, model: String, chip: String) {
            self.system = system
            self.systemVersion = systemVersion
            self.model = model
            self.chip = chip
        }

        enum CodingKeys: String, CodingKey {
            case system, model, chip
            case systemVersion = "system_version"
        }
    }

    public struct Package: Codable, Equatable, Sendable {
        public let path: String
        public var error: String?
        public var loadSeconds: Double
        public var missing: [String]
        public var predictSeconds: [[Double]]

        public init(path: String) {
            self.path = path
            loadSeconds = 0
            missing = []
            predictSeconds = []
        }

        enum CodingKeys: String, CodingKey {
            case path, error, missing
            case loadSeconds = "load_s"
            case predictSeconds = "predict_s"
        }

        public func encode(to encoder: Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(path, forKey: .path)
            try container.encode(error, forKey: .error)  // null where there is none
            try container.encode(loadSeconds, forKey: .loadSeconds)
            try container.encode(missing, forKey: .missing)
            try container.encode(predictSeconds, forKey: .predictSeconds)
        }
    }

    public struct Tensor: Codable, Equatable, Sendable {
        public let name: String
        public let step: Int
        public let package: Int
        public let file: String
    }

    public struct State: Codable, Equatable, Sendable {
        public let name: String
        public let step: Int
        public let file: String
    }

    public static let runner = "parity-coreml-swift 0.1"

    public var format = "parity-coreml-results"
    public var version = 1
    public let bundle: String
    public var runner = HarnessResults.runner
    public let computeUnits: String
    public let device: Device
    public var packages: [Package] = []
    public var tensors: [Tensor] = []
    public var states: [State] = []

    public init(bundle: String, computeUnits: String, device: Device) {
        self.bundle = bundle
        self.computeUnits = computeUnits
        self.device = device
    }

    enum CodingKeys: String, CodingKey {
        case format, version, bundle, runner, device, packages, tensors, states
        case computeUnits = "compute_units"
    }
}
