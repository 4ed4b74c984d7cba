//! y = x Wᵀ + b for weights that learn, whose gradients are gathered aside.
//!
//! The tensor library's own way is to keep a zeroed sum for every parameter and to add each product
//! to it; for the weights, which take part once in a step, that moves several times their size
//! through memory and costs as much as the products. Here a layer holds its weights as constants,
//! computes their gradient by the tiles when its turn comes in the backward pass, and keeps it until
//! it is taken. Several maps of one input are one layer without being copied together.

#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{
    CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Storage, Tensor, Var,
};

use super::op::{column_sums, elements, stored};
use super::real::axpy;
use super::tile::{Left, Lines, PANEL, Panels, Plain, available, interleave, lines_of, product};

/// A weight `[out, in]` and a bias `[out]`, or their gradients.
pub type Map = (Vec<f32>, Vec<f32>);

/// Maps of one input, one after the other.
pub struct Learning {
    n_in: usize,
    maps: Vec<Map>,
    gathered: Mutex<Vec<Map>>,
    /// Makes results depend on something that learns, so that their gradient is asked for.
    root: Var,
}

impl Learning {
    /// Whether such layers are possible on a device.
    pub fn possible(device: &Device) -> bool {
        device.is_cpu() && available()
    }

    /// Of some maps.
    pub fn new(maps: Vec<Map>) -> Result<Arc<Self>> {
        let n_in = maps.first().map_or(1, |(w, b)| w.len() / b.len().max(1)).max(1);
        if maps.iter().any(|(w, b)| w.len() != n_in * b.len()) {
            candle_core::bail!("maps of one input differ in its size");
        }
        let root = Var::zeros(1, DType::F32, &Device::Cpu)?;
        Ok(Arc::new(Self { n_in, maps, gathered: Mutex::default(), root }))
    }

    /// The maps again, copied only while a result of the layer still exists.
    pub fn into_maps(self: Arc<Self>) -> Vec<Map> {
        match Arc::try_unwrap(self) {
            Ok(own) => own.maps,
            Err(shared) => shared.maps.clone(),
        }
    }

    /// x `[…, in]` → `[…, out]`, the results of the maps side by side.
    pub fn apply(self: &Arc<Self>, x: &Tensor) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let flat = x.reshape((x.elem_count() / self.n_in, self.n_in))?.contiguous()?;
        *dims.last_mut().expect("an input has at least one dimension") = self.n_out();
        flat.apply_op2(self.root.as_tensor(), Forward(self.clone()))?.reshape(dims)
    }

    /// Gradients of weight and bias of each map, as the last backward pass left them; none if it did
    /// not come by.
    pub fn take(&self) -> Vec<Map> {
        std::mem::take(&mut *self.gathered())
    }

    fn gathered(&self) -> MutexGuard<'_, Vec<Map>> {
        // A panic elsewhere leaves the list whole: it is changed in one step.
        self.gathered.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn n_out(&self) -> usize {
        self.maps.iter().map(|(_, bias)| bias.len()).sum()
    }

    /// The rows of all weights.
    fn rows(&self) -> Vec<&[f32]> {
        self.maps.iter().flat_map(|(weight, _)| weight.chunks_exact(self.n_in)).collect()
    }

    /// The biases of all maps, padded to whole panels.
    fn biases(&self) -> Vec<f32> {
        let mut all: Vec<f32> = self.maps.iter().flat_map(|(_, bias)| bias).copied().collect();
        all.resize(all.len().next_multiple_of(PANEL), 0.0);
        all
    }

    /// Of weight and bias of each map, from the results' gradient `[tokens, out]` and the inputs
    /// `[tokens, in]`.
    fn gradients(&self, grad: &Tensor, x: &Tensor) -> Result<Vec<Map>> {
        let biases: Vec<f32> = column_sums(grad)?.to_vec1()?;
        let ((grad, lg), (x, lx)) = (grad.storage_and_layout(), x.storage_and_layout());
        let ((tokens, width), n) = (lg.shape().dims2()?, self.n_in);
        let (grad, x) = (here(&grad, lg)?, here(&x, lx)?);
        let x: Vec<&[f32]> = x.chunks_exact(n).collect();
        let (right, mut first, mut all) = (Rows { rows: &x, columns: n }, 0, Vec::new());
        for (_, bias) in &self.maps {
            let rows = bias.len();
            let left = Left::Columns { data: grad, width, first };
            let weight = product(left, (rows, tokens, n), &right, &Plain);
            all.push((weight, biases[first..first + rows].to_vec()));
            first += rows;
        }
        Ok(all)
    }

    /// grad `[tokens, out]` W.
    fn input_gradient(&self, grad: &Tensor) -> Result<Tensor> {
        let ((rows, k), n) = (grad.dims2()?, self.n_in);
        let dx = {
            let (storage, layout) = grad.storage_and_layout();
            let right = Rows { rows: &self.rows(), columns: n };
            product(Left::Rows(here(&storage, layout)?), (rows, k, n), &right, &Plain)
        };
        Tensor::from_vec(dx, (rows, n), grad.device())
    }
}

/// The numbers of a contiguous tensor in this process's memory.
fn here<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => elements::<f32>(storage, layout),
        _ => candle_core::bail!("weights that learn here are in this process's memory"),
    }
}

struct Forward(Arc<Learning>);

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "learning"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, k, n) = (elements::<f32>(x, lx)?, self.0.n_in, self.0.n_out());
        let rows = x.len() / k;
        let right = Transposed { rows: &self.0.rows(), bias: self.0.biases() };
        stored(product(Left::Rows(x), (rows, k, n), &right, &Plain), (rows, n))
    }
    fn bwd(
        &self,
        x: &Tensor,
        _root: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x, grad) = (x.contiguous()?, grad.contiguous()?);
        let fresh = self.0.gradients(&grad, &x)?;
        let mut gathered = self.0.gathered();
        if gathered.is_empty() {
            *gathered = fresh;
        } else {
            // A layer that takes part twice.
            for (old, new) in gathered.iter_mut().zip(&fresh) {
                axpy(1.0, &new.0, &mut old.0);
                axpy(1.0, &new.1, &mut old.1);
            }
        }
        drop(gathered);
        // An input that nothing feeds needs no gradient.
        let dx = if x.track_op() { Some(self.0.input_gradient(&grad)?) } else { None };
        Ok((dx, None))
    }
}

/// A right side by its rows, one for each term.
struct Rows<'a> {
    rows: &'a [&'a [f32]],
    columns: usize,
}

impl Panels for Rows<'_> {
    fn part<'a>(
        &'a self,
        panel: usize,
        terms: Range<usize>,
        buffer: &'a mut [[f32; PANEL]],
    ) -> &'a [f32] {
        let (first, part) = (panel * PANEL, buffer);
        if first + PANEL <= self.columns {
            for (to, row) in part.iter_mut().zip(&self.rows[terms]) {
                to.copy_from_slice(&row[first..first + PANEL]);
            }
        } else {
            for (to, row) in part.iter_mut().zip(&self.rows[terms]) {
                to.fill(0.0);
                to[..self.columns - first].copy_from_slice(&row[first..]);
            }
        }
        part.as_flattened()
    }
    fn bias(&self, _: usize) -> [f32; PANEL] {
        [0.0; PANEL]
    }
    #[inline(always)]
    fn ahead(&self, panel: usize, terms: Range<usize>, piece: usize, n: usize) -> impl Lines {
        let (first, depth) = (terms.start, terms.len());
        let rows = &self.rows[first + piece * depth / n..first + (piece + 1) * depth / n];
        let columns = panel * PANEL..self.columns.min((panel + 1) * PANEL);
        rows.iter().flat_map(move |row| lines_of(&row[columns.clone()]))
    }
}

/// A right side by its columns.
struct Transposed<'a> {
    rows: &'a [&'a [f32]],
    /// Padded to whole panels.
    bias: Vec<f32>,
}

impl Transposed<'_> {
    fn columns(&self, panel: usize) -> Range<usize> {
        panel * PANEL..self.rows.len().min((panel + 1) * PANEL)
    }
}

impl Panels for Transposed<'_> {
    fn part<'a>(
        &'a self,
        panel: usize,
        terms: Range<usize>,
        buffer: &'a mut [[f32; PANEL]],
    ) -> &'a [f32] {
        let (columns, part) = (self.columns(panel), buffer.as_flattened_mut());
        if columns.len() < PANEL {
            part.fill(0.0);
        }
        let mut rows: [&[f32]; PANEL] = [&[]; PANEL];
        for (row, from) in rows.iter_mut().zip(&self.rows[columns.clone()]) {
            *row = &from[terms.clone()];
        }
        // SAFETY: products are computed only where the tiles are available.
        unsafe { interleave(&rows[..columns.len()], PANEL, part) };
        part
    }
    fn bias(&self, panel: usize) -> [f32; PANEL] {
        self.bias.as_chunks().0[panel]
    }
    #[inline(always)]
    fn ahead(&self, panel: usize, terms: Range<usize>, piece: usize, n: usize) -> impl Lines {
        let columns = self.columns(panel);
        let (first, width) = (columns.start, columns.len());
        let rows = &self.rows[first + piece * width / n..first + (piece + 1) * width / n];
        rows.iter().flat_map(move |row| lines_of(&row[terms.clone()]))
    }
}
