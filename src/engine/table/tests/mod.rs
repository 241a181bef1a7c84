//! Tables against simple models.

mod damage;
mod model;
mod ranges;
