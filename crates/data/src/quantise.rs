//! Fixed point for the secure computation, with the offending row and column named when a value does not fit.

use privity_ring::{Fixed, Ring, Shape, Tensor};

use crate::{CellProblem, DataError, Table};

/// The features as integers `round(v * 2^frac)` in a `rows x cols` tensor. Rounds to nearest, ties away from zero, so
/// the error is at most `2^-(frac + 1)`.
///
/// # Errors
/// A value with `|v| > bound`, or one that the format cannot hold; rows in the error are counted from 1.
pub fn quantise<R: Ring>(table: &Table, format: Fixed, bound: f64) -> Result<Tensor<R>, DataError> {
    let encode = |(index, &v): (usize, &f64)| {
        let fits = v.abs() <= bound;
        format.encode(v).filter(|_| fits).map(R::from_u64).ok_or_else(|| DataError::Cell {
            file: "table".into(),
            row: index / table.cols() + 1,
            column: table.names()[index % table.cols()].clone(),
            problem: CellProblem::OutOfFixedRange,
        })
    };
    let data = table.features().iter().enumerate().map(encode).collect::<Result<Vec<R>, _>>()?;
    Ok(Tensor::new(Shape::matrix(table.rows(), table.cols()), data))
}

/// The labels as fixed-point 0 and 1 in a `rows x 1` tensor.
///
/// # Errors
/// A table without labels.
pub fn quantise_labels<R: Ring>(table: &Table, format: Fixed) -> Result<Tensor<R>, DataError> {
    if table.labels().len() != table.rows() {
        return Err(DataError::Shape { what: "the table has no labels" });
    }
    let one = R::from_u64(format.constant(1.0));
    let data = table.labels().iter().map(|&y| if y == 1.0 { one } else { R::from_u64(0) }).collect();
    Ok(Tensor::new(Shape::matrix(table.rows(), 1), data))
}
