import CCharnnKernels
import CharnnEngine

// Which kernel computes which cell.

extension CharnnKernels {
    func forward(_ architecture: Architecture) -> @convention(c) (UnsafePointer<CharnnCellForward>) -> Void {
        switch (architecture.cell, architecture.nonlinearity) {
        case (.lstm, _): lstmForward
        case (.gru, _): gruForward
        case (.rnn, .tanh): rnnTanhForward
        case (.rnn, .relu): rnnReluForward
        }
    }

    func backward(_ architecture: Architecture) -> @convention(c) (UnsafePointer<CharnnCellBackward>) -> Void {
        switch (architecture.cell, architecture.nonlinearity) {
        case (.lstm, _): lstmBackward
        case (.gru, _): gruBackward
        case (.rnn, .tanh): rnnTanhBackward
        case (.rnn, .relu): rnnReluBackward
        }
    }
}
