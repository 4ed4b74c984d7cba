//! Plain data in, one offline HTML page out.
//!
//! A [`Report`] is a title and a list of blocks: headings, paragraphs, notes, key figures, tables
//! and figures. [`Report::to_html`] gives one self-contained file: inline styles and SVG, no
//! scripts, no fonts or pictures from elsewhere; readable in light and dark and on paper.
//!
//! Figures are typed inputs with a `svg()` method. They never fail: missing or non-finite
//! numbers are left out, and where nothing is left the picture says so.
//!
//! * [`FreeEnergySurfaces`]: heat maps with one shared colour scale, side by side.
//! * [`Marginals`]: small 1-D densities, e.g. MD against surrogate per torsion.
//! * [`MatrixHeatMap`]: a transition matrix with its numbers.
//! * [`LinePlot`]: several curves with bands, linear or log axes (timescales, losses).
//! * [`StateNetwork`]: states sized by population, arrows by flux.
//! * [`ScatterPlot`]: groups of points, sized by weight.
//! * [`BarChart`]: grouped bars with intervals.
//! * [`StickModels`]: conformations of a molecule, each from two sides.

mod axis;
mod bars;
mod colour;
mod html;
mod lines;
mod marginals;
mod matrix;
mod network;
mod scatter;
mod sticks;
mod surface;
mod svg;

pub use bars::{BarChart, BarSeries};
pub use html::{Align, Column, KeyFigure, Report, ReportError, Table};
pub use lines::{LinePlot, Series};
pub use marginals::{MarginalCurve, MarginalPanel, Marginals};
pub use matrix::MatrixHeatMap;
pub use network::{Flux, State, StateNetwork};
pub use scatter::{Point, PointGroup, ScatterPlot};
pub use sticks::{StickModels, StickPanel};
pub use surface::{FreeEnergyPanel, FreeEnergySurfaces, Marker};
pub use svg::escape;
