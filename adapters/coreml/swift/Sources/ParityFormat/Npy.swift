import Foundation

/// An array in the format of `.npy` files, version 1.0: little endian, C order.
///
/// The bytes stay as they are: nothing is rounded, cast or squeezed.
public struct NpyArray: Equatable, Sendable {
    public let type: ElementType
    public let shape: [Int]
    public let bytes: Data

    /// - Parameter bytes: the elements in C order, `shape` product times the element's size.
    public init(type: ElementType, shape: [Int], bytes: Data) throws {
        let count = try NpyArray.count(of: shape)
        guard bytes.count == count * type.size else {
            throw FormatError(
                "\(bytes.count) bytes for \(count) elements of \(type.rawValue)", at: "array")
        }
        self.type = type
        self.shape = shape
        self.bytes = bytes
    }

    /// The number of elements of a shape.
    public static func count(of shape: [Int]) throws -> Int {
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else {
                throw FormatError("\(shape) is no shape", at: "array")
            }
            count = product
        }
        return count
    }

    /// The whole file.
    public var file: Data {
        var file = Data(NpyArray.magic)
        let extents = shape.map(String.init).joined(separator: ", ")
        let tuple = shape.count == 1 ? "(\(extents),)" : "(\(extents))"
        var header =
            "{'descr': '\(type.descriptor)', 'fortran_order': False, 'shape': \(tuple), }"
        // The elements begin at a multiple of 64 bytes; the header ends with a line feed.
        let unpadded = NpyArray.magic.count + 2 + header.utf8.count + 1
        header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
        let length = UInt16(header.utf8.count)
        file.append(UInt8(length & 0xFF))
        file.append(UInt8(length >> 8))
        file.append(contentsOf: header.utf8)
        file.append(bytes)
        return file
    }

    /// Reads a file of version 1.0 in C order.
    public init(file: Data, name: String) throws {
        let start = NpyArray.magic.count + 2
        guard file.count >= start, Array(file.prefix(8)) == NpyArray.magic else {
            throw FormatError("is no .npy file of version 1.0", at: name)
        }
        let data = Data(file)  // indices from 0
        let length = Int(data[8]) | Int(data[9]) << 8
        guard data.count >= start + length,
            let header = String(data: data[start..<(start + length)], encoding: .ascii)
        else {
            throw FormatError("its header is cut off", at: name)
        }
        guard let descriptor = NpyArray.value(of: "descr", in: header, between: "'", and: "'"),
            let type = ElementType(descriptor: descriptor)
        else {
            throw FormatError("has an element type that is not known: \(header)", at: name)
        }
        guard header.contains("'fortran_order': False") else {
            throw FormatError("is in Fortran's order", at: name)
        }
        guard let inner = NpyArray.value(of: "shape", in: header, between: "(", and: ")") else {
            throw FormatError("has no shape", at: name)
        }
        let parts = inner.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let shape = try parts.filter { !$0.isEmpty }.map { part -> Int in
            guard let extent = Int(part) else {
                throw FormatError("(\(inner)) is no shape", at: name)
            }
            return extent
        }
        do {
            try self.init(type: type, shape: shape, bytes: Data(data[(start + length)...]))
        } catch let error as FormatError {
            throw FormatError(error.what, at: name)
        }
    }

    /// The elements as float32, for sounds and correlations; not for what is written.
    public var floats: [Float] {
        switch type {
        case .float16: return elements(UInt16.self).map(NpyArray.widened)
        case .float32: return elements(UInt32.self).map(Float.init(bitPattern:))
        case .float64: return elements(UInt64.self).map { Float(Double(bitPattern: $0)) }
        case .int32: return elements(UInt32.self).map { Float(Int32(bitPattern: $0)) }
        }
    }

    private func elements<Bits: FixedWidthInteger>(_: Bits.Type) -> [Bits] {
        let size = MemoryLayout<Bits>.size
        let raw = [UInt8](bytes)
        return (0..<(raw.count / size)).map { index in
            var bits: Bits = 0
            for byte in 0..<size {
                bits |= Bits(truncatingIfNeeded: raw[index * size + byte]) << (8 * byte)
            }
            return bits
        }
    }

    /// A float16, from its bits. Swift's own type is not there on Macs with Intel's processors.
    static func widened(_ half: UInt16) -> Float {
        let sign = UInt32(half & 0x8000) << 16
        let exponent = Int(half >> 10 & 0x1F)
        let fraction = UInt32(half & 0x3FF)
        if exponent == 0x1F {
            return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
        }
        if exponent == 0 {
            let size = Float(fraction) * 0x1p-24
            return sign == 0 ? size : -size
        }
        return Float(bitPattern: sign | UInt32(exponent + 112) << 23 | fraction << 13)
    }

    private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0]

    private static func value(
        of key: String, in header: String, between open: Character, and close: Character
    ) -> String? {
        guard let found = header.range(of: "'\(key)':") else { return nil }
        let rest = header[found.upperBound...]
        guard let start = rest.firstIndex(of: open) else { return nil }
        let after = rest[rest.index(after: start)...]
        guard let end = after.firstIndex(of: close) else { return nil }
        return String(after[..<end])
    }
}
