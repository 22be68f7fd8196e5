#if canImport(CoreML)
import CoreML
import Foundation
import ParityFormat

extension MLMultiArray {
    /// A copy in C order, by the array's strides: rows may be padded, and axes in any order.
    public func npy() throws -> NpyArray {
        let type = try elementType()
        let shape = self.shape.map(\.intValue)
        let strides = self.strides.map(\.intValue)
        var bytes = Data(count: try NpyArray.count(of: shape) * type.size)
        guard !bytes.isEmpty else {
            return try NpyArray(type: type, shape: shape, bytes: bytes)
        }
        withUnsafeBytes { source in
            bytes.withUnsafeMutableBytes { target in
                copyStrided(
                    from: source.baseAddress!, to: target.baseAddress!, shape: shape,
                    strides: strides, size: type.size)
            }
        }
        return try NpyArray(type: type, shape: shape, bytes: bytes)
    }

    /// An array of an input file's type, shape and elements.
    public static func from(_ array: NpyArray) throws -> MLMultiArray {
        let type: MLMultiArrayDataType
        switch array.type {
        case .float16: type = .float16
        case .float32: type = .float32
        case .float64: type = .double
        case .int32: type = .int32
        }
        let shape = array.shape.map { NSNumber(value: $0) }
        let made = try MLMultiArray(shape: shape, dataType: type)
        guard !array.bytes.isEmpty else { return made }
        made.withUnsafeMutableBytes { target, strides in
            array.bytes.withUnsafeBytes { source in
                copyToStrided(
                    from: source.baseAddress!, to: target.baseAddress!, shape: array.shape,
                    strides: strides, size: array.type.size)
            }
        }
        return made
    }

    private func elementType() throws -> ElementType {
        switch dataType {
        case .float16: return .float16
        case .float32: return .float32
        case .double: return .float64
        case .int32: return .int32
        default:
            throw FormatError("has the element type \(dataType.rawValue)", at: "MLMultiArray")
        }
    }
}
#endif
