//! Faults by what they strike: a configuration is explored with a few families of them, and the cover has every two together.

/// What a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    /// A process crashes, answers badly or as somebody else, does not end on TERM.
    Processes,
    /// A port is taken, before a start or in it, by a stranger or by the same application.
    Ports,
    /// nginx dies, a reload is lost, the configuration is broken elsewhere.
    Nginx,
    /// The include or a flag is edited by hand.
    Include,
    /// A jar is gone or damaged, at its path or in the store.
    Jars,
    /// The ledger is lost, or an older one comes back.
    Ledger,
    /// Another manifest is accepted.
    Manifest,
    /// The machine starts again.
    Reboot,
    /// A person uses a verb.
    Person,
    /// One fact of a look cannot be read.
    Unread,
}

impl Family {
    /// Every one.
    pub(crate) const ALL: [Self; 10] = [
        Self::Processes,
        Self::Ports,
        Self::Nginx,
        Self::Include,
        Self::Jars,
        Self::Ledger,
        Self::Manifest,
        Self::Reboot,
        Self::Person,
        Self::Unread,
    ];
}

/// Some of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Families(u16);

impl Families {
    /// No fault at all.
    pub(crate) fn none() -> Self {
        Self(0)
    }

    /// Every fault that there is.
    pub(crate) fn all() -> Self {
        Self::of(&Family::ALL)
    }

    /// These.
    pub(crate) fn of(families: &[Family]) -> Self {
        Self(families.iter().fold(0, |set, family| set | (1 << (*family as u16))))
    }

    /// By their words, with a comma or a plus sign between them.
    pub(crate) fn named(words: &str) -> Self {
        if words == "all" {
            return Self::all();
        }
        let is = |family: &Family, word: &str| format!("{family:?}").eq_ignore_ascii_case(word.trim());
        let meant = |family: &Family| words.split(['+', ',']).any(|word| is(family, word));
        Self::of(&Family::ALL.into_iter().filter(meant).collect::<Vec<_>>())
    }

    /// Whether one is among them.
    pub(crate) fn has(self, family: Family) -> bool {
        self.0 & (1 << (family as u16)) != 0
    }

    /// In words, for the table.
    pub(crate) fn words(self) -> String {
        if self == Self::all() {
            return "all".to_owned();
        }
        let words: Vec<_> = Family::ALL.iter().filter(|f| self.has(**f)).map(|f| format!("{f:?}").to_lowercase()).collect();
        words.join(", ")
    }
}
