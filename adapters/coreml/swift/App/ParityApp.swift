import SwiftUI

/// Runs a bundle on this iPhone or iPad, and lets one listen to both sides.
@main
struct ParityApp: App {
    var body: some Scene {
        WindowGroup {
            HarnessScreen()
        }
    }
}
