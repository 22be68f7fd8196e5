import XCTest

@testable import ParityFormat

final class FolderTests: XCTestCase {
    private let text = """
        {"format": "parity-coreml-bundle", "version": 1, "id": "9f", "name": "net",
         "function": "main", "precision": "float32",
         "inputs": [{"name": "x", "dtype": "float32", "shape": [2], "files": ["inputs/0/0.npy"]}],
         "states": [{"name": "cache", "dtype": "float16", "shape": [1], "stem": "states/0"}],
         "steps": 1, "repeat": 0,
         "packages": [{"path": "packages/000.mlpackage", "role": "untouched", "outputs": ["y"]},
                      {"path": "packages/001.mlpackage", "role": "instrumented",
                       "outputs": ["y", "h"]}],
         "outputs": [{"name": "y", "dtype": "float32", "shape": [2], "number": 0,
                      "taps": [{"stem": "taps/net.output", "call": 1, "calls": 2}]},
                     {"name": "h", "dtype": "float32", "shape": [2], "number": 1, "taps": []}],
         "not_exposed": []}
        """

    private func bundle(_ change: (String) -> String = { $0 }) throws -> HarnessBundle {
        let bundle = try JSONDecoder().decode(HarnessBundle.self, from: Data(change(text).utf8))
        try bundle.check(at: "bundle.json")
        return bundle
    }

    func testFilesAreNamedAsDocumented() throws {
        let outputs = try bundle().outputs
        XCTAssertEqual(
            ResultsFolder.files(of: outputs[0], step: 3, package: 0, isOwn: true),
            ["taps/net.output.call7.npy"])
        XCTAssertEqual(
            ResultsFolder.files(of: outputs[0], step: 3, package: 1, isOwn: true),
            ["again/001/000000.step3.npy"])
        XCTAssertEqual(
            ResultsFolder.files(of: outputs[1], step: 0, package: 1, isOwn: false),
            ["values/000001.step0.npy"])
    }

    func testAFolderIsWrittenAndFinishedLast() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let device = HarnessResults.Device(system: "", systemVersion: "", model: "", chip: "")
        let made = try ResultsFolder(
            folder, bundle: try bundle(), computeUnits: "cpuOnly", device: device)
        let array = try NpyArray(type: .float32, shape: [2], bytes: Data(count: 8))
        try made.write(array, output: "y", step: 0, package: 0)
        try made.write(array, output: "y", step: 0, package: 1)
        made.add(.init(path: "packages/000.mlpackage"))
        let json = folder.appendingPathComponent("results.json")
        XCTAssertFalse(FileManager.default.fileExists(atPath: json.path))
        try made.finish()
        let text = String(decoding: try Data(contentsOf: json), as: UTF8.self)
        XCTAssertTrue(text.contains("\"error\" : null"))
        XCTAssertTrue(text.contains("\"bundle\" : \"9f\""))
        let again = folder.appendingPathComponent("again/001/000000.step0.npy")
        XCTAssertEqual(try NpyArray(file: Data(contentsOf: again), name: "again"), array)
        XCTAssertThrowsError(try made.write(array, output: "unknown", step: 0, package: 0))
    }

    func testPathsThatLeadOutAreRefused() throws {
        for path in ["../x", "/x", "a/../../x", "a//x", "a\\\\x"] {
            XCTAssertThrowsError(
                try bundle { $0.replacingOccurrences(of: "taps/net.output", with: path) }, path)
        }
    }

    func testAnotherVersionIsRefused() {
        XCTAssertThrowsError(
            try bundle { $0.replacingOccurrences(of: "\"version\": 1", with: "\"version\": 2") })
    }

    func testCorrelation() {
        XCTAssertEqual(correlation([0, 1, 0, -1], [0, 2, 0, -2]), 1, accuracy: 1e-12)
        XCTAssertEqual(correlation([0, 1, 0, -1], [0, -1, 0, 1]), -1, accuracy: 1e-12)
        XCTAssertTrue(correlation([1, 1], [0, 1]).isNaN)
        XCTAssertTrue(correlation([], []).isNaN)
    }
}
