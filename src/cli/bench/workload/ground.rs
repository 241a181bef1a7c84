//! What all that ask have in common: the keys there are, and their values.

use std::sync::Arc;

use super::{bank::Bank, growth::Growth};
use crate::cli::bench::{
    arguments::RunArguments,
    keys::{Keys, Picker, Random, Values},
};

/// The keys of a run and their values. Copies are the same ground.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// How keys are called.
    pub(crate) keys: Keys,
    /// How values look.
    pub(crate) values: Arc<Values>,
    /// The accounts, which are keys of their own.
    pub(crate) bank: Arc<Bank>,
    /// How many keys there are.
    pub(crate) growth: Arc<Growth>,
    picker: Picker,
}

impl Ground {
    /// As the command line says.
    pub(crate) fn new(arguments: &RunArguments) -> Self {
        Self {
            keys: Keys::new(arguments.key_size),
            values: Arc::new(Values::new(arguments.value_size)),
            bank: Arc::new(Bank::new(
                arguments.keys,
                arguments.distribution(),
                arguments.value_size.most(),
            )),
            growth: Arc::new(Growth::new(arguments.keys)),
            picker: Picker::new(arguments.distribution(), arguments.keys),
        }
    }

    /// How many keys there are.
    pub(crate) fn key_count(&self) -> u64 {
        self.growth.count()
    }

    /// The number of a key, one that is picked as often as the run's distribution says.
    pub(crate) fn pick(&self, random: &mut Random) -> u64 {
        self.picker.pick(self.growth.count(), random)
    }

    /// The name of such a key.
    pub(crate) fn pick_key(&self, random: &mut Random) -> Vec<u8> {
        self.keys.name(self.pick(random))
    }
}
