/// Copies a strided array of any layout into C order.
///
/// - Parameters:
///   - shape: the extent of each axis, none of them 0.
///   - strides: in elements.
///   - size: bytes of an element.
public func copyStrided(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, shape: [Int],
    strides: [Int], size: Int
) {
    forEachRow(shape: shape, strides: strides) { place, offset, count, stride in
        if stride == 1 {
            (target + place * size)
                .copyMemory(from: source + offset * size, byteCount: count * size)
        } else {
            for i in 0..<count {
                (target + (place + i) * size)
                    .copyMemory(from: source + (offset + i * stride) * size, byteCount: size)
            }
        }
    }
}

/// Copies an array in C order into a strided one; as `copyStrided`, the other way round.
public func copyToStrided(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, shape: [Int],
    strides: [Int], size: Int
) {
    forEachRow(shape: shape, strides: strides) { place, offset, count, stride in
        for i in 0..<count {
            (target + (offset + i * stride) * size)
                .copyMemory(from: source + (place + i) * size, byteCount: size)
        }
    }
}

/// Calls `body` for each row along the last axis, in C order: its place in C order, its offset in
/// the strided array, its length and its stride, all in elements.
private func forEachRow(
    shape: [Int], strides: [Int], _ body: (Int, Int, Int, Int) -> Void
) {
    guard let count = shape.last, let stride = strides.last else {
        body(0, 0, 1, 1)  // a scalar
        return
    }
    var index = [Int](repeating: 0, count: shape.count - 1)
    var place = 0
    while true {
        let offset = zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }
        body(place, offset, count, stride)
        place += count
        var axis = index.count - 1
        while axis >= 0 {
            index[axis] += 1
            if index[axis] < shape[axis] { break }
            index[axis] = 0
            axis -= 1
        }
        if axis < 0 { return }
    }
}
