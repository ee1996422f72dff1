public import CharnnSpool
public import CharnnStorage
import SystemPackage

extension ServiceConfiguration {
    /// `caps:` as the administrator wrote it; names of users and groups need not exist on this machine.
    public struct CapSections: Sendable, Equatable {
        /// Of everybody, where neither ``users`` nor ``groups`` says something of a key.
        public var all = Caps()
        /// By the group's name.
        public var groups: [String: Caps] = [:]
        /// By the user's name.
        public var users: [String: Caps] = [:]

        public init() {}
    }

    /// What holds in a shared spool where the administrator says nothing: nobody can have all others wait for ever by a
    /// number.
    static let sharedDefaults: Caps = {
        var caps = Caps()
        caps.lowestPriority = .init(-100, "the default of caps.all.priority")
        caps.highestPriority = .init(100, "the default of caps.all.priority")
        caps.textLength = .init(10_000_000, "the default of caps.all.text_length")
        caps.texts = .init(10_000, "the default of caps.all.texts")
        return caps
    }()

    /// What a user may ask for: what is said of them, else of their groups (the more generous where they are in
    /// several), else of all, key by key. Administrators have no caps.
    ///
    /// - Parameter user: nil: nobody knows; what holds for all.
    public func caps(of user: UInt32?, isShared: Bool, _ people: People) -> Caps {
        caps(of: user, isShared: isShared, people, groups: numberedGroups)
    }

    /// The groups that are spoken of and that this machine has, by their numbers.
    private var numberedGroups: [(number: UInt32, caps: Caps)] {
        caps.groups.compactMap { name, caps in People.group(named: name).map { ($0, caps) } }
    }

    private func caps(
        of user: UInt32?, isShared: Bool, _ people: People, groups: [(number: UInt32, caps: Caps)]
    ) -> Caps {
        if let user, people.isAdministrator(user) { return .none }
        let all = isShared ? caps.all.completed(by: Self.sharedDefaults) : caps.all
        guard let user else { return all }
        let mine = people.groups(of: user)
        var ofGroups: Caps?
        for (number, group) in groups where mine.contains(number) {
            ofGroups = ofGroups?.widened(by: group) ?? group
        }
        let own = caps.users[people.name(of: user)] ?? Caps()
        return own.completed(by: ofGroups ?? Caps()).completed(by: all)
    }

    /// The caps of a user in a spool, as the configuration at its standard place has them; what cannot be read there says
    /// nothing. The daemon's word counts, which may have another configuration.
    ///
    /// For tools of people, to say in time what the daemon would refuse.
    public static func caps(of user: UInt32?, in layout: SpoolLayout, on storage: some Storage) -> Caps {
        guard (try? layout.sharing(on: storage)) == .group else { return .none }
        let bytes = (try? storage.contents(of: standardPath, limit: 1 << 20)) ?? nil
        let configuration = bytes.flatMap { try? parse($0, fileName: standardPath.string) } ?? ServiceConfiguration()
        return configuration.caps(of: user, isShared: true, .system)
    }

    /// What the queue must know of this configuration.
    public func rules(isShared: Bool, _ people: People = .system) -> SpoolRules {
        // Names of groups are looked up once, at the start and at each reload.
        let groups = numberedGroups
        return SpoolRules(corpusRoots: corpusRoots, textGrace: textGrace) { user in
            caps(of: user, isShared: isShared, people, groups: groups)
        }
    }
}
