//! Tables against simple models.

mod model;
mod ranges;
