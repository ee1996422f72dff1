// What decides the bits of a result, given the sizes and the device. It stands below everything else of the target.

/// What the operands of a training step's large products are; sums, weights and all else are fp32.
public enum CUDAPrecision: String, Sendable, CaseIterable {
    case fp32
    case fp16
}

enum Arithmetic {
    /// Raised with every change after which the same sizes on the same device come to other bits, such as another
    /// choice of ``ProductPlan``: a run that began before is told so.
    static let version = 1
}
