//! What the generator stores: numbered keys, and values by which it knows them again.

mod name;
mod random;
mod sizes;
mod value;

pub(crate) use self::{
    name::{KEY_SIZE_MAX, KEY_SIZE_MIN, Keys},
    random::Random,
    sizes::Sizes,
    value::{NUMBER_BYTES, Values},
};
