import CharnnSpool
import Testing

struct JobNameTests {
    @Test(arguments: ["kjv", "génesis", "創世記", "हिन्दी", "a b", "a.b_c+d-e", "1", String(repeating: "x", count: 128)])
    func `letters and digits of any script, space and four signs make a name`(text: String) {
        #expect(JobName(text)?.text == text)
        #expect(JobName(mending: text).text == text)
    }

    @Test(arguments: [
        "", ".", "..", ".a", "-a", "a/b", "a\nb", "a\0b", "a~", "a:b", "a\u{202E}b", "\u{301}a",
        String(repeating: "x", count: 129),
    ])
    func `what could deceive or escape is no name`(text: String) {
        #expect(JobName(text) == nil)
        #expect(JobName(JobName(mending: text).text) != nil)
    }

    @Test func `a taken name is numbered, and shortened where it would be too long`() {
        let name = JobName(mending: "kjv")
        #expect([1, 2, 3].map { name.numbered($0).text } == ["kjv", "kjv-2", "kjv-3"])
        let long = JobName(mending: String(repeating: "é", count: 64)).numbered(12)
        #expect(long.text.utf8.count <= 128 && long.text.hasSuffix("é-12"))
    }

    @Test func `only three endings make a job file`() {
        #expect(JobFileName("a.b.yaml")?.name.text == "a.b")
        #expect(JobFileName("a.json")?.ending == "json")
        for other in ["a", "a.txt", "a.YAML", "a.yaml~", ".yaml", "a.yaml.reason.txt"] {
            #expect(JobFileName(other) == nil, "\(other)")
        }
    }
}
