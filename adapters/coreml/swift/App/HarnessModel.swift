import Combine
import Foundation
import ParityCoreML
import ParityFormat

/// What the screen shows: the run, and the sounds of both sides.
@MainActor
final class HarnessModel: ObservableObject {
    struct Sounds {
        let reference: [Float]
        let candidate: [Float]
        let sampleRate: Double

        var correlation: Double { ParityFormat.correlation(reference, candidate) }
    }

    @Published var units = ComputeUnits.all
    @Published private(set) var status = "Choose a bundle."
    @Published private(set) var running = false
    @Published private(set) var results: HarnessResults?
    @Published private(set) var resultsFolder: URL?
    @Published private(set) var sounds: Sounds?

    /// Runs the bundle in a folder that the user chose; results go into the app's documents.
    func run(_ folder: URL) async {
        running = true
        defer { running = false }
        (results, resultsFolder, sounds) = (nil, nil, nil)
        let opened = folder.startAccessingSecurityScopedResource()
        defer { if opened { folder.stopAccessingSecurityScopedResource() } }
        do {
            var harness = try Harness(folder: folder, units: units)
            harness.progress = { said in Task { @MainActor in self.status = said } }
            let target = URL.documentsDirectory
                .appendingPathComponent("\(harness.bundle.name)-\(units.rawValue)")
            let made = try await harness.run(into: target)
            results = made
            resultsFolder = target
            sounds = try read(harness.bundle, from: folder, target, made)
            let failed = made.packages.filter { $0.error != nil || !$0.missing.isEmpty }.count
            status = failed == 0 ? "\(made.tensors.count) tensors" : "\(failed) packages failed"
        } catch {
            status = String(describing: error)
        }
    }

    /// Seconds of the steps of the untouched package's last run, which nothing was written of.
    var seconds: [Double] { results?.packages.first?.predictSeconds.last ?? [] }

    private func read(
        _ bundle: HarnessBundle, from folder: URL, _ target: URL, _ made: HarnessResults
    ) throws -> Sounds? {
        guard let sound = bundle.sound else { return nil }
        let files = made.tensors
            .filter { $0.name == sound.output && $0.package == 0 }
            .sorted { $0.step < $1.step }
            .map(\.file)
        let candidate = try files.flatMap { try samples(target, $0) }
        let reference = try samples(folder, sound.reference)
        return Sounds(reference: reference, candidate: candidate, sampleRate: sound.sampleRate)
    }

    private func samples(_ folder: URL, _ file: String) throws -> [Float] {
        let place = try inside(folder: folder, file)
        return try NpyArray(file: Data(contentsOf: place), name: file).floats
    }
}
