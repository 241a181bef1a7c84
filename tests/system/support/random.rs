//! Random numbers from a seed that a failing test can be given again.

/// What chooses what a test does next.
pub(crate) struct Random(plinthdb::random::Random);

impl Random {
    /// Numbers from `PLINTH_TEST_SEED`, or from a seed of its own; the seed, for the messages.
    pub(crate) fn from_environment() -> (Self, u64) {
        let given = std::env::var("PLINTH_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).expect("the system has randomness");
            u64::from_be_bytes(bytes)
        });
        (Self(plinthdb::random::Random::new(seed)), seed)
    }

    /// Numbers of their own for a part of the test.
    pub(crate) fn fork(&mut self) -> Self {
        Self(plinthdb::random::Random::new(self.next()))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }
}
