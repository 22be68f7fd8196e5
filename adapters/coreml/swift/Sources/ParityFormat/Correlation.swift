/// Pearson's correlation of two sounds, over what both have; NaN where one is constant or empty.
public func correlation(_ one: [Float], _ other: [Float]) -> Double {
    let count = min(one.count, other.count)
    guard count > 1 else { return .nan }
    let xs = one.prefix(count).map(Double.init)
    let ys = other.prefix(count).map(Double.init)
    let meanX = xs.reduce(0, +) / Double(count)
    let meanY = ys.reduce(0, +) / Double(count)
    var xx = 0.0
    var yy = 0.0
    var xy = 0.0
    for (x, y) in zip(xs, ys) {
        xx += (x - meanX) * (x - meanX)
        yy += (y - meanY) * (y - meanY)
        xy += (x - meanX) * (y - meanY)
    }
    let size = (xx * yy).squareRoot()
    return size > 0 ? xy / size : .nan
}
