import CFuzz
import Glibc

/// `fuzz seeds FOLDER` writes the inputs to begin with; `fuzz TARGET ARGUMENTS…` gives everything behind the target's name
/// to libFuzzer.
@main
enum Fuzz {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count > 1 else { return usage() }
        if arguments[1] == "seeds", arguments.count == 3 {
            do {
                return try Seeds.write(to: arguments[2])
            } catch {
                print("fuzz: \(error)")
                exit(1)
            }
        }
        var words = ([arguments[0]] + arguments.dropFirst(2)).map { strdup($0) } + [nil]
        var count = CInt(words.count - 1)
        words.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            let status: CInt
            switch arguments[1] {
            case "job-file": status = LLVMFuzzerRunDriver(&count, &start) { Targets.jobFile($0, $1) }
            case "safetensors": status = LLVMFuzzerRunDriver(&count, &start) { Targets.safeTensors($0, $1) }
            case "checkpoint": status = LLVMFuzzerRunDriver(&count, &start) { Targets.checkpoint($0, $1) }
            case "corpus": status = LLVMFuzzerRunDriver(&count, &start) { Targets.corpus($0, $1) }
            case "status": status = LLVMFuzzerRunDriver(&count, &start) { Targets.status($0, $1) }
            case "configuration": status = LLVMFuzzerRunDriver(&count, &start) { Targets.configuration($0, $1) }
            case "metrics": status = LLVMFuzzerRunDriver(&count, &start) { Targets.metrics($0, $1) }
            default: return usage()
            }
            exit(status)
        }
    }

    private static func usage() {
        print(
            "fuzz: seeds FOLDER, or job-file, safetensors, checkpoint, corpus, status, configuration or metrics and "
                + "libFuzzer's arguments")
        exit(64)
    }
}
