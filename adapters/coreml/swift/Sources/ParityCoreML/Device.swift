#if canImport(CoreML)
import Foundation
import ParityFormat

/// What this runs on: system, version, model and chip; empty where it cannot be told.
public func thisDevice() -> HarnessResults.Device {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    let numbers = [version.majorVersion, version.minorVersion, version.patchVersion]
    #if os(iOS)
    let system = "iOS"
    let model = systemValue("hw.machine")
    #else
    let system = "macOS"
    let model = systemValue("hw.model")
    #endif
    return HarnessResults.Device(
        system: system,
        systemVersion: numbers.map(String.init).joined(separator: "."),
        model: model,
        // iOS does not tell its chip: there the model stands for it.
        chip: systemValue("machdep.cpu.brand_string"))
}

private func systemValue(_ name: String) -> String {
    var size = 0
    guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return "" }
    var bytes = [CChar](repeating: 0, count: size)
    guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return "" }
    return String(cString: bytes)
}
#endif
