//! The public affine map from a schema's ranges to a common one, so that columns of thousandths and of thousands have
//! alike resolution in fixed point. It is local: each party maps its own rows before sharing them.

use privity_data::{DataError, Schema, Table};
use privity_mpc::Config;
use serde::{Deserialize, Serialize};

/// Declared ranges are mapped to at most `[-BOUND, BOUND]`: the wider, the finer a column's deviation may be.
pub(crate) const BOUND: f64 = 16.0;

/// The common bound for this many rows in this format: what mean and variance have room for, a power of two.
fn common_bound(rows: usize, config: &Config) -> f64 {
    let bits = f64::from(config.room) - 22.0 - f64::from(config.fixed.frac);
    let room = (bits.exp2() / rows.max(1) as f64).sqrt();
    room.log2().floor().exp2().min(BOUND)
}

/// Bits that comparisons must read to limit values of up to `most` in magnitude to `[-limit, limit]`: those of their distance to the limits, and a sign.
pub(crate) fn clip_width(frac: u32, most: f64, limit: f64) -> u32 {
    let bits = (0..48).take_while(|bits| most + limit >= f64::from(*bits).exp2()).count();
    frac + bits as u32 + 1
}

/// `(x - centre) * factor` for each feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Subtracted first.
    pub centre: Vec<f64>,
    /// Multiplied then.
    pub factor: Vec<f64>,
    /// Bound on the magnitude of the result.
    pub bound: f64,
}

impl Scaling {
    /// From declared ranges, for `rows` rows of all parties in this format; a feature without a range is taken
    /// to lie within `default_bound`.
    pub fn from_schema(schema: &Schema, default_bound: f64, rows: usize, config: &Config) -> Self {
        let bound = common_bound(rows, config);
        let (mut centre, mut factor) = (Vec::new(), Vec::new());
        for (low, high) in schema.feature_ranges() {
            let low = low.unwrap_or(high.map_or(-default_bound, |h| h.min(0.0) - default_bound));
            let high = high.unwrap_or(low.max(0.0) + default_bound);
            centre.push((low + high) / 2.0);
            factor.push(if high > low { 2.0 * bound / (high - low) } else { 1.0 });
        }
        Scaling { centre, factor, bound }
    }

    /// Features as they are, within `bound`.
    pub fn identity(features: usize, bound: f64) -> Self {
        Scaling { centre: vec![0.0; features], factor: vec![1.0; features], bound }
    }

    /// The map of one row.
    pub fn row(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(self.centre.iter().zip(&self.factor)).map(|(x, (c, f))| (x - c) * f).collect()
    }

    /// The map of a whole table.
    ///
    /// # Errors
    /// None for a table of the schema that this was made from.
    pub fn table(&self, table: &Table) -> Result<Table, DataError> {
        let features = (0..table.rows()).flat_map(|r| self.row(table.row(r))).collect();
        Table::new(table.names().to_vec(), features, table.labels().to_vec(), table.days().to_vec())?
            .with_persons(table.persons().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_data::{Column, ExtraColumns, Kind, Missing};

    #[test]
    fn limits_need_the_bits_of_the_distance_and_a_sign() {
        // (z + limit) 2^frac < 2^(width - 1), and no less.
        for (most, limit, width) in [(1024.0, 8.0, 28), (1016.0, 8.0, 28), (1015.5, 8.0, 27), (0.25, 0.5, 17)] {
            assert_eq!(clip_width(16, most, limit), width, "{most} {limit}");
        }
    }

    #[test]
    fn ranges_go_to_the_common_bound() {
        let open = |min, max| Column {
            name: format!("{min:?}{max:?}"),
            kind: Kind::Number { min, max },
            missing: Missing::Reject,
        };
        let columns = vec![
            Column::number("a", 0.0, 4.0),
            open(None, None),
            open(Some(3.0), None),
            open(None, Some(-2.0)),
            Column::category("c", &["x"]),
        ];
        let schema = Schema::new(columns, ExtraColumns::Reject).expect("a sound contract");
        let scaling = Scaling::from_schema(&schema, 10.0, 1000, &Config::default());
        assert_eq!(scaling.row(&[4.0, -10.0, 3.0, -2.0, 1.0]), [16.0, -16.0, -16.0, 16.0, 16.0]);
        assert_eq!(scaling.row(&[0.0, 10.0, 13.0, -12.0, 0.0]), [-16.0, 16.0, 16.0, -16.0, -16.0]);
    }
}
