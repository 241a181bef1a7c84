//! Random numbers from a seed that a failing test can be given again.

/// `SplitMix64`: small, and good enough to choose what a test does next.
pub(crate) struct Random(u64);

impl Random {
    /// Numbers from `PLINTH_TEST_SEED`, or from a seed of its own; the seed, for the messages.
    pub(crate) fn from_environment() -> (Self, u64) {
        let given = std::env::var("PLINTH_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).expect("the system has randomness");
            u64::from_be_bytes(bytes)
        });
        (Self(seed), seed)
    }

    /// Numbers of their own for a part of the test.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
