//! Plots as SVG, written by hand: lines over two axes, and no more than that.
//!
//! ```text
//!   operations a second                 the y axis' label, where it reads without turning the head
//!   200 k ┼─────────────────────────
//!         │          ·──·──·──·  get    each line's name at its end; no legend to look up
//!   100 k ┼───── · ─────────────────
//!         │   ·
//!       0 ┼──┬──────┬──────┬──────┬─    ticks at round numbers, with their unit
//!         1      10    100   1,000
//!                 connections
//! ```
//!
//! A [`Chart`] says what is shown; [`scale`] where a number lies on an axis and which are round,
//! [`unit`] how it is written, [`labels`] where names go, [`draw`] puts it together. Colours are
//! custom properties of `theme.css`, light and dark, as the reader's system has it; a picture of its
//! own has the sheet in it, a page has it once. Everything that came from outside is written
//! through [`xml::escape`]. A picture loads nothing and runs nothing.

mod draw;
mod labels;
mod scale;
mod unit;
mod xml;

pub(super) use self::{
    scale::Scale,
    unit::{Unit, grouped},
    xml::escape,
};

/// The colours of light and of dark, and what the lines look like.
pub(super) const THEME: &str = include_str!("theme.css");

/// What a picture shows.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it is called; shown above a picture of its own.
    pub(super) title: String,
    /// What it says, for those who can't see it.
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// What is told of a place along `x` when somebody points at it.
    pub(super) hints: Vec<(f64, String)>,
}

/// One of the two directions.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) unit: Unit,
    pub(super) scale: Scale,
}

impl Axis {
    /// The numbers that are named, each with how it is written.
    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let is_named = |tick: &f64| self.unit != Unit::Whole || tick.fract() == 0.0;
        let ticks = self.scale.ticks().into_iter().filter(is_named);
        ticks.map(|tick| (tick, self.unit.write(tick)))
    }
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// From left to right; where `y` is not a number the line has a gap.
    pub(super) points: Vec<(f64, f64)>,
    /// Which of the theme's colours: `0` to `TONES - 1`.
    pub(super) tone: usize,
    /// The ground below the line is tinted.
    pub(super) is_filled: bool,
}

/// How many lines can be told apart by their colour.
pub(super) const TONES: usize = 8;
