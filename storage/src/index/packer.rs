//! Packs small items of one section into values of about 32 KB, and finds them again.

use crate::encoding::{Damage, Input, put_varint};
use crate::envelope::{self, Zip};
use crate::error::{Error, Result};

/// A value is closed when it is this long; a longer item gets a value of its own.
const VALUE_BYTES: usize = 32 << 10;

/// Where an item lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemRef {
    /// Number of the value.
    pub number: u32,
    /// First byte in its body.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl ItemRef {
    /// Appends the reference.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.number));
        put_varint(out, u64::from(self.offset));
        put_varint(out, u64::from(self.length));
    }

    /// Reads a reference.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(input: &mut Input<'_>) -> Result<Self, Damage> {
        Ok(Self {
            number: input.varint_u32()?,
            offset: input.varint_u32()?,
            length: input.varint_u32()?,
        })
    }

    /// The item in the body of its value.
    ///
    /// # Errors
    /// If it lies outside.
    pub fn slice<'a>(&self, body: &'a [u8]) -> Result<&'a [u8], Damage> {
        let start = self.offset as usize;
        body.get(start..start.saturating_add(self.length as usize))
            .ok_or(Damage("an item lies outside its value"))
    }
}

/// Collects the items of one section.
pub struct Packer {
    section: u8,
    open: Vec<u8>,
    /// Sealed values, numbered from 0.
    sealed: Vec<Vec<u8>>,
}

impl Packer {
    /// An empty section.
    #[must_use]
    pub const fn new(section: u8) -> Self {
        Self { section, open: Vec::new(), sealed: Vec::new() }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// If it is over the limit of a value.
    pub fn add(&mut self, item: &[u8]) -> Result<ItemRef> {
        if !self.open.is_empty() && self.open.len() + item.len() > VALUE_BYTES {
            self.close()?;
        }
        let too_long = |_| Error::Limit(format!("an item of an index has {} bytes", item.len()));
        let place = ItemRef {
            number: u32::try_from(self.sealed.len()).map_err(too_long)?,
            offset: u32::try_from(self.open.len()).map_err(too_long)?,
            length: u32::try_from(item.len()).map_err(too_long)?,
        };
        self.open.extend_from_slice(item);
        Ok(place)
    }

    fn close(&mut self) -> Result<()> {
        let number = u32::try_from(self.sealed.len()).unwrap_or(u32::MAX);
        self.sealed.push(envelope::seal(self.section, number, &self.open, Zip::No)?);
        self.open.clear();
        Ok(())
    }

    /// All values, numbered from 0.
    ///
    /// # Errors
    /// If the last one is over the limit of a value.
    pub fn finish(mut self) -> Result<Vec<Vec<u8>>> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok(self.sealed)
    }
}

/// Where the values of a block are read from.
pub trait ValueSource {
    /// Hands the checked body of a value to `read`.
    ///
    /// # Errors
    /// If it is missing or damaged, or what `read` returns.
    fn with_body(
        &self,
        section: u8,
        number: u32,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;

    /// The name of a place in the block, for errors.
    fn place(&self, section: u8, number: u32) -> String;

    /// A packed item.
    ///
    /// # Errors
    /// If its value is missing or damaged.
    fn item(&self, section: u8, at: ItemRef) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        self.with_body(section, at.number, &mut |body| {
            let item = at
                .slice(body)
                .map_err(|damage| Error::corrupt(self.place(section, at.number), damage.0))?;
            found.extend_from_slice(item);
            Ok(())
        })?;
        Ok(found)
    }
}
