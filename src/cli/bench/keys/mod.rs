//! What the generator stores: numbered keys, and values by which it knows them again.

mod distribution;
mod name;
mod sizes;
mod value;
mod zipfian;

pub(crate) use self::{
    distribution::{Distribution, Picker},
    name::{KEY_SIZE_MAX, KEY_SIZE_MIN, Keys},
    sizes::Sizes,
    value::{NUMBER_BYTES, Values},
};
pub(crate) use crate::random::Random;
