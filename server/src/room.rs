//! Room for bodies being worked on: a body takes it as its bytes come, not by the size it states, so
//! that clients which promise much and send little hold nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::kib;

/// How long a body waits each time it needs more room.
pub const ROOM_WAIT_MAX: Duration = Duration::from_secs(5);

/// The room of one body, given back when this is dropped.
#[derive(Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    /// All the room there is, in KiB.
    all_kib: usize,
    taken: Option<OwnedSemaphorePermit>,
}

/// Other bodies hold the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Room {
    /// No room yet, of `all`, which is `bytes_max` in KiB.
    #[must_use]
    pub fn new(all: Arc<Semaphore>, bytes_max: u64) -> Self {
        Self { all, all_kib: kib(bytes_max), taken: None }
    }

    /// Takes as much more as `bytes` need; waits for it, but not for ever.
    ///
    /// # Errors
    /// If others do not give theirs back in time.
    pub async fn grow_to(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // A body larger than all the room still gets its turn, alone.
        let more = kib(bytes).min(self.all_kib).saturating_sub(taken);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| NoRoom)?;
        let waiting = Arc::clone(&self.all).acquire_many_owned(more);
        let permit = tokio::time::timeout(ROOM_WAIT_MAX, waiting).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(NoRoom)?;
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
        Ok(())
    }

    /// Gives all of it back.
    pub fn release(&mut self) {
        self.taken = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_taken_as_bytes_come() {
        let all = Arc::new(Semaphore::new(10));
        let mut first = Room::new(Arc::clone(&all), 10 << 10);
        let mut second = Room::new(Arc::clone(&all), 10 << 10);
        assert_eq!(first.grow_to(1).await, Ok(()));
        assert_eq!(first.grow_to(6 << 10).await, Ok(()));
        assert_eq!(all.available_permits(), 4);
        let waiting = tokio::time::timeout(Duration::from_millis(5), second.grow_to(5 << 10));
        assert!(waiting.await.is_err(), "it waits");
        first.release();
        assert_eq!(second.grow_to(1 << 30).await, Ok(()), "all there is");
        drop(second);
        assert_eq!(all.available_permits(), 10);
    }
}
