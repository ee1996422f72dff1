import CCharnnCUDA
import CharnnEngine

/// The kernels by their names in the program.
enum Kernel: String, CaseIterable {
    case probe
    case gather
    case beginFloat = "begin_float"
    case beginHalf = "begin_half"
    case forwardRNNFloat = "forward_rnn_float"
    case forwardRNNHalf = "forward_rnn_half"
    case forwardGRUFloat = "forward_gru_float"
    case forwardGRUHalf = "forward_gru_half"
    case forwardLSTMFloat = "forward_lstm_float"
    case forwardLSTMHalf = "forward_lstm_half"
    case forwardCellRNNFloat = "forward_cell_rnn_float"
    case forwardCellRNNHalf = "forward_cell_rnn_half"
    case forwardCellGRUFloat = "forward_cell_gru_float"
    case forwardCellGRUHalf = "forward_cell_gru_half"
    case forwardCellLSTMFloat = "forward_cell_lstm_float"
    case forwardCellLSTMHalf = "forward_cell_lstm_half"
    case backwardRNNFloat = "backward_rnn_float"
    case backwardRNNHalf = "backward_rnn_half"
    case backwardGRUFloat = "backward_gru_float"
    case backwardGRUHalf = "backward_gru_half"
    case backwardLSTMFloat = "backward_lstm_float"
    case backwardLSTMHalf = "backward_lstm_half"
    case backwardCellRNNFloat = "backward_cell_rnn_float"
    case backwardCellRNNHalf = "backward_cell_rnn_half"
    case backwardCellGRUFloat = "backward_cell_gru_float"
    case backwardCellGRUHalf = "backward_cell_gru_half"
    case backwardCellLSTMFloat = "backward_cell_lstm_float"
    case backwardCellLSTMHalf = "backward_cell_lstm_half"
    case dropoutFloat = "dropout_float"
    case dropoutHalf = "dropout_half"
    case dropoutGradient = "dropout_gradient"
    case lossFloat = "loss_float"
    case lossHalf = "loss_half"
    case symbolSumFloat = "symbol_sum_float"
    case symbolSumHalf = "symbol_sum_half"
    case columnSumFloat = "column_sum_float"
    case columnSumHalf = "column_sum_half"
    case productHalfNT = "product_half_nt"
    case productHalfTN = "product_half_tn"
    case productHalfNTWide = "product_half_nt_wide"
    case productHalfTNWide = "product_half_tn_wide"
    case productFloatNT = "product_float_nt"
    case productFloatNN = "product_float_nn"
    case productFloatTN = "product_float_tn"
    case reduce
    case gradientNorm = "gradient_norm"
    case conclude
    case update
    case pack
    case bias
    case commit

    /// Threads of a block.
    var threads: Int {
        switch self {
        case .forwardRNNFloat, .forwardRNNHalf, .forwardGRUFloat, .forwardGRUHalf, .forwardLSTMFloat, .forwardLSTMHalf:
            CharnnForwardThreads
        case .backwardRNNFloat, .backwardRNNHalf, .backwardGRUFloat, .backwardGRUHalf, .backwardLSTMFloat,
            .backwardLSTMHalf:
            CharnnBackwardThreads
        case .symbolSumFloat, .symbolSumHalf, .columnSumFloat, .columnSumHalf: CharnnSumColumns
        case .productHalfNT, .productHalfTN: CharnnProductThreads
        case .productHalfNTWide, .productHalfTNWide: CharnnWideProductThreads
        case .productFloatNT, .productFloatNN, .productFloatTN: CharnnFloatProductThreads
        case .conclude: CharnnConcludeThreads
        case .probe, .gather, .beginFloat, .beginHalf, .dropoutFloat, .dropoutHalf, .dropoutGradient, .lossFloat,
            .lossHalf, .forwardCellRNNFloat, .forwardCellRNNHalf, .forwardCellGRUFloat, .forwardCellGRUHalf,
            .forwardCellLSTMFloat, .forwardCellLSTMHalf, .backwardCellRNNFloat, .backwardCellRNNHalf,
            .backwardCellGRUFloat, .backwardCellGRUHalf, .backwardCellLSTMFloat, .backwardCellLSTMHalf, .reduce,
            .gradientNorm, .update, .pack, .bias, .commit:
            CharnnRowThreads
        }
    }

    static func forward(_ cell: Cell, _ precision: CUDAPrecision) -> Kernel {
        switch (cell, precision) {
        case (.rnn, .fp32): .forwardRNNFloat
        case (.rnn, .fp16): .forwardRNNHalf
        case (.gru, .fp32): .forwardGRUFloat
        case (.gru, .fp16): .forwardGRUHalf
        case (.lstm, .fp32): .forwardLSTMFloat
        case (.lstm, .fp16): .forwardLSTMHalf
        }
    }

    static func forwardCell(_ cell: Cell, _ precision: CUDAPrecision) -> Kernel {
        switch (cell, precision) {
        case (.rnn, .fp32): .forwardCellRNNFloat
        case (.rnn, .fp16): .forwardCellRNNHalf
        case (.gru, .fp32): .forwardCellGRUFloat
        case (.gru, .fp16): .forwardCellGRUHalf
        case (.lstm, .fp32): .forwardCellLSTMFloat
        case (.lstm, .fp16): .forwardCellLSTMHalf
        }
    }

    static func backward(_ cell: Cell, _ precision: CUDAPrecision) -> Kernel {
        switch (cell, precision) {
        case (.rnn, .fp32): .backwardRNNFloat
        case (.rnn, .fp16): .backwardRNNHalf
        case (.gru, .fp32): .backwardGRUFloat
        case (.gru, .fp16): .backwardGRUHalf
        case (.lstm, .fp32): .backwardLSTMFloat
        case (.lstm, .fp16): .backwardLSTMHalf
        }
    }

    static func backwardCell(_ cell: Cell, _ precision: CUDAPrecision) -> Kernel {
        switch (cell, precision) {
        case (.rnn, .fp32): .backwardCellRNNFloat
        case (.rnn, .fp16): .backwardCellRNNHalf
        case (.gru, .fp32): .backwardCellGRUFloat
        case (.gru, .fp16): .backwardCellGRUHalf
        case (.lstm, .fp32): .backwardCellLSTMFloat
        case (.lstm, .fp16): .backwardCellLSTMHalf
        }
    }
}

/// How many pieces of a size cover a count.
func pieces(_ count: Int, of size: Int) -> Int { (count + size - 1) / size }
