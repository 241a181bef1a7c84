//! Whom the load is put on.

pub(crate) mod plinth;
