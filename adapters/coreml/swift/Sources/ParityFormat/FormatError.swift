/// Something in a bundle or an array that cannot be used, and where.
public struct FormatError: Error, CustomStringConvertible, Sendable {
    public let what: String
    public let place: String

    public init(_ what: String, at place: String) {
        self.what = what
        self.place = place
    }

    public var description: String { "\(place): \(what)" }
}
