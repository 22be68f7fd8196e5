#if canImport(CoreML)
import CoreML
import ParityFormat
import XCTest

@testable import ParityCoreML

final class MultiArrayTests: XCTestCase {
    func testPaddedRowsAreLeftOut() throws {
        var memory: [Float] = [0, 1, 2, -1, 3, 4, 5, -1]
        let array = try memory.withUnsafeMutableBytes { raw in
            try MLMultiArray(
                dataPointer: raw.baseAddress!, shape: [2, 3], dataType: .float32, strides: [4, 1],
                deallocator: nil
            ).npy()
        }
        XCTAssertEqual(array.shape, [2, 3])
        XCTAssertEqual(array.floats, [0, 1, 2, 3, 4, 5])
    }

    func testAnInputComesBack() throws {
        let bytes = Data((0..<48).map { UInt8($0) })
        let array = try NpyArray(type: .float16, shape: [2, 3, 4], bytes: bytes)
        XCTAssertEqual(try MLMultiArray.from(array).npy(), array)
    }
}
#endif
