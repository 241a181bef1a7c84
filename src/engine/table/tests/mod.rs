//! Tables against simple models.

mod model;
