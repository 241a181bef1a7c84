//! Tables against simple models.

mod damage;
mod format;
mod model;
mod patience;
mod ranges;
