//! Bounds on what a reader accepts, so that a wrong or hostile file ends in an error and not in exhausted memory.

/// The most a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Rows, header excluded.
    pub rows: usize,
    /// Columns of the file, declared or not.
    pub columns: usize,
    /// Features of all rows together, 8 bytes each in memory.
    pub cells: usize,
}

impl Default for Limits {
    /// 8 GiB, 100 million rows, 16,384 columns, 2^30 features (8 GiB).
    fn default() -> Self {
        Limits { bytes: 8 << 30, rows: 100_000_000, columns: 16_384, cells: 1 << 30 }
    }
}
