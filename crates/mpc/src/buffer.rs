//! Words that operations borrow and give back: neither allocated nor cleared anew in hot paths.

use std::ops::{Deref, DerefMut};

/// Words kept for reuse in all: 32 MiB.
const KEPT: usize = 1 << 22;
/// Classes of sizes that are kept, up to 1 MiB: a few large buffers would leave no room for the many small ones.
const CLASSES: usize = 18;

/// A borrowed buffer of `len` words.
#[derive(Default)]
pub(crate) struct Buffer {
    /// A power of two of words, at least `len`; none if empty.
    words: Vec<u64>,
    len: usize,
}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.words[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words[..self.len]
    }
}

/// Buffers by the power of two of their size.
#[derive(Default)]
pub(crate) struct Pool {
    free: [Vec<Vec<u64>>; CLASSES],
    kept: usize,
}

impl Pool {
    /// A buffer of `len` words, contents unspecified.
    pub(crate) fn take(&mut self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::default();
        }
        let class = len.next_power_of_two().ilog2() as usize;
        let words = match self.free.get_mut(class).and_then(Vec::pop) {
            Some(words) => {
                self.kept -= words.len();
                words
            }
            None => vec![0; 1 << class],
        };
        Buffer { words, len }
    }

    /// Keeps a buffer for the next operation, unless enough are kept.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        let len = buffer.words.len();
        if len == 0 || self.kept + len > KEPT {
            return;
        }
        if let Some(free) = self.free.get_mut(len.ilog2() as usize) {
            self.kept += len;
            free.push(buffer.words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_a_bound() {
        let mut pool = Pool::default();
        let mut a = pool.take(100);
        a[99] = 7;
        let place = a.as_ptr();
        pool.give(a);
        let again = pool.take(128);
        assert_eq!((again.as_ptr(), again.len(), again[99]), (place, 128, 7));
        pool.give(again);
        pool.give(Buffer::default());
        let huge = pool.take(1 << CLASSES);
        pool.give(huge);
        assert_eq!(pool.kept, 128);
        let many: Vec<Buffer> = (0..KEPT >> (CLASSES - 2)).map(|_| pool.take(1 << (CLASSES - 1))).collect();
        many.into_iter().for_each(|b| pool.give(b));
        assert!(pool.kept <= KEPT && pool.kept > KEPT / 2);
        assert!(pool.take(0).is_empty());
    }
}
