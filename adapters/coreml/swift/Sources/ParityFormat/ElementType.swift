/// Element types of the arrays in a bundle and in results.
public enum ElementType: String, Codable, Sendable {
    case float16
    case float32
    case float64
    case int32

    /// What an `.npy` header calls it; little endian.
    public var descriptor: String {
        switch self {
        case .float16: return "<f2"
        case .float32: return "<f4"
        case .float64: return "<f8"
        case .int32: return "<i4"
        }
    }

    /// Bytes of one element.
    public var size: Int {
        switch self {
        case .float16: return 2
        case .float32, .int32: return 4
        case .float64: return 8
        }
    }

    /// The type that an `.npy` header names, or nil.
    public init?(descriptor: String) {
        let known: [ElementType] = [.float16, .float32, .float64, .int32]
        guard let found = known.first(where: { $0.descriptor == descriptor }) else { return nil }
        self = found
    }
}
