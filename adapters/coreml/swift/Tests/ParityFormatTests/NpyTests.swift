import XCTest

@testable import ParityFormat

final class NpyTests: XCTestCase {
    func testTheHeaderIsThatOfNumpy() throws {
        let array = try NpyArray(type: .float32, shape: [2, 3], bytes: Data(count: 24))
        let text = String(decoding: array.file.dropFirst(10).prefix(58), as: UTF8.self)
        XCTAssertTrue(text.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"))
        XCTAssertEqual((array.file.count - 24) % 64, 0)
    }

    func testEveryShapeComesBack() throws {
        for shape in [[], [0], [5], [1, 1], [2, 0, 3], [2, 3, 4]] {
            for type in [ElementType.float16, .float32, .float64, .int32] {
                let count = try NpyArray.count(of: shape)
                let bytes = Data((0..<(count * type.size)).map { UInt8($0 % 251) })
                let array = try NpyArray(type: type, shape: shape, bytes: bytes)
                XCTAssertEqual(try NpyArray(file: array.file, name: "x"), array)
            }
        }
    }

    func testWhatIsCutOffIsAnError() throws {
        let file = try NpyArray(type: .int32, shape: [4], bytes: Data(count: 16)).file
        for count in [0, 5, 20, file.count - 1] {
            XCTAssertThrowsError(try NpyArray(file: file.prefix(count), name: "x"))
        }
    }

    func testHalfsAreWidenedExactly() {
        XCTAssertEqual(NpyArray.widened(0x3C00), 1)
        XCTAssertEqual(NpyArray.widened(0xC000), -2)
        XCTAssertEqual(NpyArray.widened(0x0001), 0x1p-24)
        XCTAssertEqual(NpyArray.widened(0x7BFF), 65504)
        XCTAssertEqual(NpyArray.widened(0xFC00), -.infinity)
        XCTAssertTrue(NpyArray.widened(0x7E00).isNaN)
        XCTAssertEqual(NpyArray.widened(0x8000).sign, .minus)
    }

    func testPaddedRowsAndTurnedAxesAreReadByStrides() {
        // Two rows of three, padded to four; then the same transposed.
        let memory: [Int32] = [0, 1, 2, -1, 3, 4, 5, -1]
        XCTAssertEqual(copied(memory, shape: [2, 3], strides: [4, 1]), [0, 1, 2, 3, 4, 5])
        XCTAssertEqual(copied(memory, shape: [3, 2], strides: [1, 4]), [0, 3, 1, 4, 2, 5])
        XCTAssertEqual(copied(memory, shape: [2, 1, 3], strides: [4, 4, 1]), [0, 1, 2, 3, 4, 5])
        XCTAssertEqual(copied(memory, shape: [], strides: []), [0])
    }

    private func copied(_ memory: [Int32], shape: [Int], strides: [Int]) -> [Int32] {
        var made = [Int32](repeating: 99, count: shape.reduce(1, *))
        memory.withUnsafeBytes { source in
            made.withUnsafeMutableBytes { target in
                copyStrided(
                    from: source.baseAddress!, to: target.baseAddress!, shape: shape,
                    strides: strides, size: 4)
            }
        }
        return made
    }
}
