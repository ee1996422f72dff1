import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@testable import CharnnDaemon

@Suite(.endsWhatHangs)
struct PageScheduleTests {
    @Test func `changes that come together make one page, a while after the first`() {
        var page = PageSchedule()
        #expect(!page.isDue(at: 0))
        page.changed(at: 10)
        page.changed(at: 11)
        #expect(!page.isDue(at: 11.9) && page.isDue(at: 12.1) && page.isDue(at: 10, finally: true))
        page.started(at: 12)
        #expect(!page.isDue(at: 100, finally: true) && page.isPending)
        page.ended(at: 13, hasJob: false)
        #expect(!page.isPending)
    }

    @Test func `a page that takes long is written seldom, and a change meanwhile is not forgotten`() {
        var page = PageSchedule()
        page.changed(at: 0)
        page.started(at: 2)
        page.changed(at: 3)
        page.ended(at: 4, hasJob: false)
        #expect(!page.isDue(at: 50) && page.isDue(at: 105))
    }

    @Test func `while a job runs the page follows it without a change`() {
        var page = PageSchedule()
        page.changed(at: 0)
        page.started(at: 2)
        page.ended(at: 2.1, hasJob: true)
        #expect(!page.isDue(at: 60) && page.isDue(at: 603))
    }

    @Test(arguments: ["exit 3", "sleep 2; touch \"$3/page\"", "kill -9 $$"])
    func `jobs go on whatever the page's process does, and the end waits for it`(script: String) async throws {
        let spool = try DaemonFixture()
        for name in ["good-a.yaml", "good-b.yaml"] { try spool.drop(name) }
        let file = spool.folder.path.appending("page.sh")
        try spool.disk.replace(file, with: Array(script.utf8))
        var options = spool.options()
        options.once = true
        options.page = WorkerCommand(executable: "/bin/sh", arguments: [file.string, "page"])
        #expect(try await Daemon(options).run() == .ended)
        #expect(try spool.state("good-a") == .done && spool.state("good-b") == .done)
        let complaints = spool.log.all.filter { $0["MESSAGE"]?.contains("index.html was not written") == true }
        #expect(complaints.isEmpty == script.hasPrefix("sleep"))
        if script.hasPrefix("sleep") {
            let made = try spool.disk.status(of: spool.layout.root.appending("page"))
            #expect(made != nil)
        }
    }
}
