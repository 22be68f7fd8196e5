#if canImport(CoreML)
import CoreML
import Foundation
import ParityFormat

/// A model's state, all zero when it is made; models without states have none.
struct FreshState {
    private let state: Any?

    /// Core ML has states from macOS 15 and iOS 18 on.
    init(of model: MLModel, _ states: [HarnessBundle.State]) throws {
        guard !states.isEmpty else {
            state = nil
            return
        }
        guard #available(macOS 15, iOS 18, *) else {
            throw FormatError("needs macOS 15 or iOS 18, for its states", at: "the bundle")
        }
        state = model.makeState()
    }

    func predict(_ model: MLModel, _ features: MLFeatureProvider) throws -> MLFeatureProvider {
        if #available(macOS 15, iOS 18, *), let state = state as? MLState {
            return try model.prediction(from: features, using: state)
        }
        return try model.prediction(from: features)
    }

    /// A copy of a state, nil where there is none.
    func array(_ name: String) throws -> NpyArray? {
        guard #available(macOS 15, iOS 18, *), let state = state as? MLState else { return nil }
        return try state.withMultiArray(for: name) { try $0.npy() }
    }
}
#endif
