import AVFoundation
import Combine

/// Plays samples of one channel.
@MainActor
final class Player: ObservableObject {
    private let engine = AVAudioEngine()
    private let node = AVAudioPlayerNode()

    init() {
        engine.attach(node)
    }

    /// Plays `samples` from the beginning; what played before stops.
    func play(_ samples: [Float], at sampleRate: Double) {
        stop()
        guard !samples.isEmpty,
            let format = AVAudioFormat(standardFormatWithSampleRate: sampleRate, channels: 1),
            let buffer = AVAudioPCMBuffer(
                pcmFormat: format, frameCapacity: AVAudioFrameCount(samples.count)),
            let channel = buffer.floatChannelData?[0]
        else { return }
        buffer.frameLength = buffer.frameCapacity
        channel.update(from: samples, count: samples.count)
        engine.connect(node, to: engine.mainMixerNode, format: format)
        do {
            try engine.start()
        } catch {
            return
        }
        node.scheduleBuffer(buffer)
        node.play()
    }

    func stop() {
        node.stop()
        engine.stop()
    }
}
