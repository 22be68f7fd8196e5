import ParityCoreML
import ParityFormat
import SwiftUI
import UniformTypeIdentifiers

/// One screen: run a bundle, compare by ear, see correlation and timings, hand results on.
struct HarnessScreen: View {
    @StateObject private var model = HarnessModel()
    @StateObject private var player = Player()
    @State private var choosing = false

    var body: some View {
        NavigationStack {
            Form {
                Section("Bundle") {
                    Picker("Compute units", selection: $model.units) {
                        ForEach(ComputeUnits.allCases, id: \.self) { Text($0.rawValue) }
                    }
                    Button("Choose and run") { choosing = true }
                        .disabled(model.running)
                    HStack {
                        Text(model.status).font(.footnote)
                        if model.running { ProgressView() }
                    }
                }
                if let sounds = model.sounds {
                    Section("A/B") {
                        Button("Reference") { player.play(sounds.reference, at: sounds.sampleRate) }
                        Button("Candidate") { player.play(sounds.candidate, at: sounds.sampleRate) }
                        Button("Stop") { player.stop() }
                        LabeledContent("Correlation", value: number(sounds.correlation, digits: 8))
                        LabeledContent("Reference samples", value: "\(sounds.reference.count)")
                        LabeledContent("Candidate samples", value: "\(sounds.candidate.count)")
                    }
                }
                if !model.seconds.isEmpty {
                    Section("Timings") {
                        LabeledContent("Steps", value: "\(model.seconds.count)")
                        LabeledContent("First step", value: milliseconds(model.seconds[0]))
                        LabeledContent("Median", value: milliseconds(median(model.seconds)))
                    }
                }
                if let folder = model.resultsFolder {
                    Section("Results") {
                        ShareLink("Hand on", item: folder)
                    }
                }
                if !failed.isEmpty {
                    Section("Failed") {
                        ForEach(failed, id: \.path) { package in
                            Text("\(package.path): \(package.error ?? "")").font(.footnote)
                        }
                    }
                }
            }
            .navigationTitle("parity")
        }
        .fileImporter(isPresented: $choosing, allowedContentTypes: [.folder]) { chosen in
            guard case .success(let folder) = chosen else { return }
            Task { await model.run(folder) }
        }
    }

    private var failed: [HarnessResults.Package] {
        (model.results?.packages ?? []).filter { $0.error != nil }
    }

    private func number(_ value: Double, digits: Int) -> String {
        value.isNaN ? "none" : value.formatted(.number.precision(.fractionLength(digits)))
    }

    private func milliseconds(_ seconds: Double) -> String {
        number(seconds * 1000, digits: 2) + " ms"
    }

    private func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted[sorted.count / 2]
    }
}
