//! The scalar of the room: `f32` for callers and the network, `f64` for references, and the few
//! three-vector operations that the formulas need.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use crate::tables::Tables;

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Send
    + Sync
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Nearest value to `x`.
    fn of(x: f64) -> Self;
    /// The value as `f64`.
    fn f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The residue tables in this precision.
    fn tables() -> &'static Tables<Self>;
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn of(x: f64) -> Self {
                x as $t
            }
            fn f64(self) -> f64 {
                f64::from(self)
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn tables() -> &'static Tables<Self> {
                static TABLES: std::sync::OnceLock<Tables<$t>> = std::sync::OnceLock::new();
                TABLES.get_or_init(Tables::build)
            }
        }
    };
}
real!(f32);
real!(f64);

/// A point or direction.
pub type Vec3<T> = [T; 3];

/// a + b.
pub fn add<T: Real>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// a - b.
pub fn sub<T: Real>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// s a.
pub fn scale<T: Real>(a: Vec3<T>, s: T) -> Vec3<T> {
    [a[0] * s, a[1] * s, a[2] * s]
}

/// a · b.
pub fn dot<T: Real>(a: Vec3<T>, b: Vec3<T>) -> T {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// a × b.
pub fn cross<T: Real>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// |a|.
pub fn norm<T: Real>(a: Vec3<T>) -> T {
    dot(a, a).sqrt()
}

/// |a - b|.
pub fn distance<T: Real>(a: Vec3<T>, b: Vec3<T>) -> T {
    norm(sub(a, b))
}

/// The same point in another precision.
pub fn cast<T: Real, U: Real>(a: Vec3<T>) -> Vec3<U> {
    a.map(|x| U::of(x.f64()))
}
