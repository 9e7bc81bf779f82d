//! A vector that is not moved when it grows: whoever adds to it never waits for a copy of all.

/// Items of a segment.
const SEGMENT_LEN: usize = 2048;

/// Items in order of arrival.
pub(crate) struct Segments<T> {
    /// All are full but the last one. The first grows to its length, so that few items take little.
    segments: Vec<Vec<T>>,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { segments: Vec::new() }
    }
}

impl<T> Segments<T> {
    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        let last = self.segments.last().map_or(0, Vec::len);
        self.segments.len().saturating_sub(1) * SEGMENT_LEN + last
    }

    /// Bytes it takes in memory, without what items have of their own.
    pub(crate) fn bytes(&self) -> usize {
        let items: usize = self.segments.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.segments.capacity() * size_of::<Vec<T>>()
    }

    /// The item at a place.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.segments.get(at / SEGMENT_LEN)?.get(at % SEGMENT_LEN)
    }

    /// As [`Segments::get`], to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.segments.get_mut(at / SEGMENT_LEN)?.get_mut(at % SEGMENT_LEN)
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, item: T) {
        match self.segments.last_mut() {
            Some(last) if last.len() < SEGMENT_LEN => last.push(item),
            last => {
                let capacity = if last.is_some() { SEGMENT_LEN } else { 0 };
                let mut segment = Vec::with_capacity(capacity);
                segment.push(item);
                self.segments.push(segment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back() {
        let mut items = Segments::default();
        assert_eq!((items.len(), items.get(0), items.bytes()), (0, None, 0));
        for n in 0..3 * SEGMENT_LEN {
            assert_eq!(items.len(), n);
            items.push(n);
            assert_eq!((items.get(n), items.get(n + 1)), (Some(&n), None));
        }
        if let Some(item) = items.get_mut(SEGMENT_LEN) {
            *item = 0;
        }
        let back = |at: usize| if at == SEGMENT_LEN { 0 } else { at };
        for n in 0..3 * SEGMENT_LEN {
            assert_eq!(items.get(n), Some(&back(n)));
        }
        assert!(items.bytes() >= 3 * SEGMENT_LEN * size_of::<usize>());
    }
}
