public import Testing

extension Trait where Self == TimeLimitTrait {
    /// Ends what hangs, and nothing else: tests run side by side, and the time that one waits for the others counts.
    public static var endsWhatHangs: Self { .timeLimit(.minutes(30)) }
}
